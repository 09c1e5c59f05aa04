"""A site's rules for patient identifiers and accession numbers, applied to a header; what they replace stays on record.

The original values go into an item of the Original Attributes Sequence (PS3.3 C.12.1, Table C.12-1), with the reason COERCE. A
coerced instance is the same SOP Instance: its UID "does not change during subsequent coercion" (PS3.3 Table C.12-1, Instance
Creation Date). Rules hold patient identifiers: they live in the object store, and no message here names a value.
"""

from __future__ import annotations

import hashlib
import json
import re
from copy import deepcopy
from functools import cached_property
from typing import TYPE_CHECKING, Literal
from unicodedata import category

from pydantic import ConfigDict, Field, field_validator

from common.errors import BadIdentifiers, UnreadableSource
from common.media import Value

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement, RawDataElement
    from pydicom.dataset import Dataset

LONGEST = {"PatientID": 64, "IssuerOfPatientID": 64, "AccessionNumber": 16}
"""Characters of an LO and of an SH value (PS3.5 6.2)."""

REQUESTS = "RequestAttributesSequence"
"""(0040,0275): its items name the accession number of their request once more (PS3.3 Table 10-9)."""

ORIGINALS = "OriginalAttributesSequence"
SIGNATURES = ("MACParametersSequence", "DigitalSignaturesSequence")
"""They go to the originals: what was signed is no longer there (PS3.15 C)."""

_QUALIFIERS = "IssuerOfPatientIDQualifiersSequence"
_READ = ("SpecificCharacterSet", *LONGEST, _QUALIFIERS, REQUESTS)
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_MOST_CHARACTERS = 1024  # of a value that a rule's pattern is tried on

HINT = "Change the rule file (docs/identifiers.md), and run the same command again."


class _Rule(Value):
    model_config = ConfigDict(hide_input_in_errors=True)

    @field_validator("*")
    @classmethod
    def _written_anywhere(cls, value: object) -> object:
        """Whatever a rule writes must fit each character set that a header may name (PS3.5 6.1): printable ASCII."""
        for text in value.values() if isinstance(value, dict) else (value,):
            if isinstance(text, str) and not (text.isascii() and text.isprintable()):
                raise ValueError("only printable ASCII characters fit every DICOM character set")
        return value


class PatientRule(_Rule):
    """What becomes of Patient ID and Issuer of Patient ID: first the list of IDs, then the prefix, then the issuer."""

    when_issuer: str | None = Field(default=None, description="only where the header has this issuer; empty: none")
    ids: dict[str, str] = Field(default_factory=dict, repr=False, description="old → new Patient ID")
    unmapped: Literal["refuse", "keep"] = Field(default="refuse", description="an ID that the list does not have")
    prefix: str = ""
    issuer: str | None = Field(default=None, description="issuer to write; None: as it was")

    def new_id(self, old: str) -> str:
        """The new Patient ID. Raises: BadIdentifiers: the list does not have it, and such are refused."""
        if self.ids and old not in self.ids and self.unmapped == "refuse":
            raise BadIdentifiers(
                "the list of patient IDs in the rule file does not have this one",
                hint='Add it to the list, or write unmapped = "keep" in the rule (docs/identifiers.md).',
            )
        return self.prefix + self.ids.get(old, old)


class AccessionRule(_Rule):
    """What becomes of an accession number that fits a pattern as a whole."""

    match: str = Field(default="(?s:.*)", description="regular expression (Python's re)")
    replace: str | None = Field(default=None, description=r"new number, \1 for a group; None: as it was")
    prefix: str = ""

    @field_validator("match")
    @classmethod
    def _compiles(cls, match: str) -> str:
        try:
            re.compile(match)
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        return match

    def new_number(self, old: str) -> str | None:
        """The new number; None: it does not fit. Raises: BadIdentifiers: the replacement names a group that is not there."""
        found = re.fullmatch(self.match, old)
        if found is None:
            return None
        try:
            return self.prefix + (old if self.replace is None else found.expand(self.replace))
        except (re.error, IndexError) as error:
            raise BadIdentifiers("a rule's replacement names a group that its pattern lacks", hint=HINT) from error


