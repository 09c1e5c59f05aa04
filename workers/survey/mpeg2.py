"""Survey of MPEG-2 streams (ISO/IEC 13818-2 6.2)."""

from __future__ import annotations

from common.bitstream import BitstreamError, mpeg2
from common.media import Coding, Hrd
from workers.survey.pictures import MAX_SEQUENCES, Light, Pictures, distinct


class Mpeg2Survey:
    """Sequence headers and picture types of MPEG-2."""

    def __init__(self, extradata: bytes) -> None:
        self.light = Light()
        self.pictures = Pictures()
        self._used: dict[mpeg2.Sequence, None] = {}
        self.key(extradata)

    def picture(self, packet: bytes) -> None:
        """Read a packet through. Slices are not counted: each row of macroblocks has at least one."""
        self.key(packet)
        try:
            for coded in mpeg2.pictures(packet):
                self.pictures.slice(first=True, b=coded.kind == mpeg2.B_PICTURE)
        except BitstreamError:
            pass
        self.pictures.close()

    def key(self, packet: bytes) -> None:
        """Read a sequence header, where there is one."""
        try:
            found = mpeg2.sequence_of(packet)
        except BitstreamError:
            return
        if found and len(self._used) < MAX_SEQUENCES:
            self._used[found[0]] = None

    def coding(self) -> Coding:
        """What was found; codes of the first sequence header, and the most that any asks for."""
        first = next(iter(self._used), None)
        if first is None:
            return Coding()
        return Coding(
            coded_width=max(found.width for found in self._used),
            coded_height=max(found.height for found in self._used),
            chroma=first.chroma,
            nal_hrd=Hrd(
                bit_rate=max(found.bit_rate for found in self._used),
                buffer_bits=max(found.buffer_bits for found in self._used),
            ),
            progressive_only=all(found.progressive for found in self._used),
            b_pictures=self.pictures.longest_run,
            sizes=distinct((found.width, found.height) for found in self._used),
            parameter_sets=len(self._used),
            aspect_code=first.aspect,
            rate_code=first.rate_code,
            rate_extended=any(found.rate_extended for found in self._used),
            low_delay=any(found.low_delay for found in self._used),
        )
