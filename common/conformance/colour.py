"""Rules on colour tags: what a viewer is told, and what it would guess."""

from __future__ import annotations

from collections.abc import Iterator

from common.conformance.rules import Breach, Rule, StreamCase

HD_LINES, HD_SAMPLES = 720, 1280
"""Pictures at least this high or wide are guessed to be BT.709, smaller ones BT.601 (the habit of players)."""

SD_MATRICES, HD_MATRICES = frozenset({"smpte170m", "bt470bg", "fcc"}), frozenset({"bt709"})

PQ = "smpte2084"
"""FFmpeg's name of the transfer of HDR10 (SMPTE ST 2084)."""

_CLAUSE = "PS3.3 C.7.6.3.1.2"


def untagged(case: StreamCase) -> Iterator[Breach]:
    """The stream names its matrix, primaries and transfer: without them each viewer guesses, from the size mostly."""
    video = case.video
    tags = {"matrix": video.matrix, "primaries": video.primaries, "transfer": video.transfer}
    missing = [name for name, tag in tags.items() if tag is None]
    if missing:
        yield Breach(f"no colour {', '.join(missing)}", "BT.601 or BT.709, named in the stream")


def unusual_matrix(case: StreamCase) -> Iterator[Breach]:
    """The matrix is the one that players guess from the size: BT.709 from 720 lines on, BT.601 below. Some heed no tags."""
    video = case.video
    high = video.height >= HD_LINES or video.width >= HD_SAMPLES
    if video.matrix in (SD_MATRICES if high else HD_MATRICES):
        wanted = "BT.709" if high else "BT.601"
        yield Breach(f"{video.matrix} in a picture of {video.width}×{video.height}", wanted)


def mastering(case: StreamCase) -> Iterator[Breach]:
    """A PQ picture carries the display it was graded on (SMPTE ST 2086): without it a screen maps its tones by guess."""
    if case.video.transfer == PQ and case.video.mastering_display is None:
        yield Breach("PQ without mastering display metadata", "the SEI message of H.265 D.2.28")


COLOUR_RULES: tuple[Rule[StreamCase], ...] = (
    Rule("stream.colour", _CLAUSE, "note", untagged),
    Rule("stream.colour.size", _CLAUSE, "note", unusual_matrix),
    Rule("stream.colour.mastering", _CLAUSE, "note", mastering),
)
