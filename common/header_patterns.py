"""Patterns on free text of a header. Whoever holds the header matches them, for text that people typed may name a patient: what
leaves that process is the numbers of the rules that fit, never the text."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from common.media import Value

if TYPE_CHECKING:
    from pydicom import Dataset

Patterns = tuple[Annotated[str, Field(min_length=1, max_length=128)], ...]

KEYWORDS = {
    "series_description": "SeriesDescription",
    "study_description": "StudyDescription",
    "body_part": "BodyPartExamined",
    "protocol": "ProtocolName",
}
"""Field of the patterns → keyword of the attribute: (0008,103E), (0008,1030), (0018,0015), (0018,1030)."""


class HeaderPatterns(Value):
    """Of one rule: each list that is not empty has to fit, by one of its patterns. ``*``, ``?`` and ``[…]`` as in file names;
    capitals do not count."""

    series_description: Patterns = ()
    study_description: Patterns = ()
    body_part: Patterns = ()
    protocol: Patterns = ()

    def fits(self, header: Dataset) -> bool:
        """Whether a header is meant. What it lacks, or leaves empty, fits no pattern."""
        return all(
            _fits(str(header.get(keyword) or ""), asked)
            for name, keyword in KEYWORDS.items()
            if (asked := getattr(self, name))
        )


def rules_that_fit(patterns: Sequence[HeaderPatterns | None], header: Dataset) -> tuple[int, ...]:
    """Numbers, from 0, of the rules whose patterns a header fits; None: that rule has none, and is not answered for."""
    return tuple(number for number, each in enumerate(patterns) if each is not None and each.fits(header))


def _fits(text: str, patterns: Patterns) -> bool:
    plain = text.strip().casefold()
    return bool(plain) and any(fnmatchcase(plain, each.strip().casefold()) for each in patterns)
