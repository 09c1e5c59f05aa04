"""The rows of the matrix: sources as departments have them, one of every kind that decides between targets. At most twelve frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit
from support import loops
from support.corpus.clips import BD, H264, HD, HEVC, MPEG2
from support.corpus.instances import Instance
from support.corpus.streams import Stream, Workshop
from support.stereo_high import stereo_high
from support.zoo import MASTERING, ffmpeg, remade, variable_rate

Maker = Callable[[Path], None]


@dataclass(frozen=True)
class Source:
    """One row. ``packing``: the policy that says how its frames pack two views (H.264 Table D-8)."""

    name: str
    about: str
    suffix: str
    make: Maker
    packing: Literal[3, 4] | None = None

    def made(self, folder: Path) -> Path:
        """Make it in a folder."""
        path = folder / f"{self.name}{self.suffix}"
        self.make(path)
        return path


def shot(
    size: str, rate: str, frames: int, *codec: str, filters: str = "", form: str = "yuv420p", sound: bool = False
) -> Maker:
    """A maker: moving test pictures through filters, by FFmpeg's output options; ``sound``: a tone beside them."""
    graph = ",".join(filter(None, (f"testsrc2=s={size}:r={rate},trim=end_frame={frames}", filters, f"format={form}")))
    tone = ("-f", "lavfi", "-i", "sine=sample_rate=48000", "-shortest", "-c:a", "aac") if sound else ()
    return lambda path: ffmpeg("-f", "lavfi", "-i", graph, *tone, *codec, str(path))


def clip(stream: Stream) -> Maker:
    """A maker of one of the corpus' legal streams."""
    return lambda path: _streamed(path, stream)


def _streamed(path: Path, stream: Stream) -> None:
    path.write_bytes(Workshop(path.parent).bytes(stream))


def in_dicom(stream: Stream, syntax: str) -> Maker:
    """A maker of a DICOM video as another system wrote it."""
    return lambda path: _wrapped(path, Workshop(path.parent).bytes(stream), stream, syntax)


def _wrapped(path: Path, payload: bytes, stream: Stream, syntax: str) -> None:
    path.write_bytes(Instance(stream, syntax).build(payload))


_BASE_VIEW = "-level:v 4.2 -x264-params 8x8dct=1:cabac=1:slices=1:bframes=0:aud=1:repeat-headers=1"
_MVC = H264.but(frames=8, muxer="es", options=_BASE_VIEW)
_MVC_30 = _MVC.but(size=(320, 240), rate="30", frames=10)


def multiview(path: Path, stream: Stream = _MVC) -> None:
    """A synthetic Stereo High stream: bare, or in the container that the file's name asks for."""
    bare = path.with_name(f"{path.stem}-bare.264")
    bare.write_bytes(stereo_high(Workshop(path.parent).bytes(stream)))
    if path.suffix == bare.suffix:
        bare.rename(path)
        return
    ffmpeg("-f", "h264", "-r", stream.rate, "-i", str(bare), "-c", "copy", str(path))
    bare.unlink()


def multiview_in_dicom(path: Path) -> None:
    """The same in a transport stream as DICOM .106."""
    inner = path.with_suffix(".ts")
    multiview(inner)
    _wrapped(path, inner.read_bytes(), _MVC, "106")
    inner.unlink()


def smooth(depth: int = 8, *, samples: int = 1, frames: int = 6) -> NDArray[np.unsignedinteger]:
    """Moving waves over the whole range: every frame differs, and no edge is too hard for 4:2:2."""
    y, x = np.mgrid[0:120, 0:160]
    moments = [
        [np.sin(x / (9 + 4 * s) + n / 3) * np.cos(y / (11 - 2 * s)) for s in range(samples)] for n in range(frames)
    ]
    values = np.moveaxis((np.array(moments) + 1) / 2 * (2**depth - 1), 1, -1)
    return values.squeeze(-1 if samples == 1 else ()).astype(np.uint8 if depth <= 8 else np.uint16)


def loop(pixels: Callable[[], NDArray[np.unsignedinteger]], photometric: str, **attributes: object) -> Maker:
    """A maker of uncompressed frames."""
    return lambda path: _saved(path, pixels(), photometric, attributes)


