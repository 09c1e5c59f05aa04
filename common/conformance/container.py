"""Rules on the container. A breach of an error here is mended by a new container; the bitstream stays."""

from __future__ import annotations

from collections.abc import Iterator

from common.conformance.rules import OF_SYNTAX, Breach, Rule, StreamCase

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


CONTAINER_RULES: tuple[Rule[StreamCase], ...] = (
    Rule("container.format", OF_SYNTAX, "error", container_format),
    Rule("container.moov", _VIEWERS, "warning", moov_first),
    Rule("container.fragmented", _VIEWERS, "warning", fragmented),
    Rule("container.edit_list", _VIEWERS, "warning", edit_list),
    Rule("container.streams", OF_SYNTAX, "warning", other_streams),
)
