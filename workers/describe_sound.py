"""What the packets of sound tracks tell: when they are heard beside the pictures; what frames of MPEG audio say of themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.bitstream.mpeg_audio import frames

if TYPE_CHECKING:
    from av.audio.stream import AudioStream as AvAudio
    from av.packet import Packet


@dataclass
class _Ends:
    first: int
    last: int  # end of the last packet


@dataclass
class Heard:
    """Collects the packets of all sound tracks, by stream index. Ticks are each stream's own."""

    _ends: dict[int, _Ends] = field(default_factory=dict)

    def add(self, packet: Packet[Any]) -> None:
        """One packet, in any order; one without a time stamp says nothing."""
        if packet.pts is None or packet.is_discard:
            return
        end = packet.pts + (packet.duration or 0)
        known = self._ends.get(packet.stream_index)
        if known is None:
            self._ends[packet.stream_index] = _Ends(packet.pts, end)
        else:
            known.first, known.last = min(known.first, packet.pts), max(known.last, end)

    def span(self, track: AvAudio, first_frame: Fraction | None) -> tuple[float, float] | None:
        """(begin after the first frame is shown, duration), ms; None where time stamps are missing.

        A decoder's priming (ISO/IEC 14496-12, edit lists) is not heard: FFmpeg leaves it out of the stream's start.
        """
        ends = self._ends.get(track.index)
        if ends is None or track.time_base is None or first_frame is None:
            return None
        begin = max(ends.first, track.start_time if track.start_time is not None else ends.first)
        start, stop = begin * track.time_base, ends.last * track.time_base
        return round(float(1000 * (start - first_frame)), 3), round(float(1000 * (stop - start)), 3)


_NAMES = {1: "mp1", 2: "mp2", 3: "mp3"}
"""Layer → FFmpeg's word for the codec."""

_DECODERS: frozenset[str | None] = frozenset({"mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float"})
"""FFmpeg's names of what reads MPEG audio: one decoder reads all layers, so its name tells none of them."""


@dataclass(frozen=True)
class MpegFacts:
    """What all frames of a track of MPEG audio say."""

    codec: str
    bit_rate: int | None  # bit/s that every frame names; None: they differ, or are of the free format
    constant: bool | None  # None: a frame names no rate


@dataclass
class _Said:
    layers: set[int] = field(default_factory=set)
    rates: set[int | None] = field(default_factory=set)
    whole: bool = True  # every packet begins with a frame


class MpegAudio:
    """Collects the frame headers of all tracks of MPEG audio, by stream index.

    A container's word is not enough: MP4 has one object type for Layers I to III, and gives the mean of the rates that its
    index adds up to, 322,808 bit/s of MP3 at 320,000. Of a constant bit rate only all frames tell.
    """

    def __init__(self, tracks: Iterable[AvAudio]) -> None:
        self._said = {track.index: _Said() for track in tracks if (track.codec_context or track).name in _DECODERS}

    def add(self, packet: Packet[Any]) -> None:
        """One packet of any track."""
        said = self._said.get(packet.stream_index)
        if said is None:
            return
        found = tuple(frames(bytes(packet)))
        said.whole = said.whole and bool(found)
        said.layers |= {frame.layer for frame in found}
        said.rates |= {frame.bit_rate for frame in found}

    def of(self, track: AvAudio) -> MpegFacts | None:
        """None: no MPEG audio, no packet of it, or packets that are not frames of one layer."""
        said = self._said.get(track.index)
        if said is None or not said.whole or len(said.layers) != 1:
            return None
        (layer,) = said.layers
        rate = next(iter(said.rates)) if len(said.rates) == 1 else None
        return MpegFacts(_NAMES[layer], rate, None if None in said.rates else len(said.rates) == 1)
