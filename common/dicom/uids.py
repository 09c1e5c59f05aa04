"""The one door for new UIDs: same input, same UID (``2.25.`` + bits of SHA-256, PS3.5 B.2): no second run makes a second instance."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

IMPLEMENTATION_CLASS_UID = "2.25.39067173555809025393269974469658525200"
"""(0002,0012); ``derived_uid("implementation", "cinefarm")``, fixed so that archives can tell our files."""

IMPLEMENTATION_VERSION_NAME = "CINEFARM_1"
"""(0002,0013), at most 16 characters; names the file writer, not the release, so that output bytes do not change with releases."""

STUDY_IDENTITY = ("PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyID", "StudyDate", "StudyTime")
"""Rows that agree in these belong to one study."""

SERIES_IDENTITY = ("Modality", "SeriesNumber", "SeriesDescription", "SeriesDate", "SeriesTime")
"""Rows of one study that agree in these belong to one series."""


def derived_uid(role: str, *parts: str) -> str:
    """UID of what ``role`` and ``parts`` name, in that order.

    The 128 bits are the first half of a SHA-256 with the version and variant bits of RFC 9562's UUIDv8 set: PS3.5 B.2 wants
    the integer of a UUID below 2.25. Parts are length-prefixed, so ("ab", "c") and ("a", "bc") differ.
    """
    text = "".join(f"{len(part.encode())}:{part}" for part in ("cinefarm", role, *parts))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16])
    number = number & ~(0xF << 76) | (8 << 76)
    number = number & ~(0x3 << 62) | (2 << 62)
    return f"2.25.{number}"


def instance_uid(source_uid_or_digest: str, recipe_digest: str) -> str:
    """SOP Instance UID of what one recipe makes of one source."""
    return derived_uid("instance", source_uid_or_digest, recipe_digest)


def part_uid(whole_uid: str, number: int, parts: int, limit_bytes: int) -> str:
    """SOP Instance UID of part ``number`` (from 1) of ``parts`` of what would be the instance ``whole_uid``.

    With another limit the borders may lie elsewhere, though the parts are as many.
    """
    return derived_uid("part", whole_uid, str(number), str(parts), str(limit_bytes))


def study_uid(attributes: Dataset) -> str:
    """Study Instance UID: the row's own, else derived from its study attributes."""
    return str(attributes.get("StudyInstanceUID") or derived_uid("study", *_texts(attributes, STUDY_IDENTITY)))


def series_uid(attributes: Dataset) -> str:
    """Series Instance UID: the row's own, else derived from its study and series attributes."""
    if own := attributes.get("SeriesInstanceUID"):
        return str(own)
    return derived_uid("series", study_uid(attributes), *_texts(attributes, SERIES_IDENTITY))


def _texts(attributes: Dataset, keywords: tuple[str, ...]) -> list[str]:
    return [str(attributes.get(keyword) or "") for keyword in keywords]
