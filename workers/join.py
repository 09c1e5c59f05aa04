"""Chunks of one encoder joined into one MP4: packets pass without decoding, times are exact, SPS and PPS stand once."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from common.bitstream import BitstreamError
from common.errors import ConformanceBroken, InternalFault
from common.orders import ChunkRef
from common.recipes import Recipe
from common.store import ObjectStore
from workers.chunk_encode import STREAM
from workers.stitch import IdrNumbers, decoding_times, emptied_at, read_headers

WHOLE_VBV_INITIAL = 0.9
"""x264's own choice of how full the buffer is when a stream begins."""


@dataclass(frozen=True)
class Join:
    """What the child needs to write one MP4."""

    chunks: tuple[ChunkRef, ...]
    clock: Fraction  # seconds of an output tick
    starts: tuple[int, ...]  # first frame of each chunk, ticks
    variable: bool  # the rate
    recipe: Recipe
    sound: Path | None


def join(store: ObjectStore, plan: Join, output: Path) -> tuple[int, int]:
    """Write the MP4; returns width and height. Runs in a child; packets pass one at a time.

    Raises:
        ConformanceBroken: the chunks do not make one legal stream: another header, or a buffer that runs dry.
        InternalFault: a chunk does not hold the frames it should.
    """
    import av

    times, places, sizes = _scan(store, plan)
    _check_buffer(plan, times, sizes)
    with ExitStack() as stack:
        first = stack.enter_context(_Chunk(store, plan.chunks[0]))
        target = stack.enter_context(
            av.open(str(output), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"})
        )
        video = target.add_stream_from_template(first.stream, opaque=True)
        video.time_base, video.codec_context.codec_tag = plan.clock, "avc1"
        flows = [_video_packets(store, plan, video, times, places)]
        if plan.sound is not None:
            heard: Any = stack.enter_context(av.open(str(plan.sound)))
            flows.append(_audio_packets(heard, target.add_stream_from_template(heard.streams.audio[0], opaque=True)))
        # by decoding time, so that the muxer never waits for one stream with the other's packets in memory
        for _, _, packet in heapq.merge(*flows, key=lambda entry: entry[:2]):
            target.mux_one(packet)
        return first.stream.codec_context.width, first.stream.codec_context.height


class _Chunk:
    """An open chunk and its packets, their times in ticks from its first frame."""

    def __init__(self, store: ObjectStore, ref: ChunkRef) -> None:
        self._store, self._ref = store, ref

    def __enter__(self) -> _Chunk:
        import av

        self._stack = ExitStack()
        stream = self._stack.enter_context(self._store.open(f"{self._ref.output_prefix}/{STREAM}"))
        self._container: Any = self._stack.enter_context(av.open(stream, format="nut"))
        self.stream: Any = self._container.streams.video[0]
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def extradata(self) -> bytes:
        return bytes(self.stream.codec_context.extradata or b"")

    def packets(self) -> Iterator[Any]:
        return (packet for packet in self._container.demux(self.stream) if packet.size)

    def times(self, clock: Fraction) -> tuple[list[int], list[int]]:
        """(time of each packet in ticks from the chunk's first frame, its size in bits), in decoding order.

        Raises:
            InternalFault: its times do not lie on the clock.
        """
        exact, sizes = [], []
        for packet in self.packets():
            exact.append(packet.pts * self.stream.time_base / clock)
            sizes.append(8 * packet.size)
        if not exact or any(time.denominator != 1 for time in exact) or len(exact) != self._ref.part.frames:
            raise InternalFault("a chunk does not hold its frames on the output's clock")
        begin = min(exact)
        return [int(time - begin) for time in exact], sizes


def _scan(store: ObjectStore, plan: Join) -> tuple[list[int], array[int], array[int]]:
    """Ascending times of all frames; each packet's place among them and its size in bits, in decoding order."""
    times: list[int] = []
    places, sizes = array("q"), array("q")
    header = None
    for ref, start in zip(plan.chunks, plan.starts, strict=True):
        with _Chunk(store, ref) as chunk:
            header = header or chunk.extradata
            if chunk.extradata != header:
                raise ConformanceBroken("the chunks have different parameter sets")
            local, bits = chunk.times(plan.clock)
        shown = sorted(local)
        if not plan.variable and shown != list(range(len(shown))):
            raise InternalFault("a chunk's frames do not follow each other at the constant rate")
        rank = {time: place for place, time in enumerate(shown)}
        places.extend(len(times) + rank[time] for time in local)
        times.extend(start + time for time in shown)
        sizes.extend(bits)
    if any(later <= earlier for earlier, later in pairwise(times)):
        raise InternalFault("the chunks' times overlap")
    return times, places, sizes


def _check_buffer(plan: Join, times: list[int], sizes: Iterable[int]) -> None:
    """H.264 C.1 for the joined stream, which no encoder has seen whole."""
    last = times[-1] - times[-2] if len(times) > 1 else 1
    durations = chain((later - earlier for earlier, later in pairwise(times)), [last])
    recipe = plan.recipe
    dry = emptied_at(
        sizes,
        (length * plan.clock for length in durations),
        rate=recipe.max_rate_kbit * 1000,
        buffer=recipe.buffer_kbit * 1000,
        filled=WHOLE_VBV_INITIAL,
    )
    if dry is not None:
        raise ConformanceBroken(f"the joined chunks empty the decoder's buffer at frame {dry} (H.264 C.1)")


def _video_packets(
    store: ObjectStore, plan: Join, target: Any, times: list[int], places: array[int]
) -> Iterator[tuple[Fraction, int, Any]]:
    """(decoding time in seconds, 0, packet) of every chunk in turn."""
    import av

    decode = zip(decoding_times(places, times), places, strict=True)
    numbers: IdrNumbers | None = None
    for ref in plan.chunks:
        with _Chunk(store, ref) as chunk:
            try:
                numbers = numbers or IdrNumbers(read_headers(chunk.extradata))
                for packet, (dts, place) in zip(chunk.packets(), decode, strict=False):
                    made = av.Packet(numbers.follow(bytes(packet)))
                    made.time_base, made.dts, made.pts = plan.clock, dts, times[place]
                    made.is_keyframe, made.stream = packet.is_keyframe, target
                    yield dts * plan.clock, 0, made
            except BitstreamError as error:
                raise ConformanceBroken(f"a chunk cannot be joined: {error}") from error


def _audio_packets(heard: Any, target: Any) -> Iterator[tuple[Fraction, int, Any]]:
    stream = heard.streams.audio[0]
    for packet in heard.demux(stream):
        if packet.size:
            packet.stream = target
            yield packet.dts * stream.time_base, 1, packet
