"""What the surveys of H.264 and HEVC have in common."""

from __future__ import annotations

from collections.abc import Iterable

from common.bitstream import BitstreamError, h264, sei
from common.bitstream.nal import nal_units, parameter_sets
from common.bitstream.vui import Hrd as CodedHrd
from common.media import Hrd
from workers.survey.pictures import Light, Pictures


class NalSurvey:
    """What H.264 and HEVC have in common. Bytes that break the syntax end the reading of their packet, no more."""

    def __init__(self, codec: str, extradata: bytes) -> None:
        self.light = Light()
        self.pictures = Pictures()
        self.packing: int | None = None
        self.delimiters: bool | None = None
        self._length_size = 0
        try:
            sets = parameter_sets(codec, extradata)
            self._length_size = sets.length_size
            self._read(sets.nals, slices=False)
        except BitstreamError:
            pass

    def picture(self, packet: bytes) -> None:
        """Read a packet through."""
        self._delimited = False
        self._read(nal_units(packet, self._length_size), slices=True)
        self.pictures.close()
        self.delimiters = self._delimited and self.delimiters is not False

    def key(self, packet: bytes) -> None:
        """Read a packet as far as its first slice."""
        self._read(nal_units(packet, self._length_size), slices=False)

    def _read(self, nals: Iterable[bytes], *, slices: bool) -> None:
        try:
            for nal in nals:
                if self._take(nal) and not slices:
                    break
        except BitstreamError:
            pass

    def _take(self, nal: bytes) -> bool:
        """Take what a NAL unit tells; True: it is a slice."""
        raise NotImplementedError

    def _messages(self, nal: bytes, header: int) -> None:
        for kind, payload in h264.sei_messages(nal, header):
            if kind == h264.FRAME_PACKING:
                self.packing = sei.frame_packing(payload)
            elif kind == sei.MASTERING_DISPLAY and not self.light.mastering:
                self.light = Light(sei.mastering_display(payload), self.light.content)
            elif kind == sei.CONTENT_LIGHT and not self.light.content:
                self.light = Light(self.light.mastering, sei.content_light(payload))


def largest_hrd(found: Iterable[CodedHrd | None]) -> Hrd | None:
    """The highest rate and the largest buffer of all."""
    there = [hrd for hrd in found if hrd]
    if not there:
        return None
    return Hrd(bit_rate=max(hrd.bit_rate for hrd in there), buffer_bits=max(hrd.buffer_bits for hrd in there))
