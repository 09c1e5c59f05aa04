"""The tracks of an MP4 file as the sample tables of its moov give them (ISO/IEC 14496-12 8.4–8.7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, chain, islice, repeat
from operator import add
from struct import calcsize, iter_unpack

from common.bitstream import BitstreamError
from common.bitstream.mp4_boxes import Box, children, field

MAX_TRACKS = 64

_INSIDE = {"trak": ("mdia", "edts"), "mdia": ("minf",), "minf": ("stbl", "dinf")}  # boxes that hold what we read
_READ = frozenset(
    {"tkhd", "mdhd", "hdlr", "dref", "elst", "stsd", "stts", "ctts", "stsc", "stsz", "stz2", "stco", "co64"}
)
_REORDER_SAMPLES = 64  # H.264 and HEVC reorder over at most 16 frames, so the first frame shown is among these


@dataclass(frozen=True)
class Track:
    """One track as its moov tables give it; ``duration`` in ticks of ``timescale`` (ticks/s), sizes in bytes."""

    track_id: int
    handler: str  # vide, soun, text ...
    codec: str  # type of the first sample entry: avc1, hev1, mp4a ...
    entries: int  # sample entries in stsd
    timescale: int
    sample_count: int
    duration: int
    end_of_samples: int  # offset behind the last byte of any sample; 0 when moov lists none
    edited: bool  # its edit list drops, repeats or delays samples
    external: bool = False  # samples lie in another file; end_of_samples is 0 then


def read_tracks(moov: memoryview) -> Iterator[Track]:
    """Tracks of a moov payload, in file order.

    Raises:
        BitstreamError: a box is missing, or tables do not fit their boxes or each other.
    """
    mvhd = next((box for box in children(moov, 0, len(moov)) if box.type == "mvhd"), None)
    if mvhd is None:
        raise BitstreamError("moov has no mvhd")
    movie_timescale, _ = _times(moov, mvhd)
    traks = list(islice((box for box in children(moov, 0, len(moov)) if box.type == "trak"), MAX_TRACKS + 1))
    if len(traks) > MAX_TRACKS:
        raise BitstreamError(f"more than {MAX_TRACKS} tracks")
    for trak in traks:
        yield _track(_Tables(moov, trak), movie_timescale)


class _Tables:
    """The boxes of one trak that its samples hang on, by type; a missing one has no entries."""

    def __init__(self, data: memoryview, trak: Box) -> None:
        self.data = data
        self.boxes: dict[str, Box] = {}
        parents = [trak]
        while parents:
            parent = parents.pop()
            for box in children(data, parent.payload, parent.end):
                if box.type in _READ:
                    self.boxes.setdefault(box.type, box)
                if box.type in _INSIDE.get(parent.type, ()):
                    parents.append(box)

    def read(self, kind: str, layout: str, at: int) -> tuple[int, ...]:
        """Fields of a box that is there."""
        return field(self.data, self.boxes[kind], layout, at)

    def code(self, kind: str, at: int) -> str:
        """Four characters of a box that is there."""
        return bytes(self.read(kind, "4B", at)).decode("latin-1")

    def version(self, kind: str) -> int:
        """Version of a full box; 0 when it is absent."""
        return self.read(kind, "B", 0)[0] if kind in self.boxes else 0

    def entries(self, kind: str, layout: str, skip: int = 4) -> Iterator[tuple[int, ...]]:
        """Entries of a table; ``skip`` bytes of version, flags and the like stand before its 32-bit count."""
        if kind not in self.boxes:
            return iter(())
        box = self.boxes[kind]
        first = box.payload + skip + 4
        (count,) = self.read(kind, ">I", skip)
        end = first + count * calcsize(layout)
        if end > box.end:
            raise BitstreamError(f"the table {kind} says it has {count} entries and is too short for them")
        return iter_unpack(layout, self.data[first:end])

    def chunk_offsets(self) -> Iterator[int]:
        """Offset in the file of each chunk."""
        wide = "co64" in self.boxes
        return (offset for (offset,) in self.entries("co64" if wide else "stco", ">Q" if wide else ">I"))

    def sample_sizes(self) -> tuple[int, Iterator[int]]:
        """How many samples there are, and the size in bytes of each (stsz or the compact stz2)."""
        if "stsz" in self.boxes:
            uniform, count = self.read("stsz", ">II", 4)
            if uniform:
                return count, repeat(uniform, count)
            return count, (size for (size,) in self.entries("stsz", ">I", skip=8))
        if "stz2" not in self.boxes:
            return 0, iter(())
        field, count = self.read("stz2", ">BI", 7)
        return count, self._compact_sizes(field, count)

    def _compact_sizes(self, field: int, count: int) -> Iterator[int]:
        box = self.boxes["stz2"]
        first, end = box.payload + 12, box.payload + 12 + (count * field + 7) // 8
        if field not in (4, 8, 16) or end > box.end:
            raise BitstreamError("the table stz2 does not fit its box")
        if field == 4:
            return islice((half for byte in self.data[first:end] for half in (byte >> 4, byte & 15)), count)
        return (size for (size,) in iter_unpack(">B" if field == 8 else ">H", self.data[first:end]))


def _track(tables: _Tables, movie_timescale: int) -> Track:
    missing = {"tkhd", "mdhd", "hdlr", "stsd"} - tables.boxes.keys()
    if missing:
        raise BitstreamError(f"a track has no {min(missing)}")
    external = _in_other_files(tables)
    timescale, duration = _times(tables.data, tables.boxes["mdhd"])
    (entries,) = tables.read("stsd", ">I", 4)
    count, sizes = tables.sample_sizes()
    return Track(
        track_id=tables.read("tkhd", ">I", 20 if tables.version("tkhd") else 12)[0],
        handler=tables.code("hdlr", 8),
        codec=tables.code("stsd", 12) if entries else "",
        entries=entries,
        timescale=timescale,
        sample_count=count,
        duration=duration,
        end_of_samples=0 if external else _end_of_samples(tables, count, sizes),
        edited=_edited(tables, movie_timescale, timescale),
        external=external,
    )


def _times(data: memoryview, box: Box) -> tuple[int, int]:
    """Time scale (ticks/s) and duration (ticks) of mvhd or mdhd.

    Raises:
        BitstreamError: a time scale of nothing.
    """
    wide = field(data, box, "B", 0)[0]
    timescale, duration = field(data, box, ">IQ" if wide else ">II", 20 if wide else 12)
    if not timescale:
        raise BitstreamError(f"{box.type} has a time scale of 0")
    return timescale, duration


def _in_other_files(tables: _Tables) -> bool:
    """A data reference that is not marked self-contained (flag 1) and names a place leads to another file: 8.7.2."""
    if "dref" not in tables.boxes:
        return False
    box = tables.boxes["dref"]
    return any(
        entry.size > entry.header + 4 and not field(tables.data, entry, "B", 3)[0] & 1
        for entry in children(tables.data, box.payload + 8, box.end)
    )


def _end_of_samples(tables: _Tables, count: int, sizes: Iterator[int]) -> int:
    """Offset behind the highest sample byte: each chunk's offset plus the sizes of its samples (stsc: 8.7.4)."""
    runs = tables.entries("stsc", ">III")
    per_chunk, following = 0, next(runs, None)
    end, left = 0, count
    for number, offset in enumerate(tables.chunk_offsets(), 1):
        while following and following[0] <= number:
            per_chunk, following = following[1], next(runs, None)
        taken = min(per_chunk, left)
        left -= taken
        end = max(end, offset + _total(sizes, taken))
    if left:
        raise BitstreamError(f"{left} of {count} samples lie in no chunk")
    return end


