"""Bits of a raw byte sequence payload: fixed-length and Exp-Golomb codes (ITU-T H.264 7.2 and 9.1, H.265 9.2)."""

from __future__ import annotations

from common.bitstream import BitstreamError

_LONGEST_GOLOMB = 32  # leading zero bits of the largest code that a standard allows


def unescaped(nal: bytes) -> bytes:
    """A NAL unit without its emulation prevention bytes (H.264 7.3.1: 00 00 03 becomes 00 00)."""
    return nal.replace(b"\0\0\3", b"\0\0")


class BitReader:
    """Reads ``data`` from its first bit on; every read beyond the end is a BitstreamError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._end = 8 * len(data)
        self.position = 0  # bits

    @property
    def left(self) -> int:
        """Bits not read yet."""
        return self._end - self.position

    def more_data(self) -> bool:
        """more_rbsp_data (H.264 7.2): something stands before the stop bit, which is the last bit that is 1."""
        last = self._data.rstrip(b"\0")
        if not last:
            return False
        trailing = (last[-1] & -last[-1]).bit_length()  # the stop bit and the zeros behind it in its byte
        return self.position < 8 * len(last) - trailing

    def u(self, count: int) -> int:
        """Unsigned integer of ``count`` bits.

        Raises:
            BitstreamError: fewer bits are left.
        """
        end = self.position + count
        if end > self._end:
            raise BitstreamError("the bitstream ends inside a header")
        window = int.from_bytes(self._data[self.position // 8 : (end + 7) // 8])
        self.position = end
        return (window >> (-end % 8)) & ((1 << count) - 1)

    def flag(self) -> bool:
        """One bit.

        Raises:
            BitstreamError: none is left.
        """
        at = self.position
        if at >= self._end:
            raise BitstreamError("the bitstream ends inside a header")
        self.position = at + 1
        return bool(self._data[at >> 3] >> (7 - (at & 7)) & 1)

    def skip(self, count: int) -> None:
        """Pass over ``count`` bits.

        Raises:
            BitstreamError: fewer bits are left.
        """
        self.u(count)

    def ue(self) -> int:
        """Unsigned Exp-Golomb code.

        Raises:
            BitstreamError: longer than any standard allows, or beyond the end.
        """
        at, used = self.position >> 3, self.position & 7
        ahead = self._data[at : at + 5]  # 33 bits at least, unless the data ends: the longest row of zeros and its 1
        count = 8 * len(ahead) - used
        zeros = count - (int.from_bytes(ahead) & (0xFF_FFFF_FFFF >> (40 - count))).bit_length()
        if zeros > _LONGEST_GOLOMB:
            raise BitstreamError("an Exp-Golomb code is longer than 65 bits")
        if zeros == count:
            raise BitstreamError("the bitstream ends inside a header")
        self.position += zeros + 1
        return (1 << zeros) - 1 + self.u(zeros) if zeros else 0

    def se(self) -> int:
        """Signed Exp-Golomb code: 0, 1, -1, 2, -2 ...

        Raises:
            BitstreamError: as for ``ue``.
        """
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)

    def bounded_ue(self, largest: int, what: str) -> int:
        """``ue`` that may not pass ``largest``; ``what`` names it in the error.

        Raises:
            BitstreamError: it does.
        """
        value = self.ue()
        if value > largest:
            raise BitstreamError(f"{what} is {value}, more than {largest}")
        return value
