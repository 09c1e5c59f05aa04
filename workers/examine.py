"""Read a file for the rules alone: its headers, its frames' times and heads. No digest, no decoding, little memory.

Runs in a child of its own (workers.check), which does nothing else: pydicom comes without decoders.
"""

from __future__ import annotations

import io
import os
import re
import resource
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from common.bitstream import BitstreamError
from common.bitstream.mp4 import Mp4Layout
from common.bitstream.mp4_turn import clockwise_turn
from common.conformance import (
    Encapsulation,
    FileCase,
    ShownTimes,
    check_encapsulation,
    check_file_around,
    check_frames,
    check_header,
    check_stream,
)
from common.conformance.case import READ, HeaderView
from common.dicom.lean import import_pydicom
from common.dicom.part10 import read_meta, trailing_bytes
from common.dicom.pixel_stream import FragmentReader, Header, integer, looks_like_dicom, read_header
from common.dicom.transfer_syntaxes import is_video
from common.errors import InputError, PolicyError, UnreadableSource
from common.media import Description, DicomFacts, Kind
from common.orders import Finding
from workers.describe import refuse
from workers.describe_containers import (
    HEAD_BYTES,
    VIDEO_SUFFIXES,
    check_whole,
    container_facts,
    container_name,
    signature,
)

if TYPE_CHECKING:
    from workers.describe_media import Media

HEADROOM_BYTES = 128 << 20
"""Private memory that parsing one file may take beside code and what is loaded with it: see docs/checker.md."""

_BUFFER_BYTES = 1 << 18
_NO_DIGEST = ""
_NATIVE_BIG = "1.2.840.10008.1.2.2"

Opener = Callable[[], BinaryIO]
Judged = tuple[Kind, str, tuple[Finding, ...]]
"""What a file is, the transfer syntax it was held against, and what was found."""


def examine(path: Path, wanted: str | None) -> Judged:
    """Findings on a file held against ``wanted``, by default a DICOM video's own transfer syntax.

    DICOM whose frames are images of their own is always held against its own.

    Raises:
        InputError: no video, broken, or shorter than it says.
        PolicyError: a plain video, and ``wanted`` is None.
    """
    load()
    _limit_memory()
    size = _size(path)
    with path.open("rb") as f:
        start = f.read(HEAD_BYTES)
    if not start:
        raise UnreadableSource("the file is empty")
    if looks_like_dicom(start):
        return _dicom(path, size, wanted)
    if wanted is None:
        suffix = path.suffix.lower().lstrip(".")
        if signature(start, size) is None and suffix not in VIDEO_SUFFIXES:
            refuse(suffix, start)
        raise PolicyError(
            "a plain video file has no transfer syntax to be held against",
            hint="Name one with --as, for example --as .102 (H.264 High Profile, Level 4.1).",
        )
    described, _ = _stream(lambda: path.open("rb"), size, Kind.VIDEO, path=path)
    return Kind.VIDEO, wanted, check_stream(described, wanted)


