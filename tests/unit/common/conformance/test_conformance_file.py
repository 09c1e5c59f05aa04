"""Rules on the file around a data set, on bytes as they lie; and that the list of attributes which the rules read is whole."""

from __future__ import annotations

import io
import re
import struct
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import common.conformance
from common.conformance import FileCase, check_file_around
from common.conformance.case import READ
from common.dicom.codestream import BrokenHeadError, parse_head, parse_rle
from common.dicom.encapsulation import write_instance
from common.dicom.part10 import FileMeta, read_meta, trailing_bytes
from common.dicom.transfer_syntaxes import ROOT

META = FileMeta(
    prefix=True,
    declared_length=180,
    real_length=180,
    values={
        0x00020001: "\0\1",
        0x00020002: "1.2.3",
        0x00020003: "1.2.3.4",
        0x00020010: f"{ROOT}.102",
        0x00020012: "1.2.9",
    },
    explicit=True,
)
CASE = FileCase(META, "1.2.3", "1.2.3.4")


def rules(case: FileCase) -> set[str]:
    return {finding.rule for finding in check_file_around(case)}


def without(tag: int) -> FileMeta:
    return replace(META, values={key: value for key, value in META.values.items() if key != tag})


def test_a_whole_file_has_no_findings():
    assert rules(CASE) == set()


@pytest.mark.parametrize(
    ("case", "rule"),
    [
        (replace(CASE, meta=replace(META, prefix=False)), "file.prefix"),
        (replace(CASE, meta=replace(META, declared_length=176)), "file.meta.length"),
        (replace(CASE, meta=replace(META, declared_length=None)), "file.meta.length"),
        (replace(CASE, meta=without(0x00020001)), "file.meta.required"),
        (replace(CASE, meta=without(0x00020012)), "file.meta.required"),
        (replace(CASE, sop_class_uid="1.2.4"), "file.meta.class"),
        (replace(CASE, sop_instance_uid="1.2.3.5"), "file.meta.instance"),
        (replace(CASE, meta=replace(META, explicit=False)), "file.encoding"),
        (replace(CASE, trailing=3), "file.trailing"),
    ],
)
def test_each_breach_is_named(case, rule):
    assert rules(case) == {rule}


def written(header) -> bytes:
    out = io.BytesIO()
    write_instance(out, header, f"{ROOT}.102", [b"eleven byte"], 11)
    return out.getvalue()


def test_the_meta_information_of_a_written_file_is_read(header_of):
    header = header_of()
    meta = read_meta(io.BytesIO(written(header)))
    assert rules(FileCase(meta, header.SOPClassUID, header.SOPInstanceUID)) == set()
    assert meta.text(0x00020010) == f"{ROOT}.102"


@pytest.mark.parametrize(("tail", "left"), [(b"", 0), (b"\0\0\0", 3), (b"x" * 40, 40)])
def test_what_follows_the_pixels_is_elements_or_left_over(header_of, tail, left):
    padding = struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 4) + bytes(4)
    data = written(header_of()) + padding + tail
    start = len(data) - len(tail) - len(padding)
    assert trailing_bytes(io.BytesIO(data), start, len(data), explicit=True) == left


@given(data=st.binary(max_size=400))
def test_any_bytes_are_read_as_meta_information_without_a_crash(data):
    meta = read_meta(io.BytesIO(b"\0" * 128 + b"DICM" + data))
    assert check_file_around(FileCase(meta, "", "")) is not None
    assert 0 <= trailing_bytes(io.BytesIO(data), 0, len(data), explicit=True) <= len(data)


@given(start=st.sampled_from([b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b""]), data=st.binary(max_size=200))
def test_any_bytes_are_read_as_a_frame_or_called_broken(start, data):
    for parse in (lambda: parse_head(start + data, whole=True), lambda: parse_rle(data, len(data), 1)):
        with suppress(BrokenHeadError):
            assert parse().components >= 0


def test_every_attribute_that_a_rule_names_is_read_from_the_file():
    """A rule on an attribute that READ lacks would find it absent in every file."""
    from pydicom.datadict import tag_for_keyword

    folder = Path(common.conformance.__file__).parent
    named = {
        word
        for name in ("header", "groups", "timing", "lossy", "frames", "encapsulation")
        for word in re.findall(r'"([A-Z][A-Za-z]{3,})"', (folder / f"{name}.py").read_text(encoding="utf-8"))
        if tag_for_keyword(word) is not None
    }
    assert len(named) > 40
    assert named - set(READ) == set()
    assert all(tag_for_keyword(keyword) for keyword in READ)
