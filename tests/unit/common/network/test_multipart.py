"""The content of a part, wherever the pieces of a stream are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.network.multipart import Envelope, single_part


@given(content=st.binary(max_size=300) | st.text("\r\n-c", max_size=60).map(str.encode), size=st.integers(1, 60))
def test_the_content_comes_back_however_the_stream_is_cut(content: bytes, size: int) -> None:
    envelope = Envelope()
    body = envelope.before + content + envelope.after
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    assert b"".join(single_part(envelope.content_type, pieces)) == content
