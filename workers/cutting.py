"""Write the parts of a finished stream, each in a file of its own: packets pass without decoding, times begin anew."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.bitstream.nal import annex_b
from common.errors import Uncuttable, UnreadableSource
from workers.borders import find_units, shares
from workers.payload import Payload
from workers.shown_times import opened

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer

_GENERATE_TIMES = 0x0001  # AVFMT_FLAG_GENPTS
_TAGS = {"h264": "avc1", "hevc": "hvc1"}
_SETS = {"h264": (0x1F, 0, 7), "hevc": (0x3F, 1, 33)}  # mask and shift of nal_unit_type, and the SPS's


@dataclass(frozen=True)
class Piece:
    """A part of the stream, in a file."""

    path: Path
    packets: int  # of the video
    start_ms: float  # after the first frame of the whole


@dataclass
class _Part:
    """An output that is being written."""

    container: OutputContainer
    streams: dict[int, Any]  # input stream index → output stream
    start: Fraction  # seconds of the whole that are this part's zero
    begun: bool = field(default=False)


def cut(payload: Payload, limit: int, folder: Path) -> list[Piece]:
    """Cut a stream into the fewest parts of about ``limit`` bytes. Runs in a child: it parses hostile bytes.

    Raises:
        Uncuttable: it has no place, or too few, where a part could begin.
        UnreadableSource: its packets cannot be read.
    """
    codec = payload.output.video.codec
    with _stream(payload) as (container, video):
        packets = (packet for packet in container.demux() if packet.size)
        units = find_units(packets, codec, bytes(video.codec_context.extradata or b""), video.index)
        base = Fraction(video.time_base or 0)
    firsts = shares([unit.size_bytes for unit in units], limit)
    if len(firsts) < 2:
        raise Uncuttable("it has no key frame where a part could begin")
    sums = [0, *accumulate(unit.packets for unit in units)]
    starts = [units[first].start * base for first in firsts]
    ordinals = [sums[first] for first in firsts]
    suffix, form = (".ts", "mpegts") if _in_transport_stream(payload) else (".mp4", "mp4")
    paths = [folder / f"part-{number}{suffix}" for number in range(1, len(firsts) + 1)]
    _write(payload, paths, form, ordinals, starts)
    ends = (*ordinals[1:], sums[-1])
    return [
        Piece(path, end - first, float(1000 * (start - starts[0])))
        for path, first, end, start in zip(paths, ordinals, ends, starts, strict=True)
    ]


def _in_transport_stream(payload: Payload) -> bool:
    """MPEG-2 always lies in one (no browser plays it anyway); what is in one stays there."""
    return payload.output.video.codec == "mpeg2video" or payload.output.container == "mpegts"


def _write(payload: Payload, paths: list[Path], form: str, ordinals: Sequence[int], starts: Sequence[Fraction]) -> None:
    """One pass over the stream. The video changes parts at a packet, the sound where its time says."""
    codec, seen = payload.output.video.codec, 0
    with ExitStack() as stack:
        container, video = stack.enter_context(_stream(payload))
        parts = [
            stack.enter_context(_part(path, form, start, container, video, codec))
            for path, start in zip(paths, starts, strict=True)
        ]
        for packet in container.demux():
            if not packet.size or packet.stream_index not in parts[0].streams:
                continue
            if packet.stream_index == video.index:
                part = parts[bisect_right(ordinals, seen) - 1]
                seen += 1
                whole = part.begun or form == "mp4"
                part.begun = True
                _mux(part, packet if whole else _with_sets(packet, codec, video))
            else:
                _mux(parts[max(0, bisect_right(starts, _time(packet)) - 1)], packet)


def _mux(part: _Part, packet: Any) -> None:
    index, shift = packet.stream_index, round(part.start / packet.time_base)
    packet.pts = None if packet.pts is None else packet.pts - shift
    packet.dts = None if packet.dts is None else packet.dts - shift
    packet.stream = part.streams[index]
    part.container.mux_one(packet)


def _time(packet: Any) -> Fraction:
    stamp = packet.dts if packet.pts is None else packet.pts
    if stamp is None:
        raise Uncuttable("the sound beside the stream has no times of its own")
    return Fraction(stamp * packet.time_base)


def _with_sets(packet: Any, codec: str, video: Any) -> Any:
    """A transport stream has no place for parameter sets but the first picture: they may stand at the whole's beginning only."""
    import av

    if codec not in _SETS:
        return packet
    mask, shift, wanted = _SETS[codec]
    data, sets = bytes(packet), bytes(video.codec_context.extradata or b"")
    if any(nal[0] >> shift & mask == wanted for nal in annex_b(data)):
        return packet
    made = av.Packet(sets + data)
    made.pts, made.dts, made.time_base, made.stream = packet.pts, packet.dts, packet.time_base, packet.stream
    made.is_keyframe = packet.is_keyframe
    return made


@contextmanager
def _part(path: Path, form: str, start: Fraction, container: InputContainer, video: Any, codec: str) -> Iterator[_Part]:
    import av

    moov_first = {"movflags": "+faststart"} if form == "mp4" else {}
    with av.open(str(path), "w", format=form, options={"fflags": "+bitexact", **moov_first}) as output:
        streams = {video.index: output.add_stream_from_template(video, opaque=True)}
        if form == "mp4":
            streams[video.index].codec_context.codec_tag = _TAGS[codec]
        for sound in container.streams.audio:
            streams[sound.index] = output.add_stream_from_template(sound, opaque=True)
        yield _Part(output, streams, start)


@contextmanager
def _stream(payload: Payload) -> Iterator[tuple[InputContainer, Any]]:
    from av.error import FFmpegError

    from workers.describe_media import open_container, video_stream

    try:
        with open_container(opened(payload)) as container:
            if payload.output.video.codec == "mpeg2video":
                container.flags |= _GENERATE_TIMES  # program streams time some frames only
            yield container, video_stream(container)
    except FFmpegError as error:
        raise UnreadableSource(f"the stream cannot be cut: {type(error).__name__}") from error