def identifiers_key(digest: str) -> str:
    """Where rules with this SHA-256 lie in the object store."""
    return f"identifiers/{digest}.json"


class Identifiers(_Rule):
    """All rules of a site. Of each kind the first that fits is applied, alone."""

    source: str = Field(
        default="", max_length=64, description="Source of Previous Values (0400,0564): whose IDs they were"
    )
    patient: tuple[PatientRule, ...] = ()
    accession: tuple[AccessionRule, ...] = ()

    @cached_property
    def json_bytes(self) -> bytes:
        """One canonical spelling, so that equal rules have an equal digest."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the rules, hexadecimal."""
        return hashlib.sha256(self.json_bytes).hexdigest()

    @property
    def key(self) -> str:
        """Where they lie in the object store."""
        return identifiers_key(self.digest)

    @property
    def system(self) -> str:
        """Modifying System (0400,0563), which tells that these very rules were applied."""
        return f"Cinefarm identifiers {self.digest[:16]}"


def would_change(header: Dataset, rules: Identifiers) -> bool:
    """Whether the rules give this header other identifiers. Raises: as ``coerce``."""
    return not was_coerced(header, rules) and any(_changes(header, rules))


def was_coerced(header: Dataset, rules: Identifiers) -> bool:
    """Whether an item of the Original Attributes Sequence says that these rules were applied."""
    return any(str(item.get("ModifyingSystem") or "") == rules.system for item in header.get(ORIGINALS) or ())


def coerce(header: Dataset, rules: Identifiers, moment: str) -> bool:
    """Apply the rules in place and append what they replaced to the Original Attributes Sequence; False: nothing changes.

    ``moment``: Attribute Modification DateTime (0400,0562), a DT. A header to which the same rules were applied before is
    left as it is. An attribute that was absent stands with zero length among the originals.

    Raises:
        BadIdentifiers: a rule refuses this header, or makes a value that is too long.
        UnreadableSource: an identifier is none that could be rewritten.
    """
    if was_coerced(header, rules):
        return False
    values, requests = _changes(header, rules)
    if not values and not requests:
        return False
    values |= dict.fromkeys(keyword for keyword in SIGNATURES if keyword in header)
    originals = [_original(header, keyword) for keyword in (*values, *([REQUESTS] if requests else []))]
    for keyword, text in values.items():
        if text is not None:
            setattr(header, keyword, text)
        elif keyword in header:
            delattr(header, keyword)
    for position, number in requests.items():
        header[REQUESTS].value[position].AccessionNumber = number
    header[ORIGINALS] = _appended(header, originals, rules, moment)
    return True


def _changes(header: Dataset, rules: Identifiers) -> tuple[dict[str, str | None], dict[int, str]]:
    """What changes at the top level and in the requests. The header's own elements stay raw: originals are kept to the byte."""
    import warnings

    from pydicom.datadict import tag_for_keyword
    from pydicom.dataset import Dataset

    tags = [tag for word in _READ if (tag := tag_for_keyword(word)) is not None and word in header]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's words on broken values would quote them
        seen = Dataset(
            {header.get_item(tag).tag: deepcopy(header.get_item(tag)) for tag in tags},
            parent_encoding=header.original_character_set,
        )
        return _new_values(seen, rules), _new_requests(seen, rules)


def _new_values(header: Dataset, rules: Identifiers) -> dict[str, str | None]:
    """Keyword → its new value (None: it goes), of what changes at the top level."""
    new: dict[str, str | None] = {}
    patient, issuer = _text(header, "PatientID"), _text(header, "IssuerOfPatientID")
    rule = next((each for each in rules.patient if each.when_issuer in (None, issuer)), None)
    if rule is not None and patient:
        new["PatientID"] = rule.new_id(patient)
        if rule.issuer is not None and rule.issuer != issuer:
            new["IssuerOfPatientID"] = rule.issuer or None
            if _QUALIFIERS in header:
                new[_QUALIFIERS] = None  # they say more of the issuer that was (PS3.3 10.15)
        if new["PatientID"] == patient:
            del new["PatientID"]
    number = _renumbered(header, rules)
    if number is not None:
        new["AccessionNumber"] = number
    for keyword, value in new.items():
        _check(header, keyword, value)
    return new


