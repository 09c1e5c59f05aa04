"""One H.264 stream out of several: what neighbouring closed-GOP streams of one encoder must agree in. Pure, on bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from common.bitstream import BitstreamError, h264
from common.bitstream.bits import BitReader, unescaped
from common.bitstream.nal import annex_b

START_CODE = b"\0\0\0\1"


@dataclass(frozen=True)
class Headers:
    """What is needed of the parameter sets to find one's way in a slice header."""

    sps: h264.Sps
    cabac: bool
    order_in_frame: bool  # bottom_field_pic_order_in_frame_present_flag
    deblocking: bool  # deblocking_filter_control_present_flag
    redundant: bool  # redundant_pic_cnt_present_flag


def read_headers(extradata: bytes) -> Headers:
    """The one SPS and the one PPS of an Annex B header.

    Raises:
        BitstreamError: there are not exactly one of each, or they break the syntax (H.264 7.3.2).
    """
    sets: dict[int, list[bytes]] = {}
    for nal in annex_b(extradata):
        sets.setdefault(h264.nal_type(nal), []).append(nal)
    (sps, *more_sps), (pps, *more_pps) = sets.get(h264.Nal.SPS, [b""]), sets.get(h264.Nal.PPS, [b""])
    if more_sps or more_pps or not sps or not pps:
        raise BitstreamError("a stream of ours has one sequence and one picture parameter set")
    bits = BitReader(unescaped(pps[1:]))
    bits.ue()
    bits.ue()
    cabac, order_in_frame = bits.flag(), bits.flag()
    if bits.ue():
        raise BitstreamError("slice groups are not for our profiles")
    bits.ue()
    bits.ue()
    bits.skip(3)  # weighted prediction
    for _ in range(3):
        bits.se()
    deblocking, _, redundant = bits.flag(), bits.flag(), bits.flag()
    return Headers(h264.parse_sps(sps), cabac, order_in_frame, deblocking, redundant)


class IdrNumbers:
    """Gives neighbouring IDR pictures different numbers.

    H.264 7.4.3: idr_pic_id of two IDR pictures that follow each other in decoding order shall differ; a decoder without
    container may else take them for one. Each of our chunks begins with 0, so a chunk that ends with an IDR picture may
    collide with the next. Only then slice headers are written anew; picture data stays as it is.
    """

    def __init__(self, headers: Headers) -> None:
        self._headers = headers
        self._last: int | None = None  # of the access unit before, when that is an IDR picture
        self.rewritten = 0

    def follow(self, packet: bytes) -> bytes:
        """The next access unit (Annex B), changed where it must be.

        Raises:
            BitstreamError: a slice header breaks the syntax.
        """
        nals = list(annex_b(packet))
        slices = [nal for nal in nals if h264.nal_type(nal) == h264.Nal.IDR]
        if not slices:
            self._last = None
            return packet
        number = _slice_head(slices[0], self._headers)[1]
        if number != self._last:
            self._last = number
            return packet
        self._last = 1 - min(number, 1)
        self.rewritten += 1
        return b"".join(
            START_CODE + (renumbered(nal, self._headers, self._last) if h264.nal_type(nal) == h264.Nal.IDR else nal)
            for nal in nals
        )


def _slice_head(nal: bytes, headers: Headers) -> tuple[int, int, int]:
    """(bits before idr_pic_id, idr_pic_id, bits after it) of an IDR slice's RBSP (7.3.3)."""
    bits = BitReader(unescaped(nal[1:64]))
    for _ in range(3):
        bits.ue()
    bits.skip(headers.sps.frame_num_bits + (2 if headers.sps.separate_planes else 0))
    field = not headers.sps.frame_mbs_only and bits.flag()
    if field:
        bits.skip(1)
    before = bits.position
    return before, bits.ue(), bits.position


def renumbered(nal: bytes, headers: Headers, number: int) -> bytes:
    """An IDR slice (I, so without reference lists) with another idr_pic_id; its picture data bit for bit the same.

    Raises:
        BitstreamError: its header breaks the syntax.
    """
    before, _, after = _slice_head(nal, headers)
    data = unescaped(nal[1:])
    bits = BitReader(data[:64])
    bits.skip(after)
    _skip_rest(bits, headers)
    end = bits.position if headers.cabac else 8 * len(data)
    whole = int.from_bytes(data[: (end + 7) // 8])
    size = 8 * ((end + 7) // 8)
    code = number + 1  # ue(v): leading zeros, then the value plus one
    width = 2 * code.bit_length() - 1
    head = whole >> (size - before)
    tail = (whole >> (size - end)) & ((1 << (end - after)) - 1)
    value, length = (((head << width) | code) << (end - after)) | tail, before + width + end - after
    padding = -length % 8
    # cabac_alignment_one_bit fills up with ones; behind a CAVLC slice's own stop bit come zeros
    value = (value << padding) | (((1 << padding) - 1) if headers.cabac else 0)
    return nal[:1] + escaped(value.to_bytes((length + padding) // 8) + data[(end + 7) // 8 :])


def _skip_rest(bits: BitReader, headers: Headers) -> None:
    """From behind idr_pic_id to the end of an I slice's header."""
    sps = headers.sps
    bits.skip(sps.order_count_bits)
    if sps.order_count_bits and headers.order_in_frame:
        bits.se()
    if headers.redundant:
        bits.ue()
    bits.skip(2)  # dec_ref_pic_marking of an IDR picture
    bits.se()
    if headers.deblocking and bits.ue() != 1:
        bits.se()
        bits.se()


def escaped(rbsp: bytes) -> bytes:
    """With emulation prevention bytes (7.3.1): 00 00 is never followed by less than 04."""
    out, zeros = bytearray(), 0
    for byte in rbsp:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def ticks(seconds: Fraction, clock: Fraction) -> int:
    """Seconds on a clock, rounded as FFmpeg does (AV_ROUND_NEAR_INF: halves away from zero)."""
    exact = seconds / clock
    nearest = (2 * abs(exact.numerator) + exact.denominator) // (2 * exact.denominator)
    return nearest if exact >= 0 else -nearest


def decoding_times(places: Sequence[int], times: Sequence[int]) -> Iterator[int]:
    """Decoding times for frames in decoding order: ``places`` are theirs in display order, ``times`` the ascending presentation
    times. As late as can be: every frame is there when it is shown, and no time stands twice.
    """
    delay = max((number - place for number, place in enumerate(places)), default=0)
    step = times[1] - times[0] if len(times) > 1 else 1
    for number in range(len(places)):
        yield times[number - delay] if number >= delay else times[0] - (delay - number) * step


def emptied_at(
    sizes: Iterable[int], durations: Iterable[Fraction], *, rate: int, buffer: int, filled: float
) -> int | None:
    """The frame at which the decoder's buffer (H.264 C.1, variable rate) runs dry, or None: the stream fits.

    ``sizes`` are bits in decoding order, ``durations`` seconds until the next is taken; ``rate`` bit/s, ``buffer`` bits,
    ``filled`` the part of it that is full when decoding begins.
    """
    level = Fraction(filled).limit_denominator(1000) * buffer
    for number, (size, duration) in enumerate(zip(sizes, durations, strict=True)):
        level -= size
        if level < 0:
            return number
        level = min(Fraction(buffer), level + rate * duration)
    return None
