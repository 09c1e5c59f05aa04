"""Files whose video stream breaks one rule; header and encapsulation are right."""

from __future__ import annotations

from support.corpus.case import Shelf
from support.corpus.clips import (
    BASELINE,
    BD,
    BD_50,
    H264,
    HD,
    HEVC,
    MAIN_10,
    MPEG2,
    MPEG2_HIGH,
    PACKED,
    QUICK_X265,
    SD,
    TWO_SIZES,
    X264,
    as_extended,
    as_high_10,
    as_high_422,
    as_plain_baseline,
    bluray,
)
from support.corpus.streams import Stream

STREAMS = Shelf()
_add, _warn = STREAMS.add, STREAMS.warn

# profile
_add("profile-high-444", "High 4:4:4 Predictive (lossless 4:2:0)", H264.but(options="-qp 0"), "102", "stream.profile")
_add("profile-high-422", "High 4:2:2 by profile_idc", H264.but(edit=as_high_422), "102", "stream.profile")
_add("profile-high-10", "High 10 by profile_idc", H264.but(edit=as_high_10), "104", "stream.profile")
_add(
    "profile-baseline",
    "Baseline without constraint_set1_flag",
    BASELINE.but(edit=as_plain_baseline),
    "102",
    "stream.profile",
)
_add("profile-extended", "Extended profile", BASELINE.but(edit=as_extended), "102", "stream.profile")
_warn(
    "profile-main",
    "Main profile under a High profile syntax",
    H264.but(options=f"-profile:v main {X264}".replace("8x8dct=1", "8x8dct=0")),
    "102",
    "stream.profile.lesser",
)
_add("profile-hevc-main-as-main10", "8 bits under Main 10", HEVC, "108", "stream.bits")
_add(
    "profile-hevc-main10-as-main",
    "10 bits and Main 10 profile under Main",
    MAIN_10,
    "107",
    "stream.bits + stream.profile",
)
_add(
    "profile-hevc-422",
    "HEVC Main 4:2:2 10",
    MAIN_10.but(options="-pix_fmt yuv422p10le"),
    "108",
    "stream.chroma + stream.profile",
)
_add(
    "profile-mpeg2-422",
    "MPEG-2 4:2:2 profile",
    MPEG2.but(options="-profile:v 0 -level:v 5 -pix_fmt yuv422p"),
    "100",
    "stream.chroma + stream.profile + stream.level",
)

# chroma, bits
_add("chroma-422", "4:2:2 samples", H264.but(options="-pix_fmt yuv422p"), "102", "stream.chroma + stream.profile")
_add("chroma-444", "4:4:4 samples", H264.but(options="-pix_fmt yuv444p"), "102", "stream.chroma + stream.profile")
_add(
    "chroma-grey-h264",
    "monochrome H.264",
    H264.but(options="-pix_fmt gray -bsf:v h264_metadata=video_full_range_flag=0"),
    "102",
    "stream.chroma",
)
_add(
    "bits-10-h264", "10 bits a sample", H264.but(options="-pix_fmt yuv420p10le"), "102", "stream.bits + stream.profile"
)