def _saved(path: Path, pixels: NDArray[np.unsignedinteger], photometric: str, attributes: dict[str, object]) -> None:
    made = loops.loop(pixels, photometric, **attributes)  # type: ignore[arg-type]
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    loops.save(made, path)


_GREY_WORD: dict[str, object] = {
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.3", "Modality": "OT", "ConversionType": "WSD", "BurnedInAnnotation": "NO",
    "PresentationLUTShape": "IDENTITY", "RescaleSlope": "1", "RescaleIntercept": "0", "RescaleType": "US",
}  # fmt: skip
"""Multi-frame Grayscale Word Secondary Capture: ultrasound objects have 8 bits (PS3.3 C.8.5.6)."""


def palette_loop(path: Path) -> None:
    """Colours by a palette of smooth ramps."""
    made, ramp = loops.loop(smooth(), "PALETTE COLOR"), np.arange(256)
    for name, table in {"Red": ramp, "Green": 255 - ramp, "Blue": ramp // 2 + 64}.items():
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(made, f"{name}PaletteColorLookupTableData", (table * 257).astype("<u2").tobytes())
    loops.save(made, path)


def jpeg_loop(path: Path) -> None:
    """A sequence of JPEG Baseline images as ultrasound systems write it."""
    from io import BytesIO

    from PIL import Image

    pixels, frames = smooth(samples=3), []
    for picture in pixels:
        out = BytesIO()
        Image.fromarray(picture).save(out, "JPEG", quality=95, subsampling=1)
        frames.append(out.getvalue() + b"\0" * (out.tell() % 2))
    made = loops.loop(pixels, "YBR_FULL_422", LossyImageCompression="01")
    made.LossyImageCompressionMethod, made.LossyImageCompressionRatio = "ISO_10918_1", "10"
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    made.PixelData = encapsulate(frames, has_bot=True)
    made["PixelData"].VR = "OB"
    loops.save(made, path)


_LEGACY = ("-c:v", "mpeg4", "-q:v", "2")
_FIELDS = ("-flags", "+ildct+ilme")
_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "10")
_HDR = "color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc:range=tv"
_HDR_PARAMS = f"log-level=none:crf=10:level-idc=5.1:high-tier=0:hdr10=1:master-display={MASTERING}:max-cll=1000,400"
_PACKED = "-level:v 4.2 -x264-params 8x8dct=1:cabac=1:frame-packing=3"

