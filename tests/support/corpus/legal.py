"""Legal files: nothing is to be found in them."""

from __future__ import annotations

from support.corpus.case import Shelf
from support.corpus.clips import H264, HD, HEVC, MAIN_10, MPEG2, PACKED, SD, X264, bluray
from support.corpus.illegal_files import free_box
from support.corpus.illegal_headers import INTERLACED, NTSC, VARIABLE, VARIABLE_TIMES, vector
from support.corpus.instances import PixelData
from support.corpus.streams import Stream

LEGAL = Shelf()
_add = LEGAL.add

H720 = (1280, 720)
SHORT = 4  # frames of a large picture
MPEG2_HD = Stream("mpeg2-high", HD, frames=SHORT, muxer="-f vob")
FIELDS = "-flags +ildct+ilme -vf setfield=tff"
BD = bluray()
_GREY = "1.2.840.10008.5.1.4.1.1.7.2"
_TRUE_COLOUR = "1.2.840.10008.5.1.4.1.1.7.4"
THREE = PixelData(fragments=3)

# MPEG-2
_add("100-program-stream", "MPEG-2 in a program stream", MPEG2, "100")
_add("100-elementary", "a raw MPEG-2 stream", MPEG2.but(muxer="-f mpeg2video"), "100")
_add("100-ts-mp3", "MPEG-2 in TS with MP3", MPEG2.but(muxer="ts", sound="-c:a libmp3lame -ac 2 -b:a 128k"), "100")
_add(
    "100-wide-pixels",
    "pixels 16:11 wide, said in the header",
    MPEG2.but(options="-vf setsar=16/11"),
    "100",
    PixelAspectRatio=[11, 16],
)
_add(
    "100-pal-interlaced",
    "720×576 interlaced, shown 16:9",
    MPEG2.but(size=SD, frames=5, options=f"{FIELDS},setsar=64/45"),
    "100",
    PixelAspectRatio=[45, 64],
)
_add(
    "100-ntsc",
    "720×480 at 29.97, pixels 8:9 wide",
    MPEG2.but(size=(720, 480), rate="30000/1001", frames=5, options="-vf setsar=8/9"),
    "100",
    PixelAspectRatio=[9, 8],
)
_add(
    "100-grey",
    "MONOCHROME2, one sample a pixel",
    MPEG2,
    "100",
    meta={"MediaStorageSOPClassUID": _GREY},
    PhotometricInterpretation="MONOCHROME2",
    SamplesPerPixel=1,
    PlanarConfiguration=None,
    SOPClassUID=_GREY,
    ConversionType="WSD",
    Modality="OT",
    PresentationLUTShape="IDENTITY",
    RescaleSlope="1",
    RescaleIntercept="0",
    RescaleType="US",
)
_add("100.1-fragments", "three fragments under the fragmentable twin", MPEG2, "100.1", pixels=THREE)
_add("101-1080i25", "1080i25", MPEG2_HD.but(options=FIELDS), "101")
_add("101-1080p30", "1080p29.97", MPEG2_HD.but(rate="30000/1001"), "101")
_add("101-720p50", "720p50", MPEG2_HD.but(size=H720, rate="50"), "101")
_add("101.1-fragments", "720p60 in three fragments", MPEG2_HD.but(size=H720, rate="60"), "101.1", pixels=THREE)