def _total(sizes: Iterator[int], count: int) -> int:
    # a uniform size may be repeated four thousand million times: multiply instead of adding
    if isinstance(sizes, repeat):
        return next(sizes, 0) * count
    return sum(islice(sizes, count))


def _edited(tables: _Tables, movie_timescale: int, timescale: int) -> bool:
    """True unless the edit list is one edit at normal speed from the first frame shown to the end (8.6.6).

    The first frame shown has the least composition time; with B-frames that is above 0, and the edit list takes
    the gap off.
    Half a frame is rounding to the movie's ticks, not a dropped frame.
    """
    edits = list(islice(tables.entries("elst", ">QqhH" if tables.version("elst") else ">IihH"), 2))
    if not edits:
        return False
    length, media_time, rate, fraction = edits[0]
    start, end, frame = _shown(tables)
    if len(edits) > 1 or media_time < 0 or media_time > start or (rate, fraction) != (1, 0):
        return True
    covered = media_time + length * timescale / movie_timescale
    return length != 0 and covered + frame / 2 < end


def _shown(tables: _Tables) -> tuple[int, int, float]:
    """Composition time of the first frame and the end of the last, and the mean frame length, in media ticks."""
    total = samples = 0
    for count, delta in tables.entries("stts", ">II"):
        total, samples = total + count * delta, samples + count
    deltas = chain.from_iterable(repeat(delta, count) for count, delta in tables.entries("stts", ">II"))
    # version 0 is unsigned on paper; writers put negative offsets there all the same
    shifts = chain.from_iterable(repeat(shift, count) for count, shift in tables.entries("ctts", ">Ii"))
    decode_times = islice(accumulate(chain([0], deltas)), min(samples, _REORDER_SAMPLES))
    start = min(map(add, decode_times, chain(shifts, repeat(0))), default=0)
    return start, start + total, total / samples if samples else 0.0
