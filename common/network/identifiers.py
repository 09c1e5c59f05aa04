"""Identifiers (PS3.4 C.4.1.1.3): questions as data sets, and the values of answers as they were sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from common.errors import PolicyError

if TYPE_CHECKING:
    from pydicom import Dataset

    from common.network.query import Level


def identifier(level: Level, keys: Mapping[str, str], wanted: tuple[str, ...]) -> Dataset:
    """A question: keys with values are matched, those without (``wanted``) are asked for.

    Raises:
        PolicyError: a key is no keyword.
    """
    from pydicom import Dataset
    from pydicom.config import IGNORE
    from pydicom.datadict import dictionary_VR, tag_for_keyword
    from pydicom.dataelem import DataElement

    values = {**dict.fromkeys(wanted, ""), **keys}
    made = Dataset()
    made.QueryRetrieveLevel = level.value
    if repertoire := _repertoire("".join(values.values())):
        made.SpecificCharacterSet = repertoire
    for name, value in values.items():
        tag = tag_for_keyword(name)
        if tag is None:
            raise PolicyError(f"{name} is no keyword of the DICOM dictionary")
        made.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE))  # ranges and wildcards
    return made


def _repertoire(text: str) -> str:
    """Specific Character Set of the question: the oldest that holds its characters, which most archives understand."""
    if text.isascii():
        return ""
    try:
        text.encode("iso8859_1")
    except UnicodeEncodeError:
        return "ISO_IR 192"
    return "ISO_IR 100"


def text(match: Dataset, name: str) -> str:
    """A value as it was sent: what is read here are codes, numbers and UIDs, whatever they are worth."""
    from pydicom.datadict import tag_for_keyword

    element: Any = match.get_item(tag_for_keyword(name) or 0)
    value = getattr(element, "value", None)
    if isinstance(value, bytes) and name == "PatientID":
        value = match.get(name)  # the one text that may need the character set
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if value is None or isinstance(value, str | int):
        return str(value or "").strip(" \0")
    return "\\".join(map(str, value))  # read already, as a list


def several(value: str) -> tuple[str, ...]:
    """The values of a list."""
    return tuple(part for each in value.split("\\") if (part := each.strip(" \0")))


def number(value: str) -> int | None:
    """A count; None: the text is none."""
    return int(value) if value.isascii() and value.isdigit() else None
