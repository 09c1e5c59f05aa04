"""When sound is heard beside the pictures: first and last time stamp of every sound track, from its packets."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

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
