"""What a DICOM source is: video in fragments, or a sequence of images."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from common.dicom.pixel_stream import FragmentReader, Header, frame_fragments, integer, native_extent, read_header
from common.dicom.timing import Timing, read_timing
from common.dicom.transfer_syntaxes import ROOT, is_video
from common.errors import NotVideo, UnreadableSource, UnsupportedSource
from common.media import Description, DicomFacts, Gap, Kind, Steady, VideoStream
from workers import describe_video
from workers.describe_containers import HEAD_BYTES, check_whole, container_facts, container_name, signature
from workers.describe_quick import NoDigest, believed
from workers.describe_timing import gaps, longest, steady

if TYPE_CHECKING:
    from common.bitstream.mp4 import Mp4Layout
    from common.dicom.identifiers import Identifiers
    from common.header_patterns import HeaderPatterns
    from workers.describe import SourceDigest

CODECS = dict.fromkeys(("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"), "rawvideo")
CODECS |= {"1.2.840.10008.1.2.5": "rle", "1.2.840.10008.1.2.8.1": "deflate"}
CODECS |= dict.fromkeys((f"{ROOT}.50", f"{ROOT}.51"), "mjpeg")
CODECS |= dict.fromkeys((f"{ROOT}.57", f"{ROOT}.70"), "ljpeg")
CODECS |= dict.fromkeys((f"{ROOT}.80", f"{ROOT}.81"), "jpegls")
CODECS |= dict.fromkeys((f"{ROOT}.90", f"{ROOT}.91", f"{ROOT}.201", f"{ROOT}.202", f"{ROOT}.203"), "jpeg2000")
CODECS |= dict.fromkeys((f"{ROOT}.110", f"{ROOT}.111", f"{ROOT}.112"), "jpegxl")
"""Codec by the transfer syntax of a multi-frame image; FFmpeg's name where it has one."""

_TS_PACKETS = (188, 192, 204)  # bytes; with a time stamp, with forward error correction
_BUFFER_BYTES = 1 << 18


def describe_dicom(
    path: Path,
    digest: SourceDigest | NoDigest,
    rules: Identifiers | None = None,
    patterns: Sequence[HeaderPatterns | None] = (),
) -> Description:
    """Describe a file that looks like DICOM, whether ``rules`` give it other identifiers, and which ``patterns`` its header fits.

    Raises:
        BadIdentifiers: they give it none that is legal.
        NotVideo: one frame only, or no image.
        UnreadableSource, TruncatedSource, UnsupportedSource: as ``describe`` says.
    """
    from common.dicom.identifiers import would_change
    from common.header_patterns import rules_that_fit

    header = read_header(path)
    try:
        if header.frames < 2 and not is_video(header.transfer_syntax_uid):
            raise NotVideo("a DICOM image of a single frame")
        coerced = rules is not None and would_change(header.dataset, rules)
        made = (_video if is_video(header.transfer_syntax_uid) else _frames)(header, digest)
        facts = made.dicom and made.dicom.model_copy(update={"coerced": coerced})
        return made.model_copy(update={"dicom": facts, "header_rules": rules_that_fit(patterns, header.dataset)})
    except NotImplementedError as error:  # pydicom's word for it, when a value is first looked at
        raise UnreadableSource("a header value has a VR that DICOM does not know") from error


def _video(header: Header, digest: SourceDigest | NoDigest) -> Description:
    from workers.describe_media import read_media

    if not header.fragments:
        raise UnreadableSource("a video transfer syntax, but the pixel data holds no fragment")
    padded = sum(fragment.length for fragment in header.fragments)
    with _opened(header, padded) as payload:
        word = signature(payload.read(HEAD_BYTES), padded)
        layout = check_whole(payload, word)
        container = container_facts(payload, word, layout)
        length = _stream_length(header, padded, word, layout, payload)
    quick = isinstance(digest, NoDigest)
    media = read_media(lambda: _opened(header, length), quick=quick)
    announced = integer(header.dataset, "NumberOfFrames")
    notes, video = media.notes, believed(media.video, announced) if quick else media.video
    if announced != video.frame_count:
        notes += (f"the header says {announced or 'no number of'} frames, the stream holds {video.frame_count}",)
    facts = _facts(header, length)
    made = Description(
        kind=Kind.DICOM_VIDEO,
        digest=digest.finish(),
        size_bytes=digest.size,
        container=container_name(media.container, layout),
        video=video,
        audio=media.audio,
        other_streams=media.other_streams,
        video_streams=media.video_streams,
        dicom=facts,
        notes=notes,
        **container,
    )
    return made.model_copy(update={"dicom": facts.model_copy(update={"faults": _faults(header, made)})})


def _faults(header: Header, described: Description) -> tuple[str, ...]:
    """Errors that a new header around the same stream mends: what keeps an object from being kept as it is."""
    from common.conformance import Encapsulation, check_encapsulation, check_header

    uid = header.transfer_syntax_uid
    findings = (
        *check_header(header.dataset, described, uid),
        *check_encapsulation(Encapsulation.of(header, uid), uid),
    )
    return tuple(f"{each.found} where {each.required} is required" for each in findings if each.severity == "error")


def _opened(header: Header, length: int) -> io.BufferedReader:
    return io.BufferedReader(FragmentReader(header.path, header.fragments, length), _BUFFER_BYTES)


