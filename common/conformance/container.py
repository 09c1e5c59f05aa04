"""Rules on the container. A breach of an error here is mended by a new container; the bitstream stays."""

from __future__ import annotations

from collections.abc import Iterator

from common.bitstream.mpegts import PACKET, VIDEO_TYPES
from common.conformance.rules import OF_SYNTAX, Breach, Rule, StreamCase

SAMPLE_ENTRIES: dict[str, tuple[str, ...]] = {
    "h264": ("avc1", "avc3", "avc2", "avc4", "mvc1", "mvc2"),
    "hevc": ("hvc1", "hev1"),
    "mpeg2video": ("mp4v",),
}
"""FFmpeg's codec name → sample entries of ISO/IEC 14496-15 and 14496-14."""

IN_BAND = {"avc3": "avc1", "avc4": "avc2", "hev1": "hvc1"}
"""Sample entries that let parameter sets come in the samples alone → those that do not (ISO/IEC 14496-15 5.4.2.1, 8.4.1.1)."""

_VIEWERS = "OHIF and DICOMweb viewers"
"""Clause of rules that the standard does not make: what viewers need to start at once."""


def container_format(case: StreamCase) -> Iterator[Breach]:
    """H.264 and HEVC lie in an MPEG-2 transport stream or in MP4; for MPEG-2 the container is free."""
    allowed = case.syntax.containers
    if allowed and case.description.container not in allowed:
        yield Breach(f"container {case.description.container}", " or ".join(allowed))


def moov_first(case: StreamCase) -> Iterator[Breach]:
    """The index of an MP4 stands before its media, so that a viewer can start on the first bytes."""
    if case.description.moov_first is False:
        yield Breach("moov behind the media", "moov first", "A rewrap moves it.")


def fragmented(case: StreamCase) -> Iterator[Breach]:
    """An MP4 uses no movie fragments: ISO/IEC 14496-12 allows them, players of stored files differ."""
    if case.description.fragmented:
        yield Breach("a fragmented MP4", "one movie without fragments")


def edit_list(case: StreamCase) -> Iterator[Breach]:
    """No edit list drops or shifts frames: players differ, and Number of Frames counts what is coded."""
    if case.description.edit_list:
        yield Breach("an edit list that drops or shifts frames", "every coded frame shown once")


def other_streams(case: StreamCase) -> Iterator[Breach]:
    """Only video and sound: subtitles and data may hold personal data that no header announces."""
    if case.description.other_streams:
        yield Breach(f"{case.description.other_streams} streams that are neither video nor sound", "none")


def sample_entry(case: StreamCase) -> Iterator[Breach]:
    """The sample entry of an MP4 is one of its codec's (ISO/IEC 14496-15 5.4.2.1, 8.4.1.1; 14496-14 5.6)."""
    known = SAMPLE_ENTRIES.get(case.video.codec)
    if known and case.description.sample_entry and case.description.sample_entry not in known:
        yield Breach(f"sample entry {case.description.sample_entry}", " or ".join(known))


def in_band(case: StreamCase) -> Iterator[Breach]:
    """Parameter sets stand in the index: avc1 and hvc1. Many players show nothing of avc3 and hev1."""
    entry = case.description.sample_entry
    if entry in IN_BAND:
        yield Breach(f"sample entry {entry}", IN_BAND[entry], "A rewrap names it anew.")


def sample_entries(case: StreamCase) -> Iterator[Breach]:
    """An MP4's video has one sample description: players that read only the first show the rest wrongly."""
    if (case.description.sample_entries or 0) > 1:
        yield Breach(f"{case.description.sample_entries} sample descriptions", "one")


def one_video(case: StreamCase) -> Iterator[Breach]:
    """The container holds one video stream: Pixel Data is one image, and a viewer shows whichever it likes."""
    if case.description.video_streams > 1:
        yield Breach(f"{case.description.video_streams} video streams", "one")


def self_contained(case: StreamCase) -> Iterator[Breach]:
    """All samples of an MP4 lie in itself (ISO/IEC 14496-12 8.7.2): a DICOM object refers to no other file."""
    if case.description.external_data:
        yield Breach("a track whose samples lie in another file", "all samples in the file")


def one_program(case: StreamCase) -> Iterator[Breach]:
    """A transport stream holds one program (ISO/IEC 13818-1 2.4.4.3): a viewer shows whichever it likes."""
    programs = case.description.programs
    if case.syntax.containers and programs is not None and programs > 1:
        yield Breach(f"{programs} programs", "one")


def stream_type(case: StreamCase) -> Iterator[Breach]:
    """A transport stream announces the video by its codec's stream_type (ISO/IEC 13818-1 Table 2-34)."""
    kind = case.description.stream_type
    if case.syntax.containers and kind is not None and VIDEO_TYPES.get(kind) != case.video.codec:
        wanted = ", ".join(f"{number:#04x}" for number, codec in VIDEO_TYPES.items() if codec == case.video.codec)
        yield Breach(f"stream_type {kind:#04x} for {case.video.codec} video", wanted or "a codec of the table")


def transport_packets(case: StreamCase) -> Iterator[Breach]:
    """A transport stream has packets of 188 bytes (ISO/IEC 13818-1 2.4.3.2), and no time stamps before them as M2TS has."""
    size = case.description.packet_bytes
    if case.syntax.containers and size is not None and size != PACKET:
        yield Breach(f"packets of {size} bytes", f"{PACKET} bytes")


CONTAINER_RULES: tuple[Rule[StreamCase], ...] = (
    Rule("container.format", OF_SYNTAX, "error", container_format),
    Rule("container.external", OF_SYNTAX, "error", self_contained),
    Rule("container.video_streams", OF_SYNTAX, "error", one_video),
    Rule("container.sample_entry", OF_SYNTAX, "error", sample_entry),
    Rule("container.sample_entry.in_band", _VIEWERS, "warning", in_band),
    Rule("container.sample_entries", _VIEWERS, "warning", sample_entries),
    Rule("container.programs", OF_SYNTAX, "error", one_program),
    Rule("container.stream_type", OF_SYNTAX, "error", stream_type),
    Rule("container.packets", OF_SYNTAX, "error", transport_packets),
    Rule("container.moov", _VIEWERS, "warning", moov_first),
    Rule("container.fragmented", _VIEWERS, "warning", fragmented),
    Rule("container.edit_list", _VIEWERS, "warning", edit_list),
    Rule("container.streams", OF_SYNTAX, "warning", other_streams),
)
