"""The clips that many cases share: legal ones, and bytes that no encoder writes."""

from __future__ import annotations

from support.corpus.streams import Edit, Stream

H264, HEVC, MAIN_10 = Stream("h264"), Stream("hevc"), Stream("main10")
MPEG2 = Stream("mpeg2", (352, 288), muxer="-f vob")
HD, SD = (1920, 1080), (720, 576)
X264 = "-x264-params 8x8dct=1:cabac=1"
QUICK_X265 = "-x265-params log-level=error"  # no level given: x265 names the one that fits


def sps(profile: bytes, other: bytes) -> Edit:
    """Name another profile_idc and other constraint flags in every SPS and in avcC; the rest stays as coded."""

    def edit(data: bytes) -> bytes:
        changed = data.replace(b"\x67" + profile, b"\x67" + other).replace(b"\x01" + profile, b"\x01" + other)
        if changed == data:
            raise ValueError("the stream has no such SPS")
        return changed

    return edit


def bluray(*, slices: int = 4, rate: int = 15_000, b_pictures: int = 0) -> str:
    """x264's options of a Blu-ray stream, without bluray-compat, which would mend what some cases break; rate in kbit/s."""
    hrd = f"nal-hrd=vbr:vbv-maxrate={rate}:vbv-bufsize=15000:aud=1"
    return f"{X264}:slices={slices}:keyint=24:open-gop=1:{hrd}:bframes={b_pictures}:b-adapt=0:b-pyramid=none"


BD = H264.but(size=(1280, 720), frames=4, options=bluray())
BD_50 = BD.but(rate="50", frames=8)
MPEG2_HIGH = Stream("mpeg2-high", (1280, 720), frames=4, muxer="-f vob")
RAW_MPEG2 = MPEG2.but(muxer="-f mpeg2video")
TWO_SIZES = MPEG2.but(frames=80, joined=(RAW_MPEG2.but(frames=70), RAW_MPEG2.but(size=(320, 240))))
BASELINE = H264.but(options="-profile:v baseline -x264-params 8x8dct=0:cabac=0")
as_extended = sps(b"\x42\xc0", b"\x58\x00")
as_plain_baseline = sps(b"\x42\xc0", b"\x42\x00")
as_high_422 = sps(b"\x64\x00", b"\x7a\x00")
as_high_10 = sps(b"\x64\x00", b"\x6e\x00")
CHECKERBOARD = H264.but(options=f"-level:v 4.2 {X264}:frame-packing=0")
PACKED = H264.but(options=f"-level:v 4.2 {X264}:frame-packing=3")
