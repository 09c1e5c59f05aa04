"""The lossy record (PS3.3 C.7.6.1.1.5): one ratio and one method for each lossy step, appended, never overwritten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.dicom.transfer_syntaxes import H264, HEVC, JPEG, JPEG_2000, JPEG_LS, JPEG_XL, MPEG2, certain_lossy_method
from common.dicom.values import texts
from common.errors import InternalFault
from common.media import Description, Kind

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

RATIO, METHOD = "LossyImageCompressionRatio", "LossyImageCompressionMethod"

BYTES_PER_PIXEL = {"4:0:0": 1.0, "4:1:0": 1.125, "4:1:1": 1.5, "4:2:0": 1.5, "4:2:2": 2.0, "4:4:0": 2.0, "4:4:4": 3.0}
"""Samples per pixel of a decoded frame by chroma format."""

CODEC_METHODS = {
    "h264": H264,
    "hevc": HEVC,
    "mpeg2video": MPEG2,
    "mpeg1video": "ISO_11172_2",
    "mpeg4": "ISO_14496_2",
    "msmpeg4v3": "ISO_14496_2",
    "mjpeg": JPEG,
    "mjpegb": JPEG,
    "jpeg2000": JPEG_2000,
    "jpegls": JPEG_LS,
    "jpegxl": JPEG_XL,
    "vc1": "SMPTE_421M",
}
"""Method by FFmpeg's codec name; terms that PS3.3 C.7.6.1.1.5.1 lacks are formed in its way (it lists Defined Terms: others are lawful)."""

LOSSLESS_CODECS = frozenset(
    {"ffv1", "ffvhuff", "huffyuv", "utvideo", "magicyuv", "lagarith", "rawvideo", "v210", "v410", "bmp", "png", "apng"}
    | {"qtrle", "zmbv"}
)
"""FFmpeg's names of codecs that cannot lose anything; any other one is taken for lossy, which is the cautious side."""


@dataclass(frozen=True)
class LossyStep:
    """One lossy compression: bytes of the raw samples that went in, divided by bytes that came out, and its ISO name."""

    ratio: float
    method: str

    @classmethod
    def of(cls, raw_bytes: float, compressed_bytes: int, method: str) -> LossyStep:
        """A step from real byte counts.

        Raises:
            InternalFault: a count is not positive.
        """
        if raw_bytes <= 0 or compressed_bytes <= 0:
            raise InternalFault("a compression ratio needs positive byte counts")
        return cls(raw_bytes / compressed_bytes, method)


def recorded_steps(dataset: Dataset) -> list[tuple[str, str]]:
    """(ratio, method) of each recorded step, oldest first; an empty string where the header gives one without the other."""
    ratios, methods = texts(dataset, RATIO), texts(dataset, METHOD)
    steps = max(len(ratios), len(methods))
    pad = [""] * steps
    return list(zip((ratios + pad)[:steps], (methods + pad)[:steps], strict=True))


def append_step(dataset: Dataset, ratio: float, method: str) -> None:
    """Append one step in place and set Lossy Image Compression to 01.

    What was there stays. Uneven ratio and method lists are paired from the first value on and filled up with empty values
    (PS3.5 7.4.1 lets single values of a multi-valued attribute be empty), so that the new pair stands at one index. A header
    that says 01 and gives neither gets only the new pair: what is not known is not made up.
    """
    _write(dataset, [*recorded_steps(dataset), (_ratio_text(ratio), method)])


def record_proven_step(dataset: Dataset, step: LossyStep) -> None:
    """Make sure that the step which made the source's own pixel data is on record, in place.

    Called only where the transfer syntax or the codec proves a lossy step. Nothing is added when the last recorded method
    is this one; a last ratio without a method gets the method, a last method without a ratio gets the ratio.
    """
    steps = recorded_steps(dataset)
    last = steps[-1] if steps else None
    if last is None or last[1] not in ("", step.method):
        _write(dataset, [*steps, (_ratio_text(step.ratio), step.method)])
        return
    _write(dataset, [*steps[:-1], (last[0] or _ratio_text(step.ratio), step.method)])


def raw_bytes(description: Description) -> float:
    """Bytes of all decoded samples of a source, its stored bits counted and padding bits not."""
    dicom, video = description.dicom, description.video
    if dicom is not None and description.kind is Kind.DICOM_FRAMES:
        bits = dicom.bits_stored * dicom.samples_per_pixel
        return dicom.rows * dicom.columns * dicom.number_of_frames * bits / 8
    samples = video.width * video.height * BYTES_PER_PIXEL.get(video.chroma, 1.5)
    return samples * video.frame_count * video.bit_depth / 8


def source_step(description: Description) -> LossyStep | None:
    """The lossy step that a source's own coding proves, or None when it proves none.

    A DICOM source is judged by its transfer syntax, a plain one by its codec: a camera or recorder that hands out H.264
    has compressed (PS3.3 C.7.6.1.1.5: an image obtained as lossy from the sensor has 01). The compressed size is that of
    the video stream where it is known, else of the file: the ratio is approximate by definition.
    """
    method = _proven_method(description)
    return LossyStep.of(raw_bytes(description), compressed_bytes(description), method) if method else None


def _proven_method(description: Description) -> str | None:
    if description.dicom is not None:
        return certain_lossy_method(description.dicom.transfer_syntax_uid)
    codec = description.video.codec
    if codec in LOSSLESS_CODECS:
        return None
    # a codec without an ISO number goes by its name, in the characters of a CS (PS3.5 6.2)
    return CODEC_METHODS.get(codec) or "".join(c if c.isascii() and c.isalnum() else "_" for c in codec.upper())[:16]


def compressed_bytes(description: Description) -> int:
    """Bytes of the video stream of a source where they are known, else of its file; at least 1."""
    dicom, video = description.dicom, description.video
    if dicom is not None:
        return dicom.stream_length or max(1, description.size_bytes - dicom.pixel_data_offset)
    return round((video.bit_rate or 0) * video.duration_ms / 8000) or description.size_bytes


def _write(dataset: Dataset, steps: list[tuple[str, str]]) -> None:
    dataset.LossyImageCompression = "01"
    before = recorded_steps(dataset)
    if steps == before:
        return
    # one value is written as a string: pydicom would print a list of one the same, but compare differently
    for keyword, values in ((RATIO, [ratio for ratio, _ in steps]), (METHOD, [method for _, method in steps])):
        setattr(dataset, keyword, values if len(values) > 1 else values[0])


def _ratio_text(ratio: float) -> str:
    """Two decimals, at least 0.01: the attribute is approximate by definition."""
    return f"{max(ratio, 0.01):.2f}".rstrip("0").rstrip(".")
