"""Digests of a file that streams by: the whole, and what no archive may change."""

from __future__ import annotations

import hashlib

import pytest
from support import studies

from common.dicom.streamed import file_digests

LOOP = studies.loop(1)


def pieces(data: bytes, size: int = 700) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def test_the_whole_and_pixel_data_have_a_digest_each() -> None:
    start = LOOP.index(b"\xe0\x7f\x10\x00")
    found = file_digests(pieces(LOOP))
    assert found.whole == hashlib.sha256(LOOP).hexdigest()
    assert found.pixels == hashlib.sha256(LOOP[start:]).hexdigest()
    assert found.size_bytes == len(LOOP)


def test_a_changed_header_leaves_the_digest_of_the_pixels() -> None:
    changed = file_digests(pieces(LOOP.replace(b"Doe^1", b"DOE^1")))
    assert changed.whole != file_digests([LOOP]).whole
    assert changed.pixels == file_digests([LOOP]).pixels


@pytest.mark.parametrize("data", [b"", b"no DICOM", LOOP[:200]])
def test_what_is_broken_has_only_a_whole(data: bytes) -> None:
    assert file_digests(pieces(data)).pixels == ""
    assert file_digests(pieces(data)).whole == hashlib.sha256(data).hexdigest()


def test_an_outage_within_the_header_is_not_taken_for_a_broken_file() -> None:
    def breaks() -> object:
        yield LOOP[:300]
        raise ConnectionError

    with pytest.raises(ConnectionError):
        file_digests(breaks())  # type: ignore[arg-type]