def load() -> None:
    """Load all that a file may need: once in a parent, and its children share it and start in milliseconds.

    numpy's thread pool is left out: it reserves memory for every core, and nothing here is large enough to use it.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import_pydicom()
    import av  # noqa: F401

    import workers.describe_media
    import workers.examine_frames  # noqa: F401


def _limit_memory() -> None:
    """Refuse this process more than HEADROOM_BYTES above what it has: a broken length may ask for gigabytes."""
    found = re.search(r"VmData:\s*(\d+) kB", Path("/proc/self/status").read_text())
    if found:
        ceiling = 1024 * int(found[1]) + HEADROOM_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (ceiling, ceiling))


def _size(path: Path) -> int:
    try:
        if not path.is_file():
            raise UnreadableSource("this is no file")
        return path.stat().st_size
    except OSError as error:
        raise UnreadableSource(f"the file cannot be opened: {error.strerror}") from error


def _dicom(path: Path, size: int, wanted: str | None) -> Judged:
    from pydicom.datadict import tag_for_keyword

    header = read_header(path, frozenset(filter(None, map(tag_for_keyword, READ))))
    around = check_file_around(_file_case(header, size))
    own = header.transfer_syntax_uid
    if not is_video(own):
        return Kind.DICOM_FRAMES, own, (*check_frames_of(header), *around)
    uid = wanted or own
    wrapped = check_encapsulation(Encapsulation.of(header, uid), uid)
    if not header.fragments:
        return Kind.DICOM_VIDEO, uid, (*wrapped, *around)
    try:
        described, shown = _video(header)
    except InputError:
        if any(finding.severity == "error" for finding in wrapped):
            return Kind.DICOM_VIDEO, uid, (*wrapped, *around)
        raise
    found = (*check_stream(described, uid), *check_header(header.dataset, described, uid, shown))
    return Kind.DICOM_VIDEO, uid, (*found, *wrapped, *around)


def check_frames_of(header: Header) -> tuple[Finding, ...]:
    """Findings on the frames of a DICOM file whose frames are images of their own."""
    from workers.examine_frames import frames_case

    return check_frames(frames_case(header))


def _file_case(header: Header, size: int) -> FileCase:
    with header.path.open("rb") as f:
        meta = read_meta(f)
        big = header.transfer_syntax_uid == _NATIVE_BIG
        explicit = meta.explicit is not False
        behind = 0 if big or header.end >= size else trailing_bytes(f, header.end, size, explicit=explicit)
    view = HeaderView(header.dataset)
    return FileCase(meta, view.text("SOPClassUID"), view.text("SOPInstanceUID"), behind)


def _video(header: Header) -> tuple[Description, ShownTimes | None]:
    padded = sum(part.length for part in header.fragments)
    named = integer(header.dataset, "EncapsulatedPixelDataValueTotalLength")
    length = named if padded - 1 <= named <= padded else padded
    facts = DicomFacts(
        sop_class_uid="",
        sop_instance_uid="",
        series_uid="",
        study_uid="",
        transfer_syntax_uid=header.transfer_syntax_uid,
        stream_length=length,
    )

    def opener() -> BinaryIO:
        reader = FragmentReader(header.path, header.fragments, length)
        return cast(BinaryIO, io.BufferedReader(reader, _BUFFER_BYTES))

    return _stream(opener, length, Kind.DICOM_VIDEO, facts)


def _stream(
    opener: Opener, size: int, kind: Kind, dicom: DicomFacts | None = None, path: Path | None = None
) -> tuple[Description, ShownTimes | None]:
    """The stream as the rules want it. ``path``: of a plain file, which FFmpeg opens by itself."""
    from workers.describe_media import read_media

    with opener() as f:
        start = f.read(HEAD_BYTES)
        word = signature(start, size)
        layout = check_whole(f, word)
        facts = container_facts(f, word, layout)
        turn = _turn(f, layout) if layout else 0
    try:
        # mypy: FFmpeg's wrapper wants a BufferedReader, which every opener gives
        media = read_media(
            cast("Callable[[], io.BufferedReader]", opener) if path is None else lambda: path, decode=False
        )
    except UnreadableSource:
        if path is not None and word is None:
            refuse(path.suffix.lower().lstrip("."), start)
        raise
    described = Description(
        kind=kind,
        digest=_NO_DIGEST,
        size_bytes=size,
        container=container_name(media.container, layout),
        video=media.video.model_copy(update={"rotation": turn}),
        audio=media.audio,
        other_streams=media.other_streams,
        video_streams=media.video_streams,
        dicom=dicom,
        notes=media.notes,
        **facts,
    )
    return described, _shown(media)


def _shown(media: Media) -> ShownTimes | None:
    """The times in order, as flat in memory as they came."""
    import numpy as np

    if not media.times:
        return None
    ordered = array("q", np.sort(np.frombuffer(media.times, dtype=np.int64)).tobytes())
    return ShownTimes(ordered, media.time_base, media.leading)


def _turn(f: BinaryIO, layout: Mp4Layout) -> int:
    """Clockwise degrees: a right angle or 0, as in a description."""
    try:
        turn = clockwise_turn(f, layout)
    except BitstreamError:
        return 0
    return turn if turn % 90 == 0 else 0
