"""Files whose header breaks one rule around a legal stream."""

from __future__ import annotations

from support.corpus.case import Shelf
from support.corpus.clips import H264, HEVC, MAIN_10, MPEG2, PACKED
from support.corpus.instances import FRAME_TIME_VECTOR

HEADERS = Shelf()
_add, _warn = HEADERS.add, HEADERS.warn

NTSC = H264.but(rate="30000/1001")
INTERLACED = H264.but(options="-flags +ildct+ilme -vf setfield=tff")
VARIABLE = H264.but(options="-vf select=not(eq(n\\,3)) -fps_mode vfr")
"""Ten frames at 0, 40, 80, 160, 200 ... 400 ms: the fourth of eleven is missing."""
VARIABLE_TIMES = ["0", "40", "40", "80", *["40"] * 6]
GREY, TRUE_COLOUR = "1.2.840.10008.5.1.4.1.1.7.2", "1.2.840.10008.5.1.4.1.1.7.4"
CT = "1.2.840.10008.5.1.4.1.1.2"
_STILL_ENDOSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.1"


def vector(*increments: str) -> dict[str, object]:
    """Changes that give these increments, in ms, in place of one Frame Time."""
    return {"FrameTime": None, "FrameTimeVector": list(increments), "FrameIncrementPointer": FRAME_TIME_VECTOR}


def secondary_capture(sop_class: str) -> dict[str, object]:
    """Changes that make a Multi-frame Secondary Capture of it."""
    return {"SOPClassUID": sop_class, "ConversionType": "WSD", "Modality": "OT"}


# picture
_add("size-swapped", "Rows and Columns swapped", H264, "102", "header.size", Rows=160, Columns=120)
_add("size-coded", "Rows of the coded picture, cropping forgotten", H264, "102", "header.size", Rows=128)
_add("bits-allocated", "Bits Allocated 16 around 8 bits", H264, "102", "header.bits", BitsAllocated=16)
_add(
    "bits-main10-as-8", "8/8/7 around Main 10", MAIN_10, "108", "header.bits", BitsAllocated=8, BitsStored=8, HighBit=7
)
_add("bits-8-as-10", "16/10/9 around 8 bits", HEVC, "107", "header.bits", BitsAllocated=16, BitsStored=10, HighBit=9)
_add("bits-high", "High Bit 6", H264, "102", "header.bits", HighBit=6)
_add("bits-signed", "signed samples", H264, "102", "header.bits", PixelRepresentation=1)
_add("photometric-rgb", "RGB", H264, "102", "header.photometric", PhotometricInterpretation="RGB")
_add("photometric-422", "YBR_FULL_422", HEVC, "107", "header.photometric", PhotometricInterpretation="YBR_FULL_422")
_add("photometric-full-mpeg2", "YBR_FULL", MPEG2, "100", "header.photometric", PhotometricInterpretation="YBR_FULL")
_add(
    "photometric-grey",
    "MONOCHROME2 around H.264",
    H264,
    "102",
    "header.photometric",
    PhotometricInterpretation="MONOCHROME2",
    SamplesPerPixel=1,
    PlanarConfiguration=None,
)
_add("samples-one", "one sample a pixel", H264, "102", "header.samples", SamplesPerPixel=1)
_add("planar", "Planar Configuration 1", H264, "102", "header.samples", PlanarConfiguration=1)
_add("aspect-present", "Pixel Aspect Ratio under square pixels", H264, "102", "header.aspect", PixelAspectRatio=[1, 1])
_warn(
    "aspect-forgotten",
    ".100 with pixels 16:11 wide and no word of it",
    MPEG2.but(options="-vf setsar=16/11"),
    "100",
    "header.aspect.coded",
)
_warn(
    "aspect-inverted",
    "Pixel Aspect Ratio upside down",
    MPEG2.but(options="-vf setsar=16/11"),
    "100",
    "header.aspect.coded",
    PixelAspectRatio=[16, 11],
)

_warn(
    "grey-scale",
    "a window, which is for grey samples",
    H264,
    "102",
    "header.grey_scale",
    WindowCenter="128",
    WindowWidth="256",
)
_warn("padding-value", "Pixel Padding Value around colour", H264, "102", "header.padding", PixelPaddingValue=0)

