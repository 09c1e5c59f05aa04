"""Where a source can be cut: a packet index without decoding, key frames to read from, parts of about equal length.

Frames are numbered by their time stamps in display order, never by a guess from time and rate. A source whose index leaves
any doubt about a frame's number is not cut: one worker encodes it whole.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from common.bitstream import BitstreamError, h264
from common.bitstream.bits import BitReader
from common.bitstream.nal import nal_units, parameter_sets
from common.errors import InternalFault, UnreadableSource, UnsupportedSource
from common.media import Description, Kind
from common.orders import Part, SplitDone, Timeline
from workers.ffmpeg.conversion import VARIABLE_RATE_CLOCK
from workers.stitch import ticks

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

RECOVERY_POINT = 6
"""SEI payload type (H.264 D.1.8)."""

LONGEST_REORDERING = 32
"""Frames by which decoding order may differ from display order: H.264 and HEVC hold 16 pictures, or 32 fields."""

Source = Path | Callable[[], BinaryIO]
"""A local file, or what opens a seekable stream of the source's bytes: the store's, which reads no more than it is asked."""

_READ_BYTES = 256 << 10  # asked of the source at a time

_NO_CLOCK = frozenset({"elementary", "avi"})
"""Containers whose packets carry no presentation times."""


@dataclass(frozen=True)
class Index:
    """A source's frames in display order, 8 bytes each, and where a decoder can begin."""

    times: array[int]  # time stamps, ticks, ascending
    entries: tuple[int, ...]  # frame numbers of key frames after which every later frame can be decoded
    time_base: Fraction  # seconds of a tick
    start_ticks: int  # when the file starts


def firsts(total: int, wanted: int, entries: Sequence[int]) -> list[int]:
    """First frames of at most ``wanted`` parts: the entry nearest to each even cut, no entry twice; the first is 0."""
    found = {0}
    for number in range(1, wanted):
        target = total * number / wanted
        place = bisect_left(entries, target)
        near = [entry for entry in entries[max(0, place - 1) : place + 1] if 0 < entry < total]
        if near:
            found.add(min(near, key=lambda entry: abs(entry - target)))
    return sorted(found)


def split(source: Source, description: Description, wanted: int) -> SplitDone:
    """Cut a source into at most ``wanted`` parts. Runs in a child: it parses hostile bytes.

    Raises:
        UnreadableSource: the packets cannot be read.
    """
    total = description.video.frame_count
    if description.kind is Kind.DICOM_FRAMES and not description.video.constant_rate:
        return SplitDone(reason="a loop whose frames have times of their own is encoded whole")
    if description.kind is Kind.DICOM_FRAMES:
        return _done(total, firsts(total, wanted, range(total)))
    try:
        index = read_index(source, description)
    except UnsupportedSource as error:
        return SplitDone(reason=error.message)
    # whole seconds: the shift must not change how a time is rounded to another clock
    ticks = index.time_base.denominator
    timeline = Timeline(
        time_base=index.time_base,
        shift=ticks * ceil(max(0, -index.times[0]) / ticks + 60),
        first_pts=index.times[0],
        start=(index.times[0] - index.start_ticks) * index.time_base,
    )
    return _done(total, firsts(total, wanted, index.entries), index, timeline)


def _done(total: int, cuts: list[int], index: Index | None = None, timeline: Timeline | None = None) -> SplitDone:
    if len(cuts) < 2:
        return SplitDone(reason="no key frame to cut at")
    ends = (*cuts[1:], total)
    parts = [Part(first=first, last=last, total=total) for first, last in zip(cuts, ends, strict=True)]
    return SplitDone(
        parts=tuple(_placed(part, index, timeline) if index and timeline else part for part in parts), timeline=timeline
    )


def _placed(part: Part, index: Index, line: Timeline) -> Part:
    """With the time stamps of what is to be read, and of the last entry at or before it."""
    begin, end = part.first - part.lead_in, part.last + part.lead_out - 1
    place = bisect_right(index.entries, begin) - 1
    # each rounded as FFmpeg will round it, then subtracted as its filter will
    start, origin = (
        ticks((time + line.shift) * line.time_base, VARIABLE_RATE_CLOCK)
        for time in (index.times[part.first], line.first_pts)
    )
    return part.model_copy(
        update={
            "read_from": index.times[index.entries[place]] if place >= 0 and part.first else None,
            "first_pts": index.times[begin],
            "last_pts": index.times[end],
            "start_ticks": start - origin,
        }
    )