PLAIN = (
    Source(
        "vcd", "MPEG-1 program stream of a capture card, 352×288 at 25", ".mpg",
        shot("352x288", "25", 12, "-c:v", "mpeg1video", "-q:v", "2", "-f", "mpeg"),
    ),
    Source(
        "dv-tape", "DV in AVI, 720×576i at 25, 4:3", ".avi",
        shot("720x576", "25", 6, "-c:v", "dvvideo", filters="setfield=bff,setsar=16/15"),
    ),
    Source(
        "dvd", "MPEG-2 Main Level program stream, 720×480i at 29.97, 16:9", ".mpg",
        clip(MPEG2.but(size=(720, 480), rate="30000/1001", frames=8, options=f"{' '.join(_FIELDS)} -vf setfield=tff,setsar=32/27")),
    ),
    Source(
        "avi-vga", "MPEG-4 Part 2 in AVI, 640×480 at 30, soft pictures", ".avi",
        shot("640x480", "30", 10, *_LEGACY, filters="gblur=sigma=5"),
    ),
    Source(
        "variable-rate", "MPEG-4 Part 2 in MP4, 160×120, variable rate", ".mp4", variable_rate(*_LEGACY),
    ),
    Source(
        "mjpeg-720p50", "motion JPEG in AVI, full range, 1280×720 at 50", ".avi",
        shot("1280x720", "50", 6, "-c:v", "mjpeg", "-q:v", "2", form="yuvj420p"),
    ),
    Source(
        "capture-1080i", "FFV1 4:2:2 in Matroska, 1920×1080i at 25", ".mkv",
        shot("1920x1080", "25", 4, "-c:v", "ffv1", "-field_order", "tt", filters="setfield=tff", form="yuv422p"),
    ),
    Source(
        "hdv-1080i", "MPEG-2 High Level transport stream, 1920×1080i at 25", ".ts",
        clip(Stream("mpeg2-high", HD, frames=4, muxer="ts", options=f"{' '.join(_FIELDS)} -vf setfield=tff")),
    ),
    Source(
        "prores-1080p24", "ProRes 4:2:2 10 bits in MOV, 1920×1080 at 23.976", ".mov",
        shot("1920x1080", "24000/1001", 3, "-c:v", "prores_ks", "-profile:v", "1", form="yuv422p10le"),
    ),
    Source(
        "phone", "H.264 Baseline with sound in MP4, 320×240 at 30, held upright", ".mp4",
        remade(
            shot("320x240", "30", 10, *_X264, "-profile:v", "baseline", sound=True), before=("-display_rotation", "-90"),
        ),
    ),
    Source(
        "endoscope-720p50", "H.264 High 4.1 in MP4, 1280×720 at 50", ".mp4",
        clip(H264.but(size=(1280, 720), rate="50", frames=6)),
    ),
    Source(
        "blu-ray-1080p24", "H.264 as on Blu-ray in a transport stream, 1920×1080 at 23.976", ".ts",
        clip(BD.but(size=HD, rate="24000/1001", muxer="ts")),
    ),
    Source("side-by-side", "H.264 High 4.2 with frame packing in MP4", ".mp4", clip(H264.but(options=_PACKED))),
    Source(
        "top-bottom", "H.264 4:4:4 with frame packing in Matroska, 320×240", ".mkv",
        shot("320x240", "25", 8, *_X264, "-x264-params", "frame-packing=4", form="yuv444p"),
    ),
    Source(
        "untagged-stereo", "MPEG-4 Part 2 in AVI, two views side by side that the policy names", ".avi",
        shot("320x120", "25", 8, *_LEGACY), packing=3,
    ),
    Source("stereo-high", "synthetic Stereo High (MVC), bare, 160×120 at 25", ".264", multiview),
    Source("stereo-high-ts", "synthetic Stereo High in a transport stream, 320×240 at 30", ".ts", lambda path: multiview(path, _MVC_30)),
    Source("camera-hevc", "HEVC Main in MP4, 160×120 at 25", ".mp4", clip(HEVC)),
    Source(
        "endoscope-4k", "HEVC Main in MP4, 3840×2160 at 30", ".mp4",
        clip(HEVC.but(size=(3840, 2160), rate="30", frames=2)),
    ),
    Source(
        "hdr10", "HEVC Main 10 in MP4, PQ with mastering display", ".mp4",
        shot(
            "320x240", "25", 8, "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", _HDR_PARAMS, "-tag:v", "hvc1",
            filters=f"setparams={_HDR}", form="yuv420p10le",
        ),
    ),
)  # fmt: skip


DICOM = (
    Source("dicom-h264", "DICOM .102, 160×120 at 25", ".dcm", in_dicom(H264, "102")),
    Source("dicom-mpeg2", "DICOM .100, 352×288 at 25", ".dcm", in_dicom(MPEG2, "100")),
    Source("dicom-stereo-high", "DICOM .106 in a transport stream, synthetic", ".dcm", multiview_in_dicom),
    Source("us-rgb", "ultrasound loop, RGB", ".dcm", loop(lambda: smooth(samples=3), "RGB")),
    Source("us-grey", "ultrasound loop, MONOCHROME2, 8 bits", ".dcm", loop(smooth, "MONOCHROME2")),
    Source("us-palette", "ultrasound loop, PALETTE COLOR", ".dcm", palette_loop),
    Source(
        "grey-16",
        "secondary capture, MONOCHROME2, 16 bits",
        ".dcm",
        loop(lambda: smooth(16), "MONOCHROME2", **_GREY_WORD),
    ),
    Source(
        "grey-12",
        "secondary capture, MONOCHROME2, 12 of 16 bits",
        ".dcm",
        loop(lambda: smooth(12), "MONOCHROME2", bits=12, **_GREY_WORD),
    ),
    Source("us-jpeg", "ultrasound loop, JPEG Baseline frames", ".dcm", jpeg_loop),
)

SOURCES: tuple[Source, ...] = (*PLAIN, *DICOM)
