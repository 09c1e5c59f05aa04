"""What only the coded bytes tell: profile, level, stereo packing, and which packets are fields of one frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import SupportsBytes

from common.bitstream import BitstreamError, h264, hevc, mpeg2
from common.bitstream.nal import nal_units, parameter_sets

MAX_HEAD_BYTES = 4 << 20
"""Bytes of one packet that are searched for headers: they stand before its slices."""


@dataclass(frozen=True)
class Coded:
    """Facts of a stream's head; None where it does not say."""

    profile: str | None = None
    level_idc: int | None = None
    frame_packed: bool = False
    has_timing: bool | None = None  # the headers name a frame rate
    crop_left: int = 0  # luma samples
    top_first: bool | None = None  # of the first interlaced picture, where FFmpeg's word is no help
    sps: h264.Sps | None = None
    length_size: int = 0  # of NAL unit lengths; 0: start codes


def read_coded(codec: str, extradata: bytes, packets: Iterable[bytes]) -> Coded:
    """Facts from the configuration record and the first packets. Bytes that break the syntax end the search, not the reading."""
    if codec == "dvvideo":
        return Coded(top_first=False)  # DV has its lower field first (IEC 61834-2), and FFmpeg names no order
    if codec not in ("h264", "hevc", "mpeg2video", "mpeg1video"):
        return Coded()
    found = Coded()
    try:
        if codec.startswith("mpeg"):
            return _mpeg2(extradata, packets)
        sets = parameter_sets(codec, extradata)
        found = replace(found, length_size=sets.length_size)
        take = _take_h264 if codec == "h264" else _take_hevc
        for nal in _nals(sets.nals, packets, sets.length_size):
            found = take(found, nal)
    except BitstreamError:
        pass  # the decoder judges what can be shown; what was read until here holds
    return found


def _nals(first: Iterable[bytes], packets: Iterable[bytes], length_size: int) -> Iterator[bytes]:
    yield from first
    for packet in packets:
        yield from nal_units(packet if length_size else packet[:MAX_HEAD_BYTES], length_size)


def _take_h264(found: Coded, nal: bytes) -> Coded:
    kind = h264.nal_type(nal)
    if kind == h264.Nal.SPS:
        sps = h264.parse_sps(nal)
        profile = found.profile if found.profile == "Stereo High" else sps.profile
        timing = sps.vui.field_rate is not None
        return replace(
            found, profile=profile, level_idc=sps.level_idc, has_timing=timing, crop_left=sps.crop_left, sps=sps
        )
    if kind == h264.Nal.SUBSET_SPS:
        sps = h264.parse_sps(nal)
        if sps.profile == "Stereo High":  # the second view's; its level covers both views (H.10.2)
            return replace(found, profile=sps.profile, level_idc=sps.level_idc)
    if kind == h264.Nal.SEI:
        return replace(found, frame_packed=found.frame_packed or _packed(h264.sei_messages(nal)))
    return found


def _take_hevc(found: Coded, nal: bytes) -> Coded:
    if len(nal) < 2 or hevc.layer(nal):
        return found
    kind = hevc.nal_type(nal)
    if kind == hevc.Nal.SPS:
        sps = hevc.parse_sps(nal)
        timing = sps.frame_rate is not None or bool(found.has_timing)
        return replace(
            found,
            profile=sps.tier.profile,
            level_idc=sps.tier.level_idc,
            has_timing=timing,
            crop_left=sps.crop_left,
        )
    if kind == hevc.Nal.PREFIX_SEI:
        return replace(found, frame_packed=found.frame_packed or _packed(h264.sei_messages(nal, header=2)))
    return found


def _packed(messages: Iterable[tuple[int, bytes]]) -> bool:
    return any(kind == h264.FRAME_PACKING and h264.packs_frames(payload) for kind, payload in messages)


def _mpeg2(extradata: bytes, packets: Iterable[bytes]) -> Coded:
    found = Coded()
    for data in (extradata, *packets):
        if found.profile is None and (heads := mpeg2.sequence_of(data[:MAX_HEAD_BYTES])):
            sequence = heads[0]
            timing = sequence.frame_rate is not None
            found = replace(found, profile=sequence.profile, level_idc=sequence.level_code, has_timing=timing)
        interlaced = (picture for picture in mpeg2.pictures(data) if not picture.progressive)
        if found.top_first is None and (first := next(interlaced, None)):
            found = replace(found, top_first=_top_first(first))
    return found


def _top_first(picture: mpeg2.PictureCoding) -> bool:
    """A field picture says 0 in top_field_first whatever it is (6.3.10): the order is how they come."""
    return picture.top_field_first if picture.structure == mpeg2.FRAME else picture.structure == mpeg2.TOP


class FrameCounter:
    """Counts frames packet by packet: two fields of opposite parity that follow each other are one frame.

    A packet is one frame for every codec but H.264 with frame_mbs_only_flag 0 and MPEG-2, where it may be one field
    (H.264 7.4.1.2.4, 13818-2 6.1.1.4.1). A field without its twin is a frame too: a decoder shows it.
    """

    def __init__(self, codec: str, coded: Coded) -> None:
        self._coded = coded
        self._parities = {"h264": self._h264, "mpeg2video": self._mpeg2, "mpeg1video": self._mpeg2}.get(codec)
        if codec == "h264" and (coded.sps is None or coded.sps.frame_mbs_only):
            self._parities = None
        self._waiting: int | None = None  # parity of a field whose twin has not come
        self.interlaced = False  # a picture of MPEG-2, or a field picture of H.264, said so
        self.top_first: bool | None = None  # of the first of those

    def frames_of(self, packet: SupportsBytes) -> int:
        """Frames that begin in this packet: mostly 1, for a second field 0. Its bytes are copied only where they matter."""
        if self._parities is None:
            return 1
        try:
            return sum(self._begins(parity) for parity in self._parities(bytes(packet)))
        except BitstreamError:
            return 1  # broken bytes: as FFmpeg sees them

    def _begins(self, parity: int) -> bool:
        pair = self._waiting is not None and {self._waiting, parity} == {mpeg2.TOP, mpeg2.BOTTOM}
        self._waiting = parity if parity != mpeg2.FRAME and not pair else None
        return not pair

    def _mpeg2(self, packet: bytes) -> list[int]:
        pictures = list(mpeg2.pictures(packet))
        for picture in pictures:
            if not picture.progressive and not self.interlaced:
                self.interlaced, self.top_first = True, _top_first(picture)
        return [picture.structure for picture in pictures]

    def _h264(self, packet: bytes) -> list[int]:
        """Parity of each picture: one access unit a packet, but MP4 keeps both fields of a frame in one sample."""
        sps = self._coded.sps
        found: list[int] = []
        for nal in nal_units(packet, self._coded.length_size):
            if sps and h264.nal_type(nal) in (h264.Nal.SLICE, h264.Nal.IDR):
                start = h264.parse_slice(nal, sps)
                parity = (mpeg2.BOTTOM if start.bottom else mpeg2.TOP) if start.field else mpeg2.FRAME
                if start.field and not self.interlaced:
                    self.interlaced, self.top_first = True, not start.bottom
                if start.first or not found:
                    found.append(parity)
        return found or [mpeg2.FRAME]