def _new_requests(header: Dataset, rules: Identifiers) -> dict[int, str]:
    """Position of an item of Request Attributes Sequence → its new accession number."""
    if not rules.accession or REQUESTS not in header:
        return {}
    new: dict[int, str] = {}
    for position, item in enumerate(header[REQUESTS].value or ()):
        number = _renumbered(item, rules)
        if number is not None:
            _check(header, "AccessionNumber", number)
            new[position] = number
    return new


def _renumbered(dataset: Dataset, rules: Identifiers) -> str | None:
    """The new accession number; None: it stays."""
    old = _text(dataset, "AccessionNumber") if rules.accession else ""
    if not old:
        return None
    fitting = (each.new_number(old) for each in rules.accession)
    new = next((number for number in fitting if number is not None), None)
    return None if new == old else new


def _text(dataset: Dataset, keyword: str) -> str:
    """A single value without its padding. Raises: UnreadableSource."""
    value = dataset.get(keyword)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > _MOST_CHARACTERS:
        raise UnreadableSource(f"{keyword} has several values, or more than fit it", hint="Repair the header.")
    return value.strip()


def _check(header: Dataset, keyword: str, value: str | None) -> None:
    """Refuse what cannot be written. Raises: BadIdentifiers, UnreadableSource."""
    if value is None:
        return
    if len(value) > LONGEST[keyword]:
        raise BadIdentifiers(
            f"the rules make a {keyword} of {len(value)} characters; {LONGEST[keyword]} are the most (PS3.5 6.2)",
            hint=HINT,
        )
    if "\\" in value or any(category(letter) == "Cc" for letter in value):
        raise BadIdentifiers(f"the rules make a {keyword} with a character that ends or breaks a value", hint=HINT)
    if not value.isascii() and not _fits_character_set(header, value):
        raise UnreadableSource(
            f"{keyword} is not in the character set that the header names", hint="Repair the header's character set."
        )


def _fits_character_set(header: Dataset, value: str) -> bool:
    """Whether the text comes back as it was written (PS3.5 6.1)."""
    from pydicom.charset import convert_encodings, decode_bytes, encode_string
    from pydicom.valuerep import TEXT_VR_DELIMS

    encodings = convert_encodings(header.get("SpecificCharacterSet") or "ISO_IR 6")
    written = decode_bytes(encode_string(value, encodings), encodings, TEXT_VR_DELIMS)
    return _REPLACEMENT not in value and written == value


def _original(header: Dataset, keyword: str) -> DataElement | RawDataElement:
    """The element as it is, its bytes untouched; of zero length where it was absent."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword
    from pydicom.dataelem import DataElement
    from pydicom.tag import Tag

    tag = Tag(tag_for_keyword(keyword) or 0)
    if keyword in header:
        return deepcopy(header.get_item(tag))
    return DataElement(tag, dictionary_VR(tag), "")


def _appended(
    header: Dataset, originals: list[DataElement | RawDataElement], rules: Identifiers, moment: str
) -> DataElement:
    """The sequence with what was there before, then our item (PS3.3 Table C.12-1)."""
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence
    from pydicom.tag import Tag

    modified = Dataset(
        {element.tag: element for element in sorted(originals, key=lambda each: each.tag)},
        parent_encoding=header.original_character_set,
    )
    modified.set_original_encoding(False, True, header.original_character_set)
    item = Dataset()
    item.SourceOfPreviousValues = rules.source
    item.AttributeModificationDateTime = moment
    item.ModifyingSystem = rules.system
    item.ReasonForTheAttributeModification = "COERCE"
    item.ModifiedAttributesSequence = [modified]
    return DataElement(Tag(0x04000561), "SQ", Sequence([*(header.get(ORIGINALS) or ()), item]))