# frames and timing
_add("frames-fields", "fields counted as frames", INTERLACED, "102", "header.frames", NumberOfFrames=20)
_add("frames-estimated", "one frame less, as duration × rate may say", NTSC, "102", "header.frames", NumberOfFrames=9)
_add("frames-one", "Number of Frames 1", HEVC, "107", "header.frames", NumberOfFrames=1)
_add("frame-time-wrong", "Frame Time of 29.97 around 25 frames/s", H264, "102", "header.rate", FrameTime="33.367")
_add("frame-time-in-seconds", "Frame Time in seconds", H264, "102", "header.rate", FrameTime="0.04")
_add("frame-time-fields", "Frame Time of a field", INTERLACED, "102", "header.rate", FrameTime="20")
_add("frame-time-17", "17 characters", NTSC, "102", "header.decimals", FrameTime="33.36666666666667")
_warn("frame-time-rounded", "33.33 ms for 29.97 frames/s", NTSC, "102", "header.rate.rounded", FrameTime="33.33")
_warn("cine-rate", "Cine Rate 50 around 25 frames/s", H264, "102", "header.cine_rate", CineRate=50)
_add("vector-short", "nine increments for ten frames", H264, "102", "header.vector", **vector("0", *["40"] * 8))
_add(
    "vector-first",
    "a first increment that is not 0",
    H264,
    "102",
    "header.vector",
    **vector(*["40"] * 10),
)
_add(
    "vector-times",
    "increments that are not the stream's",
    VARIABLE,
    "102",
    "header.vector.times",
    **vector("0", "80", *["40"] * 8),
    CineRate=23,
    RecommendedDisplayFrameRate=23,
)
_warn(
    "vector-absent",
    "a variable frame rate and one Frame Time",
    VARIABLE,
    "102",
    "header.vector.absent",
    FrameTime="44",
    CineRate=23,
    RecommendedDisplayFrameRate=23,
)
_add("pointer-absent", "no Frame Increment Pointer", H264, "102", "header.pointer", FrameIncrementPointer=None)
_add("pointer-dangling", "a pointer to Frame Time, which is absent", H264, "102", "header.pointer", FrameTime=None)
_add(
    "pointer-vector-dangling",
    "a pointer to Frame Time Vector, which is absent",
    H264,
    "102",
    "header.pointer",
    FrameIncrementPointer=FRAME_TIME_VECTOR,
)
_add("pointer-elsewhere", "a pointer to Cine Rate", H264, "102", "header.pointer", FrameIncrementPointer=0x00180040)

_add("frame-time-zero", "Frame Time 0", H264, "102", "header.rate.positive + header.rate", FrameTime="0")
_add("trim", "Stop Trim behind the last frame", H264, "102", "header.trim", StartTrim=1, StopTrim=99)
_warn("sequencing", "Preferred Playback Sequencing 7", H264, "102", "header.sequencing", PreferredPlaybackSequencing=7)
_warn("duration", "Effective Duration of 99 s around 0.4 s", H264, "102", "header.duration", EffectiveDuration="99")
_warn(
    "timing-twice",
    "Frame Time Vector beside Frame Time",
    H264,
    "102",
    "header.timing.one",
    FrameTimeVector=["0", *["40"] * 9],
)

# lossy record
_add("lossy-00", "Lossy Image Compression 00", H264, "102", "header.lossy", LossyImageCompression="00")
_add("lossy-absent", "no Lossy Image Compression", HEVC, "107", "header.lossy", LossyImageCompression=None)
_warn("lossy-no-method", "no method", H264, "102", "header.lossy.record", LossyImageCompressionMethod=None)
_warn("lossy-no-ratio", "no ratio", H264, "102", "header.lossy.record", LossyImageCompressionRatio=None)
_add(
    "lossy-count",
    "two ratios and one method",
    H264,
    "102",
    "header.lossy.steps",
    LossyImageCompressionRatio=["10", "20"],
)
_add(
    "lossy-method",
    "the method of JPEG around H.264",
    H264,
    "102",
    "header.lossy.steps",
    LossyImageCompressionMethod="ISO_10918_1",
)
_add(
    "lossy-method-hevc",
    "the method of H.264 around HEVC",
    HEVC,
    "107",
    "header.lossy.steps",
    LossyImageCompressionMethod="ISO_14496_10",
)
_add(
    "lossy-ratio-17",
    "a ratio of 17 characters",
    H264,
    "102",
    "header.decimals",
    LossyImageCompressionRatio="12.34567890123456",
)

_add("lossy-ratio-zero", "a ratio of 0", H264, "102", "header.lossy.ratio", LossyImageCompressionRatio="0")
_warn("lossy-ratio-huge", "a ratio of 9000", H264, "102", "header.lossy.plausible", LossyImageCompressionRatio="9000")

# stereo, class, module attributes
_add("stereo-102", "Stereo Pairs Present YES under .102", H264, "102", "header.stereo", StereoPairsPresent="YES")
_add("stereo-105-no", "Stereo Pairs Present NO under .105", PACKED, "105", "header.stereo", StereoPairsPresent="NO")
_add("stereo-105-absent", "no Stereo Pairs Present under .105", PACKED, "105", "header.stereo", StereoPairsPresent=None)
_add(
    "class-ct",
    "CT Image Storage",
    H264,
    "102",
    "header.sop_class",
    meta={"MediaStorageSOPClassUID": CT},
    SOPClassUID=CT,
)
_add(
    "class-still",
    "VL Endoscopic Image, the class of stills",
    H264,
    "102",
    "header.sop_class",
    meta={"MediaStorageSOPClassUID": _STILL_ENDOSCOPY},
    SOPClassUID=_STILL_ENDOSCOPY,
)
_add(
    "class-grey-in-colour",
    "Grayscale Byte SC with colour",
    MPEG2,
    "100",
    "header.sop_class.colour",
    meta={"MediaStorageSOPClassUID": GREY},
    **secondary_capture(GREY),
)
_add(
    "conversion",
    "Secondary Capture without Conversion Type",
    H264,
    "102",
    "header.conversion",
    meta={"MediaStorageSOPClassUID": TRUE_COLOUR},
    SOPClassUID=TRUE_COLOUR,
    Modality="OT",
)
_add("image-type", "Image Type of one value", H264, "102", "header.image_type", ImageType=["ORIGINAL"])
_warn("modality", "Modality XA for an endoscope", H264, "102", "header.modality", Modality="XA")