def read_index(source: Source, description: Description) -> Index:
    """Read every packet's time stamp; nothing is decoded.

    Raises:
        UnsupportedSource: the numbers of the frames are not beyond doubt.
        UnreadableSource: the packets cannot be read.
    """
    if description.container in _NO_CLOCK:
        raise UnsupportedSource(f"{description.container} has no presentation times to cut by")
    with opened(source, description) as (container, stream):
        seen = _Seen(description.video.codec, bytes(stream.codec_context.extradata or b""))
        for packet in container.demux(stream):
            if packet.size:
                seen.take(packet)
        base = Fraction(stream.time_base or 0)
        start = round(Fraction(container.start_time or 0, 1_000_000) / base) if base else 0
    return seen.index(description.video.frame_count, base, start)


class _Seen:
    """Packets as they come, in decoding order."""

    def __init__(self, codec: str, extradata: bytes) -> None:
        self._codec, self._dropped, self._keys = codec, [0, 0], array("q")
        self._times, self._latest = array("q"), -(1 << 62)
        try:
            self._length_size = parameter_sets(codec, extradata).length_size if codec in ("h264", "hevc") else 0
        except BitstreamError as error:
            raise UnsupportedSource("its decoder configuration record cannot be read") from error

    def take(self, packet: Any) -> None:
        """One packet. Raises: UnsupportedSource."""
        if packet.pts is None:
            raise UnsupportedSource("a packet has no presentation time")
        if packet.has_sidedata("new_extradata"):
            raise UnsupportedSource("its parameter sets change on the way")
        if packet.is_discard:  # an edit list hides it
            if self._times:
                raise UnsupportedSource("an edit list cuts it in the middle")
            return
        # a key frame that something shown later precedes in decoding order is no clean entry
        if packet.is_keyframe and packet.pts > self._latest and self._is_entry(packet):
            self._keys.append(packet.pts)
        self._latest = max(self._latest, packet.pts)
        self._times.append(packet.pts)

    def _is_entry(self, packet: Any) -> bool:
        """H.264 sets its key flag for gradual refreshes too: only an IDR picture or an exact recovery point will do."""
        if self._codec != "h264":
            return True
        try:
            return any(map(_opens, nal_units(bytes(packet), self._length_size)))
        except BitstreamError:
            return False

    def index(self, frames: int, base: Fraction, start: int) -> Index:
        """What was seen, in display order. Raises: UnsupportedSource."""
        times = array("q", sorted(self._times))
        if not base or len(times) != frames:
            raise UnsupportedSource(f"{len(times)} packets hold {frames} frames")
        if any(later <= earlier for earlier, later in pairwise(times)):
            raise UnsupportedSource("two frames have one time stamp")
        if _displaced(self._times, times) > LONGEST_REORDERING:
            raise UnsupportedSource("its clock jumps")
        return Index(times, tuple(bisect_left(times, key) for key in self._keys), base, start)


def _opens(nal: bytes) -> bool:
    kind = h264.nal_type(nal)
    if kind == h264.Nal.IDR:
        return True
    if kind != h264.Nal.SEI:
        return False
    return any(number == RECOVERY_POINT and BitReader(data).ue() == 0 for number, data in h264.sei_messages(nal))


def _displaced(decoded: Iterable[int], shown: Sequence[int]) -> int:
    """The farthest any frame stands from its place in display order."""
    return max(abs(number - bisect_left(shown, time)) for number, time in enumerate(decoded))


@contextmanager
def opened(source: Source, description: Description) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The source's container by its described demuxer, and its video stream. A DICOM object's fragments are one stream.

    Raises:
        UnreadableSource: it does not open, or breaks off inside the block.
    """
    import av

    from workers.sources import demuxer

    try:
        # FFmpeg opens no second file: the demuxer is forced and gets an open stream
        name = demuxer(description)[1]
        with (
            _bytes(source, description) as stream,
            av.open(stream, format=name, metadata_errors="replace", buffer_size=_READ_BYTES) as container,
        ):
            yield container, container.streams.video[0]
    except (av.FFmpegError, IndexError) as error:
        raise UnreadableSource(f"its packets cannot be read: {type(error).__name__}") from error


def _bytes(source: Source, description: Description) -> Any:
    """An open stream of the video's bytes, to be closed."""
    if not isinstance(source, Path):
        return source()
    if description.kind is not Kind.DICOM_VIDEO:
        return source.open("rb")
    from common.dicom.pixel_stream import FragmentReader, fragments

    facts = description.dicom
    if facts is None or facts.stream_length is None:
        raise InternalFault("DICOM video was described without its stream")
    return FragmentReader(source, fragments(source, facts.pixel_data_offset), facts.stream_length)
