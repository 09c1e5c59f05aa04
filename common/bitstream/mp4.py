"""How an MP4 or QuickTime file is laid out (ISO/IEC 14496-12): boxes, tracks, and how far their samples reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import unpack_from
from typing import BinaryIO

from common.bitstream import BitstreamError
from common.bitstream.mp4_boxes import HEADER, Box, TruncatedMp4Error, children
from common.bitstream.mp4_tracks import Track, read_tracks

MAX_MOOV_BYTES = 64 << 20
"""Largest moov that is read, bytes: a day of video at 30 frames/s with sound takes about 40 MiB of tables."""

MAX_BOXES = 200_000
"""Most top-level boxes: a day of fragments of one second."""

__all__ = ["MAX_BOXES", "MAX_MOOV_BYTES", "Box", "Mp4Layout", "Track", "TruncatedMp4Error"]
__all__ += ["index_first", "read_layout", "read_moov"]


@dataclass(frozen=True)
class Mp4Layout:
    """The layout of one file. ``end_of_samples`` of a fragmented file covers what moov itself lists."""

    size: int  # bytes of the file
    brand: str  # major brand; empty: no ftyp (old QuickTime)
    boxes: tuple[Box, ...]  # top level, in file order
    moov_first: bool
    fragmented: bool
    tracks: tuple[Track, ...]

    @property
    def video(self) -> Track | None:
        """The first video track."""
        return next((track for track in self.tracks if track.handler == "vide"), None)

    @property
    def sample_entry(self) -> str:
        """Sample entry type of the first video track (avc1, avc3, hvc1, hev1, mp4v ...); empty without one."""
        return self.video.codec if self.video else ""

    @property
    def edit_list(self) -> bool:
        """The video's edit list drops or shifts frames (more than the plain start at the first frame shown)."""
        return self.video is not None and self.video.edited

    @property
    def external(self) -> bool:
        """Samples of a track lie in another file."""
        return any(track.external for track in self.tracks)

    @property
    def end_of_samples(self) -> int:
        """Offset behind the highest byte that any sample of any track reaches."""
        return max((track.end_of_samples for track in self.tracks), default=0)

    @property
    def moov(self) -> Box:
        """The one moov box."""
        return next(box for box in self.boxes if box.type == "moov")


def read_layout(f: BinaryIO) -> Mp4Layout:
    """Layout of the file ``f`` (seekable). Reads box headers and moov, never sample data.

    Raises:
        TruncatedMp4Error: a box or a sample reaches past the end of the file.
        BitstreamError: no MP4, no or two moov, a moov above MAX_MOOV_BYTES or compressed, or tables that do not fit their
            boxes.
    """
    size = f.seek(0, 2)
    boxes = tuple(_top_level(f, size))
    types = [box.type for box in boxes]
    if types.count("moov") != 1:
        raise BitstreamError("the file has no moov box" if "moov" not in types else "the file has two moov boxes")
    moov = read_moov(f, boxes[types.index("moov")])
    layout = Mp4Layout(
        size=size,
        brand=_brand(f, boxes),
        boxes=boxes,
        moov_first="mdat" not in types[: types.index("moov")],
        fragmented="moof" in types or any(box.type == "mvex" for box in children(moov, 0, len(moov))),
        tracks=tuple(read_tracks(moov)),
    )
    if layout.end_of_samples > size:
        raise TruncatedMp4Error(f"samples reach to byte {layout.end_of_samples}, the file ends at {size}")
    return layout


def index_first(f: BinaryIO) -> bool:
    """Whether moov stands before the first mdat of the file ``f`` (seekable); box headers up to there are all that is read.

    Raises:
        TruncatedMp4Error, BitstreamError: no MP4, or neither of the two in it.
    """
    for box in _top_level(f, f.seek(0, 2)):
        if box.type in ("moov", "mdat"):
            return box.type == "moov"
    raise BitstreamError("the file has no moov box")


def read_moov(f: BinaryIO, box: Box) -> memoryview:
    """Payload of the moov box.

    Raises:
        BitstreamError: larger than MAX_MOOV_BYTES, or compressed.
        TruncatedMp4Error: the file is shorter than it was.
    """
    if box.size > MAX_MOOV_BYTES:
        raise BitstreamError(f"moov has {box.size} bytes, more than {MAX_MOOV_BYTES}")
    f.seek(box.payload)
    data = f.read(box.size - box.header)
    if len(data) != box.size - box.header:
        raise TruncatedMp4Error("the file ends within moov")
    moov = memoryview(data)
    if any(child.type == "cmov" for child in children(moov, 0, len(moov))):
        raise BitstreamError("moov is compressed (QuickTime cmov)")
    return moov


def _top_level(f: BinaryIO, file_size: int) -> Iterator[Box]:
    offset = 0
    for _ in range(MAX_BOXES):
        f.seek(offset)
        head = f.read(16)
        if not any(head) and offset + len(head) == file_size:
            return  # the end, or fewer than 17 zero bytes of padding
        if len(head) < HEADER.size:
            raise TruncatedMp4Error("the file ends within a box header")
        size, kind = HEADER.unpack_from(head)
        header = HEADER.size
        if size == 1 and len(head) == 16:
            size, header = unpack_from(">Q", head, 8)[0], 16
        elif size == 0:  # ISO/IEC 14496-12 4.2: the last box, to the end of the file
            size = file_size - offset
        if size < header or (not offset and not kind.isalnum()):
            raise BitstreamError("this is no MP4 file: its boxes have no sense")
        if offset + size > file_size:
            raise TruncatedMp4Error(f"a box reaches to byte {offset + size}, the file ends at {file_size}")
        yield Box(kind.decode("latin-1"), offset, size, header)
        offset += size
    raise BitstreamError(f"more than {MAX_BOXES} top-level boxes")


def _brand(f: BinaryIO, boxes: tuple[Box, ...]) -> str:
    ftyp = next((box for box in boxes if box.type == "ftyp"), None)
    if ftyp is None:
        return ""
    f.seek(ftyp.payload)
    return f.read(min(4, ftyp.size - ftyp.header)).decode("latin-1")
