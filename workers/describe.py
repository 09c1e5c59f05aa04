"""Read what a source is: one pass over its bytes for the digest, its headers, and a count of its frames."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, BinaryIO, Self

from common.dicom.pixel_stream import looks_like_dicom
from common.errors import NotVideo, UnreadableSource
from common.media import Description, Kind
from common.process import Limits, call
from common.settings import Settings
from workers.describe_containers import (
    DICOM_SUFFIXES,
    HEAD_BYTES,
    VIDEO_SUFFIXES,
    check_whole,
    container_facts,
    container_name,
    signature,
    words,
)
from workers.describe_quick import NoDigest

if TYPE_CHECKING:
    from common.dicom.identifiers import Identifiers
    from common.header_patterns import HeaderPatterns

SLOWEST_READ = 20_000_000
"""Bytes per second of a slow network disk: what the time limit allows for reading the source."""

_CHUNK_BYTES = 1 << 20
SMALL_BYTES = 4 << 20
"""Hashed in milliseconds once all else is known: a thread costs more."""


def describe_sandboxed(
    path: Path,
    name_hint: str,
    settings: Settings,
    rules: Identifiers | None = None,
    patterns: Sequence[HeaderPatterns | None] = (),
) -> Description:
    """``describe`` in a child process under limits of time and memory: a hostile source costs the child only.

    Raises:
        InputError: as ``describe`` does, and UnreadableSource where a decoder crashed.
        ResourceLimit: the source took more time or memory than allowed.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UnreadableSource(f"the file cannot be opened: {error.strerror}") from error
    seconds = settings.describe_seconds + size / SLOWEST_READ
    limits = Limits(seconds=seconds, memory_bytes=settings.child_memory_bytes)
    work = partial(describe, rules=rules, patterns=patterns)
    return call(work, path, name_hint, limits=limits, what="describing the source")


def describe(
    path: Path,
    name_hint: str,
    *,
    quick: bool = False,
    rules: Identifiers | None = None,
    patterns: Sequence[HeaderPatterns | None] = (),
) -> Description:
    """What the source is. ``name_hint``: its file name extension, used only to tell a broken video from another file.

    ``quick``: headers and index are read and not all bytes; the digest is empty (workers.describe_quick). ``rules``: tried on
    the header of a DICOM source, as ``patterns`` are, which answer with the numbers of those that fit.

    Raises:
        NotVideo: readable, but a still image, a document, audio, or a single-frame or imageless DICOM file.
        UnreadableSource: empty, broken, or not what its extension claims.
        TruncatedSource: shorter than its own header says.
        UnsupportedSource: understood, but no decoder here reads it.
        BadIdentifiers: the rules give no legal identifiers for it.
    """
    try:
        if not path.is_file():
            raise UnreadableSource("this is no file")
        with path.open("rb") as f:
            start = f.read(HEAD_BYTES)
    except OSError as error:
        raise UnreadableSource(f"the file cannot be opened: {error.strerror}") from error
    if not start:
        raise UnreadableSource("the file is empty")
    suffix = name_hint.lower().lstrip(".")
    if quick:
        return _described(path, suffix, start, NoDigest(path.stat().st_size), rules, patterns)
    with SourceDigest(path) as digest:
        return _described(path, suffix, start, digest, rules, patterns)


def _described(
    path: Path,
    suffix: str,
    start: bytes,
    digest: SourceDigest | NoDigest,
    rules: Identifiers | None,
    patterns: Sequence[HeaderPatterns | None],
) -> Description:
    if looks_like_dicom(start):
        from workers.describe_dicom import describe_dicom

        return describe_dicom(path, digest, rules, patterns)
    return _plain(path, suffix, start, digest)


class SourceDigest:
    """SHA-256 of a file, taken in a thread beside the demuxer: both read in order, so a slow disk is read about once."""

    def __init__(self, path: Path) -> None:
        self.size = path.stat().st_size
        self._file: BinaryIO = path.open("rb", buffering=0)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sha256")
        self._stop = Event()

    def __enter__(self) -> Self:
        self._digest = self._pool.submit(self._read) if self.size > SMALL_BYTES else None
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()
        self._file.close()

    def finish(self) -> str:
        """Wait for the last byte; hexadecimal.

        Raises:
            UnreadableSource: the file cannot be read to its end, or its length changed meanwhile.
        """
        try:
            digest, length = self._digest.result() if self._digest else self._read()
        except OSError as error:
            raise UnreadableSource(f"the file cannot be read to its end: {error.strerror}") from error
        if length != self.size:
            raise UnreadableSource("the file changed while it was read")
        return digest

    def _read(self) -> tuple[str, int]:
        digest, length = hashlib.sha256(), 0
        while not self._stop.is_set() and (chunk := self._file.read(_CHUNK_BYTES)):
            digest.update(chunk)
            length += len(chunk)
        return digest.hexdigest(), length


def _plain(path: Path, suffix: str, start: bytes, digest: SourceDigest | NoDigest) -> Description:
    from workers.describe_media import read_media

    word = signature(start, digest.size)
    with path.open("rb") as f:
        layout = check_whole(f, word)
        facts = container_facts(f, word, layout)
    try:
        media = read_media(lambda: path, quick=isinstance(digest, NoDigest))
    except UnreadableSource:
        if word is None:
            refuse(suffix, start)
        raise
    return Description(
        kind=Kind.VIDEO,
        digest=digest.finish(),
        size_bytes=digest.size,
        container=container_name(media.container, layout),
        video=media.video,
        audio=media.audio,
        other_streams=media.other_streams,
        video_streams=media.video_streams,
        notes=media.notes,
        **facts,
    )


def refuse(suffix: str, start: bytes) -> None:
    """Raise the verdict on bytes that begin no container we know.

    Raises:
        UnreadableSource: the name says that they should.
        NotVideo: it does not.
    """
    what = words(start)
    if suffix in VIDEO_SUFFIXES or suffix in DICOM_SUFFIXES:
        claim = "DICOM" if suffix in DICOM_SUFFIXES else "video"
        raise UnreadableSource(f"the name ends in .{suffix}, but the content is no {claim}: it is {what}")
    raise NotVideo(f"{what}, no video")