# H.264
_add("102-mp4", "High profile in MP4", H264, "102")
_add("102-ts", "High profile in a transport stream", H264.but(muxer="ts"), "102")
_add("102-aac", "AAC of 48 kHz, two channels", H264.but(sound="-c:a aac -ac 2"), "102")
_add("102-aac-surround", "AAC 5.1", H264.but(sound="-c:a aac -ac 6"), "102")
_add("102-mp3", "MP3 of 44.1 kHz, one channel, in MP4", H264.but(sound="-c:a libmp3lame -ac 1 -ar 44100"), "102")
_add("102-ts-ac3", "AC-3 in a transport stream", H264.but(muxer="ts", sound="-c:a ac3 -ac 2"), "102")
_add(
    "102-ts-mp2", "MPEG-1 Layer II in a transport stream", H264.but(muxer="ts", sound="-c:a mp2 -ac 2 -ar 32000"), "102"
)
_add("102-interlaced", "interlaced, frames counted as frames", INTERLACED, "102")
_add("102-ntsc", "29.97 frames/s, Frame Time 33.367", NTSC, "102", FrameTime="33.367")
_add(
    "102-film",
    "23.976 frames/s and B-frames",
    H264.but(rate="24000/1001", options=f"{X264}:bframes=2"),
    "102",
    FrameTime="41.708",
)
_add("102-1080p30", "1080p30: the most that level 4.1 holds", H264.but(size=HD, rate="30", frames=SHORT), "102")
_add("102-vector", "a constant rate in a Frame Time Vector", H264, "102", **vector("0", *["40"] * 9))
_add(
    "102-variable-rate",
    "a variable rate with the vector that fits it",
    VARIABLE,
    "102",
    **vector(*VARIABLE_TIMES),
    CineRate=23,
    RecommendedDisplayFrameRate=23,
)
_add(
    "102-two-lossy-steps",
    "JPEG once, then H.264",
    H264,
    "102",
    LossyImageCompressionRatio=["10", "20"],
    LossyImageCompressionMethod=["ISO_10918_1", "ISO_14496_10"],
    ImageType=["DERIVED", "PRIMARY"],
)
_add("102-padded", "a pad byte behind the stream, not counted in the total length", H264.but(edit=free_box), "102")
_add(
    "102-two-pad-bytes",
    "two zero bytes behind a transport stream",
    H264.but(muxer="ts"),
    "102",
    pixels=PixelData(extra=b"\0\0", total_off=2),
)
_add("102-no-total-length", "no total length: optional", H264, "102", pixels=PixelData(total_off=None))
_add(
    "102-secondary-capture",
    "Multi-frame True Color Secondary Capture",
    H264,
    "102",
    meta={"MediaStorageSOPClassUID": _TRUE_COLOUR},
    SOPClassUID=_TRUE_COLOUR,
    ConversionType="WSD",
    Modality="OT",
)
_add("102.1-fragments", "three fragments under the fragmentable twin", H264, "102.1", pixels=THREE)
_add("103-1080i25", "1080i25 BD-compatible", H264.but(size=HD, frames=SHORT, options=f"{BD} {FIELDS}"), "103")
_add(
    "103-1080p24",
    "1080p23.976 BD-compatible, in TS",
    H264.but(size=HD, rate="24000/1001", frames=SHORT, muxer="ts", options=BD),
    "103",
    FrameTime="41.708",
)
_add(
    "103-720p60",
    "720p59.94 BD-compatible",
    H264.but(size=H720, rate="60000/1001", frames=SHORT, options=BD),
    "103",
    FrameTime="16.683",
)
_add("104-1080p60", "1080p60", H264.but(size=HD, rate="60", frames=SHORT, options="-level:v 4.2"), "104")
_add("104.1-one-fragment", "one fragment under the fragmentable twin", H264.but(options="-level:v 4.2"), "104.1")
_add("105-side-by-side", "frame-packed stereo", PACKED, "105")

# HEVC
_add("107-mp4", "Main profile in MP4", HEVC, "107")
_add("107-ts-aac", "Main profile in a transport stream with AAC", HEVC.but(muxer="ts", sound="-c:a aac -ac 2"), "107")
_add("107-fragments", "three fragments: .107 is fragmentable", HEVC, "107", pixels=THREE)
_add(
    "107-4k", "3840×2160 at 30 frames/s", HEVC.but(size=(3840, 2160), rate="30", frames=2), "107", FrameTime="33.333333"
)
_add("108-main10", "Main 10 profile, 16/10/9", MAIN_10, "108")
_add("108-ts", "Main 10 profile in a transport stream", MAIN_10.but(muxer="ts"), "108")
