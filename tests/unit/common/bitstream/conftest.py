"""A small MP4 writer: real boxes and sample tables around bytes that need not be video."""

from __future__ import annotations

from collections.abc import Callable
from struct import pack

import pytest

Chunks = list[list[int]]
"""Sample sizes in bytes, chunk by chunk."""

Mp4Writer = Callable[..., bytes]


def box(kind: str, *payload: bytes) -> bytes:
    data = b"".join(payload)
    return pack(">I4s", 8 + len(data), kind.encode("latin-1")) + data


def full(kind: str, *payload: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, bytes([version]), flags.to_bytes(3, "big"), *payload)


def trak(chunks: Chunks, offsets: list[int], *, wide: bool = False, extra: bytes = b"", edits: bytes = b"") -> bytes:
    """A video track at 25 ticks/s, one tick a frame, whose chunks lie at ``offsets``; ``edits``: an elst box."""
    sizes = [size for chunk in chunks for size in chunk]
    runs = b"".join(pack(">III", number, len(chunk), 1) for number, chunk in enumerate(chunks, 1))
    places = pack(f">{len(offsets)}{'Q' if wide else 'I'}", *offsets)
    stbl = box(
        "stbl",
        full("stsd", pack(">I", 1), box("avc1", bytes(78))),
        full("stts", pack(">III", 1, len(sizes), 1)),
        full("stsz", pack(">II", 0, len(sizes)), pack(f">{len(sizes)}I", *sizes)),
        full("stsc", pack(">I", len(chunks)), runs),
        full("co64" if wide else "stco", pack(">I", len(offsets)), places),
        extra,
    )
    dinf = box("dinf", full("dref", pack(">I", 1), full("url ", flags=1)))
    mdhd = full("mdhd", pack(">IIIIHH", 0, 0, 25, len(sizes), 0, 0))
    mdia = box("mdia", mdhd, full("hdlr", bytes(4), b"vide", bytes(13)), box("minf", dinf, stbl))
    return box("trak", full("tkhd", pack(">IIIII", 0, 0, 1, 0, len(sizes)), bytes(60)), edits, mdia)


def mp4(
    tracks: list[Chunks],
    *,
    moov_first: bool = False,
    wide: bool = False,
    between: bytes = b"",
    extra: bytes = b"",
    edits: bytes = b"",
) -> bytes:
    """A whole file; sample bytes count up, so every sample differs. ``between`` stands between mdat and what follows."""
    ftyp = box("ftyp", b"isom", bytes(4))
    media = bytes(index * 7 % 251 for index in range(sum(map(sum, (chunk for chunks in tracks for chunk in chunks)))))

    def moov(start: int) -> bytes:
        traks = []
        for chunks in tracks:
            offsets = []
            for chunk in chunks:
                offsets.append(start)
                start += sum(chunk)
            traks.append(trak(chunks, offsets, wide=wide, extra=extra, edits=edits))
        return box("moov", full("mvhd", pack(">IIII", 0, 0, 25, 0), bytes(80)), *traks)

    if moov_first:
        head = ftyp + moov(len(ftyp) + len(moov(0)) + 8)
        return head + box("mdat", media) + between
    return ftyp + box("mdat", media) + between + moov(len(ftyp) + 8)


@pytest.fixture
def write_mp4() -> Mp4Writer:
    return mp4


@pytest.fixture
def write_box() -> Callable[..., bytes]:
    return box


@pytest.fixture
def write_full_box() -> Callable[..., bytes]:
    return full