# level
_add(
    "level-1080p60-as-4.1",
    "1080p60 that claims level 4.1",
    H264.but(size=HD, rate="60", frames=6),
    "102",
    "stream.level.limits",
)
_add(
    "level-4k-as-4.2",
    "3840×2160 that claims level 4.2",
    H264.but(size=(3840, 2160), frames=3, options="-level:v 4.2"),
    "104",
    "stream.level.limits",
)
_add(
    "level-claims-5.1", "level 5.1 claimed for a small picture", H264.but(options="-level:v 5.1"), "102", "stream.level"
)
_add("level-claims-4.2", "level 4.2 claimed under level 4.1", H264.but(options="-level:v 4.2"), "102", "stream.level")
_warn(
    "level-claims-too-little",
    "1080p that claims level 3",
    H264.but(size=HD, frames=5, options="-level:v 3"),
    "102",
    "stream.level.claim",
)
_add(
    "level-wide",
    "4112 pixels wide: beyond √(8·MaxFS) of level 4.1",
    H264.but(size=(4112, 64), frames=4),
    "102",
    "stream.level.limits",
)
_add(
    "level-hevc-claims-6",
    "HEVC level 6 claimed",
    HEVC.but(options="-bsf:v hevc_metadata=level=6"),
    "107",
    "stream.level",
)
_add(
    "level-hevc-4k120",
    "HEVC 3840×2160 at 120 frames/s that claims 5.1",
    HEVC.but(size=(3840, 2160), rate="120", frames=3, options=f"{QUICK_X265} -bsf:v hevc_metadata=level=5.1"),
    "107",
    "stream.level.limits",
)
_add(
    "level-hevc-high-tier",
    "HEVC High tier",
    HEVC.but(options=f"{QUICK_X265}:level-idc=5.1:high-tier=1"),
    "107",
    "stream.tier",
)
_add(
    "level-mpeg2-high-as-main",
    "MPEG-2 High Level under Main Level",
    MPEG2.but(options="-level:v high"),
    "100",
    "stream.level",
)
_add(
    "level-mpeg2-1440",
    "MPEG-2 High 1440 Level",
    Stream("mpeg2-high", (1280, 720), frames=3, muxer="-f vob", options="-level:v high1440"),
    "101",
    "stream.level",
)
_add(
    "level-mpeg2-bit-rate",
    "30 Mbit/s of MPEG-2 under Main Level",
    MPEG2.but(size=SD, options="-vf noise=alls=100:allf=t -b:v 40M -maxrate 40M -bufsize 8M -qmin 1 -qmax 2 -g 1"),
    "100",
    "stream.level.limits + stream.level.hrd + stream.level.peak",
)
_add(
    "level-references",
    "16 reference frames at 1080p (level 4.1 holds 4)",
    H264.but(size=HD, frames=3, options=f"{X264}:ref=16"),
    "102",
    "stream.level.pictures",
)
_add(
    "level-hrd-bit-rate",
    "HRD of 100 Mbit/s",
    H264.but(options=f"{X264}:nal-hrd=vbr:vbv-maxrate=100000:vbv-bufsize=60000"),
    "102",
    "stream.level.hrd",
)
_add(
    "level-hrd-buffer",
    "HRD buffer of 200 Mbit",
    H264.but(options=f"{X264}:nal-hrd=vbr:vbv-maxrate=40000:vbv-bufsize=200000"),
    "102",
    "stream.level.hrd",
)

_add(
    "level-mpeg2-header",
    "40 Mbit/s by the sequence header alone",
    MPEG2.but(options="-b:v 40M -maxrate 40M -bufsize 8M"),
    "100",
    "stream.level.hrd",
)

# codec
_add("codec-hevc-as-102", "HEVC labelled H.264", HEVC, "102", "stream.codec")
_add("codec-mpeg2-as-102", "MPEG-2 in TS labelled H.264", MPEG2.but(muxer="ts"), "102", "stream.codec")
_add("codec-h264-as-107", "H.264 labelled HEVC", H264, "107", "stream.codec")
_add("codec-h264-as-100", "H.264 labelled MPEG-2", H264, "100", "stream.codec")
_add(
    "codec-mpeg1",
    "MPEG-1 labelled MPEG-2",
    MPEG2.but(options="-c:v mpeg1video -profile:v -99 -level:v -99"),
    "100",
    "stream.codec",
)
_add("codec-mpeg4-part2", "MPEG-4 Part 2 labelled H.264", H264.but(options="-c:v mpeg4"), "102", "stream.codec")
_add(
    "codec-vp9",
    "VP9 labelled HEVC",
    HEVC.but(options="-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -tag:v vp09"),
    "107",
    "stream.codec",
)