def _stream_length(
    header: Header, padded: int, word: str | None, layout: Mp4Layout | None, payload: io.BufferedReader
) -> int:
    """Bytes of the stream: (7FE0,0003) where it fits, else all of them less a pad byte that the container proves.

    An elementary or program stream may itself end in a zero byte: there a pad stays in, where decoders pass it over.
    """
    named = integer(header.dataset, "EncapsulatedPixelDataValueTotalLength")
    if padded - 1 <= named <= padded and named:
        return named
    payload.seek(padded - 1)
    if payload.read(1) != b"\0":
        return padded
    boxes_end = max((box.offset + box.size for box in layout.boxes), default=0) if layout else 0
    whole_packets = word == "mpegts" and _packets(padded - 1) and not _packets(padded)
    return padded - 1 if boxes_end == padded - 1 or whole_packets else padded


def _packets(length: int) -> bool:
    """Whether TS packets of one of their sizes fill so many bytes."""
    return any(length % size == 0 for size in _TS_PACKETS)


def _frames(header: Header, digest: SourceDigest | NoDigest) -> Description:
    codec = CODECS.get(header.transfer_syntax_uid)
    if codec is None:
        raise UnsupportedSource(f"no decoder for frames under transfer syntax {header.transfer_syntax_uid}")
    timing = read_timing(header.dataset, header.frames)
    default = f"no timing in the header: {timing.frame_rate} frames/s assumed"
    return Description(
        kind=Kind.DICOM_FRAMES,
        video=_frames_as_stream(header, codec, timing),
        digest=digest.finish(),
        size_bytes=digest.size,
        container="frames",
        dicom=_facts(header, None),
        notes=(default,) if timing.source == "default" else (),
    )


def _frames_as_stream(header: Header, codec: str, timing: Timing) -> VideoStream:
    from workers.frames.stream import look

    stored = _stored_bytes(header)
    layout, form = look(header.path)
    duration_ms = _duration_ms(timing, header.frames)
    made, left_out = _uneven(timing)
    return VideoStream(
        codec=codec,
        width=layout.columns,
        height=layout.rows,
        pixel_aspect=_pixel_aspect(header),
        pixel_format=form.pixel_format,
        bit_depth=layout.stored,
        chroma=describe_video.shape(form.pixel_format)[1],
        full_range=form.full_range,
        matrix=form.matrix,
        frame_rate=timing.frame_rate,
        constant_rate=timing.vector_ms is None,
        steady=made,
        gaps=longest(left_out),
        gap_count=len(left_out),
        frame_count=header.frames,
        duration_ms=duration_ms,
        bit_rate=round(8000 * stored / duration_ms) if duration_ms else None,
    )


def _uneven(timing: Timing) -> tuple[Steady | None, list[Gap]]:
    """What a loop whose frames have times of their own can be made, and where its times leave frames out."""
    if timing.vector_ms is None:
        return None, []
    import numpy as np

    increments = np.array(timing.vector_ms[1:])
    seconds = np.concatenate(([0.0], np.cumsum(increments))) / 1000
    return steady(seconds, float(increments.mean()) / 1000), gaps(seconds)


def _stored_bytes(header: Header) -> int:
    """Bytes of all frames as they are stored; refuses a file with fewer frames than its header says."""
    if header.length is not None:
        return native_extent(header)[1]
    return sum(part.length for frame in frame_fragments(header) for part in frame)


def _duration_ms(timing: Timing, frames: int) -> float:
    """The last frame of a vector is shown as long as the mean of the others."""
    if timing.vector_ms is None:
        return float(1000 * frames / timing.frame_rate)
    return sum(timing.vector_ms[1:]) * frames / (frames - 1)


def _pixel_aspect(header: Header) -> Fraction:
    """Width/height of a pixel; the attribute has vertical size first (PS3.3 C.7.6.3.1.7)."""
    try:
        vertical, horizontal = (int(value) for value in header.dataset.get("PixelAspectRatio") or (1, 1))
    except (TypeError, ValueError):
        return Fraction(1)
    return Fraction(horizontal, vertical) if vertical > 0 < horizontal else Fraction(1)


def _facts(header: Header, stream_length: int | None) -> DicomFacts:
    dataset = header.dataset
    names = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
    sop_class, instance, series, study = uids = [str(dataset.get(name) or "") for name in names]
    if not all(uids):
        missing = ", ".join(name for name, uid in zip(names, uids, strict=True) if not uid)
        raise UnreadableSource(
            f"the DICOM header lacks {missing}", hint="Repair the header, and run the same command again."
        )
    return DicomFacts(
        sop_class_uid=sop_class,
        sop_instance_uid=instance,
        series_uid=series,
        study_uid=study,
        transfer_syntax_uid=header.transfer_syntax_uid,
        modality=str(dataset.get("Modality") or ""),
        photometric=str(dataset.get("PhotometricInterpretation") or ""),
        samples_per_pixel=integer(dataset, "SamplesPerPixel"),
        planar_configuration=integer(dataset, "PlanarConfiguration"),
        bits_allocated=integer(dataset, "BitsAllocated"),
        bits_stored=integer(dataset, "BitsStored"),
        pixel_representation=integer(dataset, "PixelRepresentation"),
        rows=integer(dataset, "Rows"),
        columns=integer(dataset, "Columns"),
        number_of_frames=header.frames,
        lossy=str(dataset.get("LossyImageCompression") or "") == "01",
        fragment_count=len(header.fragments) if header.length is None else None,
        pixel_data_offset=header.pixel_data_offset,
        stream_length=stream_length,
    )
