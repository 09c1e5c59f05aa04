"""The columns of the mapping CSV: DICOM keywords, checked and turned into data elements."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from functools import cache

from pydicom import Dataset, config
from pydicom._dicom_dict import DicomDictionary
from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword
from pydicom.valuerep import validate_value

from common.dicom.sop_classes import REQUEST_NAMES

FILE = "file"
ANATOMIC_REGION = "AnatomicRegion"
"""Our one short form: ``value^scheme^meaning`` for the one item of Anatomic Region Sequence (PS3.3 10.5)."""

FORMS = {
    "AE": "an Application Entity title of at most 16 characters",
    "AS": "an age such as 045Y, 018M, 010W or 003D",
    "CS": "at most 16 of the characters A–Z, 0–9, space and _",
    "DA": "a date as YYYYMMDD or YYYY-MM-DD",
    "DS": "a decimal number of at most 16 characters",
    "DT": "a date and time as YYYYMMDDHHMMSS or YYYY-MM-DDTHH:MM:SS, with an offset such as +0100 when it is known",
    "FD": "a number",
    "FL": "a number",
    "IS": "a whole number from -2147483648 to 2147483647",
    "LO": "at most 64 characters on one line",
    "LT": "at most 10240 characters",
    "PN": "Family^Given^Middle^Prefix^Suffix, at most 64 characters",
    "SH": "at most 16 characters on one line",
    "SL": "a whole number from -2147483648 to 2147483647",
    "SS": "a whole number from -32768 to 32767",
    "ST": "at most 1024 characters",
    "TM": "a time as HHMMSS or HH:MM:SS",
    "UC": "text on one line",
    "UI": "a UID: numbers joined by dots, no number with a leading zero, at most 64 characters",
    "UL": "a whole number from 0 to 4294967295",
    "UR": "a URI",
    "US": "a whole number from 0 to 65535",
    "UT": "text",
}
"""The VRs that a column may have, with their form for people (PS3.5 table 6.2-1)."""

_ENUMERATED = {  # PS3.3 C.7.1.1, C.7.3.1, C.8.11.7, C.7.6.1: values that archives refuse when they are anything else
    "PatientSex": {"M", "F", "O"},
    "Laterality": {"R", "L"},
    "ImageLaterality": {"R", "L", "U", "B"},
    "BurnedInAnnotation": {"YES", "NO"},
}
_TEXT = {"LT", "ST", "UT", "UR"}  # one value each: a backslash is a character (PS3.5 6.4)
_MOMENTS = {  # on top of pydicom's checks, which let a range through: only a query may hold one
    "DA": re.compile(r"\d{8}"),
    "TM": re.compile(r"[\d.]+"),
    "DT": re.compile(r"[\d.]+([+-]\d{4})?"),
}
_ANY_SCRIPT = {"LO", "LT", "PN", "SH", "ST", "UC", "UT"}  # Specific Character Set governs these alone (PS3.5 6.1.2.3)
_INTEGERS = {"US", "SS", "UL", "SL"}
_FLOATS = {"FD", "FL"}
_OURS = {"SOPInstanceUID", "SpecificCharacterSet", "PixelAspectRatio", "CineRate", "FrameTime", "FrameTimeVector"}
_GROUPS_NOT_OURS = {0x0000, 0x0002, 0x0004, 0x0028, 0x7FE0}  # command set, file meta, DICOMDIR, image pixel, pixel data
_ALLOWED_0028 = {"BurnedInAnnotation", "RecognizableVisualFeatures"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, value representation and value multiplicity."""

    name: str
    vr: str
    vm: str


def column(name: str) -> Column:
    """The column called ``name``.

    Raises:
        ValueError: no such column; the text says why, with the nearest known one.
    """
    if name == ANATOMIC_REGION:
        return Column(name, "SQ", "1")
    tag = tag_for_keyword(name)
    if tag is None:
        # the name itself stays out of the text: where the first line is missing, it is a patient's
        nearest = get_close_matches(_plain(name), _keywords(), n=1, cutoff=0.7)
        suggestion = f"; did you mean {_keywords()[nearest[0]]}?" if nearest else "; is the first line missing?"
        raise ValueError(f"unknown column: it is not a DICOM keyword{suggestion}")
    if name in _OURS or (tag >> 16 in _GROUPS_NOT_OURS and name not in _ALLOWED_0028):
        raise ValueError(f"the column {name} is not allowed: its value is read from the video or made by Cinefarm")
    vr = dictionary_VR(tag)
    if vr not in FORMS:
        raise ValueError(f"the column {name} is not allowed: a value of type {vr} does not fit a cell of a CSV")
    return Column(name, vr, dictionary_VM(tag))


