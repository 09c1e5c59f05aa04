"""Rules on the file around a data set (PS3.10 7): a breach is mended by writing the same data set anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from common.conformance.rules import Breach, Rule
from common.dicom.part10 import FileMeta

_VERSION, _CLASS, _INSTANCE, _SYNTAX, _IMPLEMENTATION = 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012
_IMPLICIT = frozenset({"1.2.840.10008.1.2", "1.2.840.113619.5.2"})  # the second: GE's, with native pixels big endian


@dataclass(frozen=True)
class FileCase:
    """A file's meta information beside the data set in it. ``trailing``: bytes behind its last element."""

    meta: FileMeta
    sop_class_uid: str
    sop_instance_uid: str
    trailing: int = 0


def prefix(case: FileCase) -> Iterator[Breach]:
    """A file begins with a preamble of 128 bytes and DICM."""
    if not case.meta.prefix:
        yield Breach("no preamble and DICM prefix", "128 bytes and DICM before the file meta information")


def group_length(case: FileCase) -> Iterator[Breach]:
    """File Meta Information Group Length is the number of bytes that follow it in group 0002."""
    if case.meta.declared_length != case.meta.real_length:
        told = "no length" if case.meta.declared_length is None else f"a length of {case.meta.declared_length:,} bytes"
        yield Breach(f"{told} of the file meta information", f"{case.meta.real_length:,} bytes")


def required(case: FileCase) -> Iterator[Breach]:
    """Version, Media Storage SOP Class and Instance UID, Transfer Syntax UID and Implementation Class UID are there."""
    names = {
        _VERSION: "File Meta Information Version",
        _CLASS: "Media Storage SOP Class UID",
        _INSTANCE: "Media Storage SOP Instance UID",
        _SYNTAX: "Transfer Syntax UID",
        _IMPLEMENTATION: "Implementation Class UID",
    }
    for tag, name in names.items():
        if not (tag in case.meta.values if tag == _VERSION else case.meta.text(tag)):
            yield Breach(f"no {name} in the file meta information", name)


def storage_class(case: FileCase) -> Iterator[Breach]:
    """Media Storage SOP Class UID is the data set's SOP Class UID."""
    found = case.meta.text(_CLASS)
    if found and case.sop_class_uid and found != case.sop_class_uid:
        yield Breach(f"Media Storage SOP Class UID {found[:64]}", f"{case.sop_class_uid[:64]}, as in the data set")


def storage_instance(case: FileCase) -> Iterator[Breach]:
    """Media Storage SOP Instance UID is the data set's SOP Instance UID."""
    found = case.meta.text(_INSTANCE)
    if found and case.sop_instance_uid and found != case.sop_instance_uid:
        yield Breach("another Media Storage SOP Instance UID than the data set's", "the same UID in both")


def encoding(case: FileCase) -> Iterator[Breach]:
    """The data set is written as its transfer syntax says: in explicit VR under all that compress pixel data (PS3.5 A.4)."""
    syntax = case.meta.text(_SYNTAX)
    if syntax and case.meta.explicit is not None and case.meta.explicit == (syntax in _IMPLICIT):
        how = "explicit" if case.meta.explicit else "implicit"
        yield Breach(f"a data set in {how} VR under {syntax[:64]}", "the VR encoding that the transfer syntax names")


def trailing(case: FileCase) -> Iterator[Breach]:
    """Nothing but data elements follows Pixel Data; padding lies in Data Set Trailing Padding (FFFC,FFFC) (PS3.10 7.2)."""
    if case.trailing:
        yield Breach(f"{case.trailing:,} bytes behind the last element", "the end of the file")


FILE_RULES: tuple[Rule[FileCase], ...] = (
    Rule("file.prefix", "PS3.10 7.1", "error", prefix),
    Rule("file.meta.length", "PS3.10 7.1", "error", group_length),
    Rule("file.meta.required", "PS3.10 7.1", "error", required),
    Rule("file.meta.class", "PS3.10 7.1", "error", storage_class),
    Rule("file.meta.instance", "PS3.10 7.1", "error", storage_instance),
    Rule("file.encoding", "PS3.5 A.4", "error", encoding),
    Rule("file.trailing", "PS3.10 7.2", "error", trailing),
)