# geometry
_add(
    "geometry-100-576-at-30",
    "720×576 at 30 frames/s",
    MPEG2.but(size=SD, rate="30"),
    "100",
    "stream.geometry + stream.level.limits",
)
_add(
    "geometry-100-720p",
    "1280×720 under Main Level",
    MPEG2.but(size=(1280, 720), frames=4),
    "100",
    "stream.geometry + stream.level.limits",
)
_add("geometry-100-at-24", "352×288 at 24 frames/s", MPEG2.but(rate="24"), "100", "stream.geometry")
_add("geometry-101-576", "1024×576 under High Level", MPEG2_HIGH.but(size=(1024, 576)), "101", "stream.geometry")
_add(
    "geometry-101-1080p50",
    "1080p50 MPEG-2",
    MPEG2_HIGH.but(size=HD, rate="50", frames=4),
    "101",
    "stream.geometry + stream.level.limits",
)
_add("geometry-103-1080p25", "1080p25 labelled BD", BD.but(size=HD), "103", "stream.geometry")
_add("geometry-103-720p25", "720p25 labelled BD", BD, "103", "stream.geometry")
_add("geometry-103-vga", "640×480 labelled BD", BD.but(size=(640, 480)), "103", "stream.geometry")
_add("geometry-103-1080p30", "1080p29.97 labelled BD", BD.but(size=HD, rate="30000/1001"), "103", "stream.geometry")
_add("geometry-two-sizes", "352×288, then 320×240", TWO_SIZES, "100", "stream.sizes")

# what else a Blu-ray player asks of .103
_warn("bluray-one-slice", "one slice a picture", BD_50.but(options=bluray(slices=1)), "103", "stream.bluray.slices")
_warn("bluray-fast", "an HRD of 50 Mbit/s", BD_50.but(options=bluray(rate=50_000)), "103", "stream.bluray.rate")
_warn(
    "bluray-b-pictures",
    "five B pictures in a row",
    BD_50.but(options=bluray(b_pictures=5)),
    "103",
    "stream.bluray.b_pictures",
)

# stereo
_add("packing-104", "side by side under the syntax for 2D", PACKED, "104", "stream.packing")
_add(
    "packing-105-absent",
    "no frame packing under the syntax for 3D",
    H264.but(options="-level:v 4.2"),
    "105",
    "stream.packing",
)

# picture
_add("aspect-102", "pixels 4:3 wide", H264.but(options="-vf setsar=4/3"), "102", "stream.aspect")
_add("aspect-107", "pixels 64:45 wide in HEVC", HEVC.but(options="-vf setsar=64/45"), "107", "stream.aspect")
_add(
    "aspect-101",
    "1280×720 shown 4:3",
    Stream("mpeg2-high", (1280, 720), frames=4, muxer="-f vob", options="-aspect 4:3"),
    "101",
    "stream.aspect + stream.mpeg2.aspect",
)
_add("range-h264", "full range", H264.but(options="-pix_fmt yuvj420p"), "102", "stream.range")
_add("range-hevc", "full range", HEVC.but(options="-pix_fmt yuvj420p"), "107", "stream.range")
_add(
    "matrix-rgb",
    "matrix_coefficients 0: RGB",
    H264.but(options="-bsf:v h264_metadata=matrix_coefficients=0"),
    "102",
    "stream.matrix",
)
_add("matrix-ycgco", "YCgCo", H264.but(options="-bsf:v h264_metadata=matrix_coefficients=8"), "102", "stream.matrix")
_warn(
    "gamut-bt2020",
    "BT.2020 colours",
    H264.but(options="-color_primaries bt2020 -color_trc bt2020-10 -colorspace bt2020nc"),
    "102",
    "stream.gamut",
)
_add(
    "rotation",
    "a display matrix that turns the picture",
    H264.but(inputs="-display_rotation:v:0 90 -noautorotate"),
    "102",
    "stream.rotation",
)
_warn(
    "scan-hevc",
    "interlaced HEVC",
    HEVC.but(options="-vf setfield=tff -x265-params log-level=error:level-idc=5.1:high-tier=0:interlace=tff"),
    "107",
    "stream.scan",
)