def clean(column: Column, text: str) -> str:
    """The cell in DICOM's own form: ISO dates and times lose their punctuation, class names become UIDs.

    Raises:
        ValueError: not legal; the text says the legal form and never the value.
    """
    if column.name == ANATOMIC_REGION:
        return _code(text)
    if column.name == "SOPClassUID":
        return _sop_class(text)
    values = [text] if column.vr in _TEXT else text.split("\\")
    if not _fits(column.vm, len(values)):
        raise ValueError(f"{len(values)} values where {column.vm} are allowed (a backslash separates values)")
    if len(values) > 1 and not all(value.strip() for value in values):
        raise ValueError("an empty value beside a backslash (a backslash separates values)")
    return "\\".join(_value(column, value.strip()) for value in values)


def put(dataset: Dataset, column: Column, text: str) -> None:
    """Add one cleaned, non-empty cell to the dataset."""
    if column.name == ANATOMIC_REGION:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = text.split("^")
        dataset.AnatomicRegionSequence = [item]
        return
    values: list[str | int | float] = [text] if column.vr in _TEXT else [_typed(column.vr, v) for v in text.split("\\")]
    setattr(dataset, column.name, values[0] if len(values) == 1 else values)


def _typed(vr: str, text: str) -> str | int | float:
    if vr in _INTEGERS:
        return int(text)
    return float(text) if vr in _FLOATS else text


def _value(column: Column, text: str) -> str:
    vr = column.vr
    text = _without_iso(vr, text)
    allowed = _ENUMERATED.get(column.name)
    if allowed and text not in allowed:
        raise ValueError(f"must be one of {', '.join(sorted(allowed))}")
    try:
        _check(vr, text)
    except ValueError:
        raise ValueError(f"not legal for {vr}: it must be {FORMS[vr]}") from None
    return text


def _check(vr: str, text: str) -> None:
    if not text.isascii() and vr not in _ANY_SCRIPT:
        raise ValueError
    typed = _typed(vr, text)
    validate_value(vr, typed, config.RAISE)
    control = {"\r", "\n", "\t", "\f"} if vr in _TEXT else set()
    illegal = any(unicodedata.category(c) in {"Cc", "Cs"} and c not in control for c in text)
    if illegal or (vr in _FLOATS | {"DS"} and not math.isfinite(float(text))):
        raise ValueError
    if vr in _MOMENTS and not _MOMENTS[vr].fullmatch(text):
        raise ValueError
    if vr in {"DA", "DT"}:
        digits = re.split(r"[.+-]", text)[0]
        date(int(digits[:4]), int(digits[4:6] or 1), int(digits[6:8] or 1))  # refuses 30 February
    if vr == "PN" and any(group.count("^") > 4 for group in text.split("=")):
        raise ValueError
    if vr == "IS" and not -(2**31) <= int(text) < 2**31:
        raise ValueError


def _without_iso(vr: str, text: str) -> str:
    """ISO 8601 punctuation is dropped where it is unambiguous: spreadsheets write it."""
    if vr == "DA":
        return re.sub(r"^(\d{4})-(\d\d)-(\d\d)$", r"\1\2\3", text)
    if vr == "TM":
        return re.sub(r"^(\d\d):(\d\d)(?::(\d\d(?:\.\d{1,6})?))?$", r"\1\2\3", text)
    if vr == "DT":
        return re.sub(
            r"^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d(?:\.\d{1,6})?))?(?:([+-]\d\d):?(\d\d))?$",
            r"\1\2\3\4\5\6\7\8",
            text,
        )
    return text


def _code(text: str) -> str:
    parts = [part.strip() for part in text.split("^")]
    limits = (16, 16, 64)  # SH, SH, LO
    if len(parts) != len(limits) or any(not part or len(part) > n for part, n in zip(parts, limits, strict=False)):
        raise ValueError("must be value^scheme^meaning, for example 71854001^SCT^Colon")
    return "^".join(parts)


def _sop_class(text: str) -> str:
    known = _storage_classes()
    uid = REQUEST_NAMES.get(text.strip().lower()) or known.get(_bare(text), text.strip())
    if uid not in known.values():
        raise ValueError("must be a storage class: its UID, or its name such as 'Video Endoscopic'")
    return uid


def _bare(name: str) -> str:
    return _plain(name).removesuffix("storage").removesuffix("image")


@cache
def _storage_classes() -> dict[str, str]:
    """Plain name without 'Image Storage' → UID, of all storage SOP classes (PS3.6 table A-1)."""
    names = {uid: entry[0] for uid, entry in UID_dictionary.items() if entry[1] == "SOP Class"}
    return {_bare(name): uid for uid, name in names.items() if name.endswith("Storage")}


@cache
def _keywords() -> dict[str, str]:
    """Plain spelling → keyword, of everything that a column may be called."""
    known = [entry[4] for entry in DicomDictionary.values() if entry[4]]
    return {_plain(name): name for name in (*known, FILE, ANATOMIC_REGION)}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _fits(vm: str, count: int) -> bool:
    low, _, high = vm.partition("-")
    least, most = int(low), high or low
    return count >= least and (most.endswith("n") or count <= int(most))
