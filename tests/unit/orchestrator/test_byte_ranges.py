"""Which bytes a Range header asks for (RFC 9110 14), and that they are given, however the answer lies in the store."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from fastapi import HTTPException
from hypothesis import given, settings
from hypothesis import strategies as st

from common.store.folder import FolderStore
from orchestrator.api.byte_ranges import span
from orchestrator.dicomweb.content import Content, Stretch


@pytest.mark.parametrize(
    ("asked", "size", "given"),
    [
        ("", 10, None),
        ("bytes=0-", 10, (0, 10)),
        ("bytes=2-4", 10, (2, 5)),
        ("bytes=-3", 10, (7, 10)),
        ("bytes=-30", 10, (0, 10)),
        ("bytes=8-99", 10, (8, 10)),
        (f"bytes=0-{'9' * 5000}", 10, (0, 10)),
        ("bytes=-", 10, None),
        ("lines=1-2", 10, None),
        ("bytes=5-2", 10, None),
        ("bytes=0-1,4-5", 10, None),
        ("bytes=٣-", 10, None),
    ],
)
def test_ranges_are_understood_or_passed_over(asked: str, size: int, given: tuple[int, int] | None) -> None:
    assert span(asked, size) == given


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=-0", f"bytes={'9' * 5000}-"])
def test_what_lies_beyond_the_end_is_refused(asked: str) -> None:
    with pytest.raises(HTTPException) as refused:
        span(asked, 10)
    assert (refused.value.status_code, refused.value.headers) == (416, {"Content-Range": "bytes */10"})


@given(st.text(max_size=30) | st.from_regex(r"bytes=\d{0,30}-\d{0,30}", fullmatch=True), st.integers(0, 1 << 40))
def test_a_range_lies_within_the_bytes(asked: str, size: int) -> None:
    with suppress(HTTPException):
        found = span(asked, size)
        assert found is None or 0 <= found[0] < found[1] <= size


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FolderStore:
    made: Path = tmp_path_factory.mktemp("content")
    store = FolderStore(made / "objects")
    store.put("a", bytes(range(256)))
    store.put("b", bytes(reversed(range(256))))
    return store


parts = st.lists(
    st.binary(max_size=9)
    | st.tuples(st.sampled_from("ab"), st.integers(0, 200), st.integers(0, 56)).map(lambda each: Stretch(*each)),
    max_size=8,
)


@settings(max_examples=60)
@given(parts=parts, cut=st.tuples(st.integers(0, 400), st.integers(0, 400)))
def test_any_part_of_a_content_is_what_it_is_made_of(
    store: FolderStore, parts: list[bytes | Stretch], cut: tuple[int, int]
) -> None:
    known = b"".join(
        part if isinstance(part, bytes) else store.get(part.key)[part.offset : part.offset + part.length]
        for part in parts
    )
    content = Content.of(parts)
    first, last = sorted(min(each, len(known)) for each in cut)
    assert content.length == len(known)
    assert b"".join(content.read(store, first, last)) == known[first:last]
