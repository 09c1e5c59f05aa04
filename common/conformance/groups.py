"""Rules on the functional groups of enhanced multi-frame headers (PS3.3 C.7.6.16)."""

from __future__ import annotations

from collections.abc import Iterator

from common.conformance.case import HeaderView
from common.conformance.rules import Breach, Rule

SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"


def shared(case: HeaderView) -> Iterator[Breach]:
    """Shared Functional Groups Sequence has exactly one item."""
    items = case.items(SHARED)
    if items is not None and len(items) != 1:
        yield Breach(f"{len(items)} items in {SHARED}", "one item, which holds for all frames")


def per_frame(case: HeaderView) -> Iterator[Breach]:
    """Per-frame Functional Groups Sequence has one item a frame."""
    items = case.items(PER_FRAME)
    if items is not None and len(items) != case.frame_count:
        yield Breach(f"{len(items)} items in {PER_FRAME}", f"{case.frame_count}, one a frame")


def pair(case: HeaderView) -> Iterator[Breach]:
    """Both functional group sequences are there, or neither."""
    present = [keyword in case.header for keyword in (SHARED, PER_FRAME)]
    if present[0] != present[1]:
        have, lack = (SHARED, PER_FRAME) if present[0] else (PER_FRAME, SHARED)
        yield Breach(f"{have} without {lack}", "both of them, or neither")


def twice(case: HeaderView) -> Iterator[Breach]:
    """A functional group stands in the shared item or in those of the frames, not in both."""
    common_tags = {tag for item in (case.items(SHARED) or [])[:1] for tag in item.keys()}  # noqa: SIM118 - stays raw
    both = common_tags & {tag for item in case.items(PER_FRAME) or [] for tag in item.keys()}  # noqa: SIM118
    if both := {tag for tag in both if not tag.is_private}:
        yield Breach(f"{len(both)} functional groups both shared and per frame", "each in one of the two")


GROUP_RULES: tuple[Rule[HeaderView], ...] = (
    Rule("header.groups.shared", "PS3.3 C.7.6.16", "error", shared),
    Rule("header.groups.per_frame", "PS3.3 C.7.6.16", "error", per_frame),
    Rule("header.groups.pair", "PS3.3 C.7.6.16", "error", pair),
    Rule("header.groups.twice", "PS3.3 C.7.6.16.1.1", "warning", twice),
)
