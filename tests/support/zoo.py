"""The zoo: one small source of every kind, with what its result must be. Shared by the tests of sources and of targets.

Every clip shows the same scene: four quarters in four colours, so that a turn, a crop or a wrong matrix shows, and a black
mark that moves by frame, so that a lost or doubled frame shows. The colours are the zoo's own knowledge: a clip is made from
them with everything said, and its tags then say all, nothing or the opposite of what they should.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from common.handling import AS_IT_IS, DynamicRange, Handling, Interlaced, RatePolicy
from common.media import Scan
from common.recipes import Audio

Picture = NDArray[np.uint8]
RGB = tuple[int, int, int]

RED, GREEN, BLUE, SAND = (200, 50, 50), (40, 170, 70), (50, 70, 190), (210, 190, 120)
QUARTERS: tuple[RGB, RGB, RGB, RGB] = (RED, GREEN, BLUE, SAND)
"""Upper left, upper right, lower left, lower right."""

TURNED_RIGHT: tuple[RGB, RGB, RGB, RGB] = (BLUE, RED, SAND, GREEN)
MIRRORED: tuple[RGB, RGB, RGB, RGB] = (GREEN, RED, SAND, BLUE)
UPSIDE_DOWN: tuple[RGB, RGB, RGB, RGB] = (SAND, BLUE, GREEN, RED)

FRAMES = 8
SIZE = (160, 120)


FOLLOWED = tuple(range(FRAMES))
EVERY_OTHER = tuple(range(0, 2 * FRAMES, 2))


@dataclass(frozen=True)
class Source:
    """One kind of source: how it is made, how it is to be handled, and what must come of it."""

    name: str
    suffix: str
    make: Callable[[Path], None]
    handling: Handling = AS_IT_IS
    audio: Audio = Audio.STRIP
    size: tuple[int, int] = SIZE
    frames: int = FRAMES
    scan: Scan = Scan.PROGRESSIVE
    rate: Fraction = Fraction(25)
    quarters: tuple[RGB, RGB, RGB, RGB] | None = QUARTERS  # None: other colours by policy
    tolerance: int = 6  # of each of R, G and B, out of 255
    marks: tuple[int, ...] | None = FOLLOWED  # the scene's number of each frame of the result; None: it has none
    targets: tuple[str, ...] = ()  # the only ones it may become; empty: any

    def made(self, folder: Path) -> Path:
        """Make it in a folder."""
        path = folder / f"{self.name}{self.suffix}"
        self.make(path)
        return path


def scene(frames: int = FRAMES, size: tuple[int, int] = SIZE) -> Picture:
    """(frames, height, width, 3): four quarters and a mark that moves by a sixteenth of the width a frame."""
    width, height = size
    picture = np.zeros((frames, height, width, 3), np.uint8)
    for index, colour in enumerate(QUARTERS):
        rows = slice(0, height // 2) if index < 2 else slice(height // 2, height)
        columns = slice(0, width // 2) if index % 2 == 0 else slice(width // 2, width)
        picture[:, rows, columns] = colour
    for number in range(frames):
        left = number % 16 * width // 16
        picture[number, height // 2 - 4 : height // 2 + 4, left : left + width // 16] = 0
    return picture


def ffmpeg(*words: str, feed: bytes = b"") -> None:
    """Run the pinned FFmpeg."""
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *words]
    subprocess.run(argv, check=True, input=feed)


def scaled(form: str, matrix: str = "bt709", span: str = "limited") -> str:
    """The filter that gives the scene a pixel format, a matrix and a range."""
    scale = f"scale=out_color_matrix={matrix}:out_range={span}:flags=accurate_rnd+full_chroma_int:sws_dither=none"
    return f"{scale},format={form}"


BT709 = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv")
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "8")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:crf=8")
FFV1 = ("-c:v", "ffv1", "-g", "1")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2")


def clip(
    *options: str,
    filters: str = "",
    size: tuple[int, int] = SIZE,
    frames: int = FRAMES,
    rate: str = "25",
    inputs: tuple[str, ...] = (),
) -> Callable[[Path], None]:
    """A maker: the scene through filters into a file by FFmpeg's output options; without filters 4:2:0 in BT.709, or in BT.601
    where MPEG-4 Part 2 cannot name its matrix."""
    filters = filters or scaled("yuv420p", "bt601" if "mpeg4" in options else "bt709")

    def make(path: Path) -> None:
        raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", rate, "-i", "pipe:0")
        ffmpeg(*raw, *inputs, "-vf", filters, *options, str(path), feed=scene(frames, size).tobytes())

    return make


def remade(make: Callable[[Path], None], *options: str, before: tuple[str, ...] = ()) -> Callable[[Path], None]:
    """A maker: another maker's file copied by FFmpeg with options; ``before`` go ahead of the input."""

    def copied(path: Path) -> None:
        first = path.with_name(f"first-{path.name}")
        make(first)
        ffmpeg(*before, "-i", str(first), "-map", "0", "-c", "copy", *options, str(path))
        first.unlink()

    return copied


def cut(make: Callable[[Path], None], begin: int) -> Callable[[Path], None]:
    """A maker: another maker's file without its first bytes."""

    def shortened(path: Path) -> None:
        make(path)
        path.write_bytes(path.read_bytes()[begin:])

    return shortened


def interlaced(
    *options: str, first: str = "tff", form: str = "yuv420p", matrix: str = "bt709"
) -> Callable[[Path], None]:
    """A maker: two pictures of the scene woven into each frame."""
    weave = f"{scaled('yuv444p', matrix)},tinterlace=mode=interleave_{'top' if first == 'tff' else 'bottom'}"
    planes = f"scale=interl=1:flags=accurate_rnd+full_chroma_int,format={form},setfield={first}"
    return clip(*options, filters=f"{weave},{planes}", frames=2 * FRAMES, rate="50")


def variable_rate(*options: str, times: tuple[int, ...] = (0, 1, 2, 4, 5, 8, 9, 10)) -> Callable[[Path], None]:
    """A maker: frames shown at multiples of 1/25 s."""
    expression = "+".join(f"eq(N,{number})*{time}" for number, time in enumerate(times))
    filters = f"{scaled('yuv420p', 'bt601' if 'mpeg4' in options else 'bt709')},settb=1/25,setpts='{expression}'"
    return clip(*options, "-fps_mode", "passthrough", "-enc_time_base", "1/25", filters=filters)


TONE = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate={}:duration=0.32")


def sounding(*options: str, sample_rate: int = 48000, tracks: int = 1) -> Callable[[Path], None]:
    """A maker: MPEG-4 Part 2 beside sound by FFmpeg's output options, so that the picture is encoded anew."""
    tone = tuple(word.format(sample_rate) for word in TONE) * tracks
    maps = ("-map", "0:v", *(word for track in range(tracks) for word in ("-map", f"{track + 1}:a")))
    return clip("-c:v", "mpeg4", "-q:v", "2", *maps, *options, inputs=tone)


HDR10 = ("colorspace", "bt2020nc"), ("color_primaries", "bt2020"), ("color_trc", "smpte2084"), ("color_range", "tv")
MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
"""P3 primaries on a display of 0.0001 to 1000 cd/m², in the units of H.265 D.3.28."""

_TO_LINEAR = "zscale=tin=bt709:pin=bt709:min=gbr:rin=full:t=linear:npl=203:p=bt2020,format=gbrpf32le"


def high_range(transfer: str, form: str = "yuv420p10le", *options: str) -> Callable[[Path], None]:
    """A maker: the scene at 203 cd/m² white (BT.2408) in BT.2020 with a transfer of BT.2100."""
    coded = f"zscale=t={transfer}:m=bt2020nc:r=limited:npl=203,format={form}"
    tags = tuple(word for name, value in HDR10 for word in (f"-{name}", transfer if name == "color_trc" else value))
    params = "log-level=none:crf=8"
    if transfer == "smpte2084":
        params += f":hdr10=1:master-display={MASTERING}:max-cll=1000,400"
    coder = options or ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", params, "-tag:v", "hvc1")
    return clip(*coder, *tags, filters=f"format=gbrp,{_TO_LINEAR},{coded}")


DEINTERLACE = Handling(interlaced=Interlaced.DEINTERLACE)
CONSTANT = Handling(rate=RatePolicy.CONSTANT)
TONE_MAP = Handling(dynamic_range=DynamicRange.TONE_MAP)

BT601_625 = ("-colorspace", "bt470bg", "-color_primaries", "bt470bg", "-color_trc", "smpte170m", "-color_range", "tv")
UNTAGGED = ",setparams=range=unknown:colorspace=unknown:color_primaries=unknown:color_trc=unknown"
BT2020 = ("-colorspace", "bt2020nc", "-color_primaries", "bt2020", "-color_trc", "bt2020-10", "-color_range", "tv")

SCANS = (
    Source(
        "tff-mpeg2", ".mpg", interlaced(*MPEG2, "-flags", "+ildct+ilme", *BT709), scan=Scan.TOP_FIELD_FIRST, marks=None
    ),
    Source(
        "bff-ffv1",
        ".mkv",
        interlaced(*FFV1, *BT709, "-field_order", "bb", first="bff"),
        scan=Scan.BOTTOM_FIELD_FIRST,
        marks=None,
    ),
    Source(
        "tff-422",
        ".mkv",
        interlaced(*FFV1, *BT709, "-field_order", "tt", form="yuv422p"),
        scan=Scan.TOP_FIELD_FIRST,
        marks=None,
    ),
    Source(
        "tff-deinterlaced", ".mpg", interlaced(*MPEG2, "-flags", "+ildct+ilme", *BT709), DEINTERLACE, marks=EVERY_OTHER
    ),
    Source(
        "tff-h264-deinterlaced",
        ".mp4",
        interlaced(*X264, "-flags", "+ildct+ilme", "-x264opts", "tff=1", *BT709),
        DEINTERLACE,
        marks=EVERY_OTHER,
    ),
    Source(
        "tff-packed-deinterlaced",
        ".mov",
        interlaced("-c:v", "rawvideo", form="yuyv422", matrix="bt601"),
        DEINTERLACE,
        marks=EVERY_OTHER,
    ),
)

RATES = (
    Source("vfr", ".mp4", variable_rate("-c:v", "mpeg4", "-q:v", "2"), rate=Fraction(200, 11)),
    Source(
        "vfr-made-constant",
        ".mp4",
        variable_rate("-c:v", "mpeg4", "-q:v", "2"),
        CONSTANT,
        frames=11,
        marks=(0, 1, 2, 2, 3, 4, 4, 4, 5, 6, 7),
    ),
    Source("b-frame-delay", ".ts", clip(*X264, "-bf", "3", *BT709)),
    Source("no-time-stamps", ".h264", clip(*X264, "-bf", "0", *BT709)),
    Source(
        "times-below-zero",
        ".mkv",
        remade(clip(*FFV1, *BT709), "-output_ts_offset", "-1", "-avoid_negative_ts", "disabled"),
    ),
    Source("late-start", ".ts", remade(clip(*MPEG2, *BT709), "-output_ts_offset", "95000")),
    Source("cut-start", ".ts", cut(clip(*X264, "-bf", "2", "-g", "4", *BT709), 6 * 188), frames=4, marks=(4, 5, 6, 7)),
    Source(
        "edit-list",
        ".mp4",
        remade(clip(*X264, "-g", "4", "-bf", "0", *BT709), before=("-ss", "0.2")),
        frames=3,
        marks=(5, 6, 7),
    ),
)

COLOURS = (
    Source("422-10", ".mkv", clip(*FFV1, *BT709, filters=scaled("yuv422p10le"))),
    Source("444", ".mkv", clip(*FFV1, *BT709, filters=scaled("yuv444p"))),
    Source("420-10", ".mkv", clip(*FFV1, *BT709, filters=scaled("yuv420p10le"))),
    Source("411", ".mkv", clip(*FFV1, *BT601_625, filters=scaled("yuv411p", "bt601"))),
    Source("gbr", ".mkv", clip(*FFV1, filters="format=gbrp")),
    Source("gbr-12", ".mkv", clip(*FFV1, filters="format=gbrp12le")),
    Source("rgb", ".mov", clip("-c:v", "qtrle", filters="format=rgb24")),
    Source("rgb-alpha", ".mov", clip("-c:v", "qtrle", filters="format=argb")),
    Source("palette", ".mov", clip("-c:v", "qtrle", filters="format=gray"), quarters=None),
    Source("full-range-jpeg", ".avi", clip("-c:v", "mjpeg", "-q:v", "1", filters=scaled("yuvj420p", "bt601", "full"))),
    Source(
        "full-range-h264", ".mp4",
        clip(*X264, *BT709[:-1], "pc", filters=scaled("yuv420p", "bt709", "full")),
    ),
    Source("bt601-tagged", ".mkv", clip(*FFV1, *BT601_625, filters=scaled("yuv420p", "bt601"))),
    Source("bt601-untagged", ".mkv", clip(*FFV1, filters=scaled("yuv420p", "bt601") + UNTAGGED)),
    Source(
        "bt709-untagged-hd", ".mkv", clip(*FFV1, filters=scaled("yuv420p") + UNTAGGED, size=(1280, 720), frames=2), size=(1280, 720),
        frames=2, marks=(0, 1),
    ),
    Source("bt2020-sdr-10", ".mkv", clip(*FFV1, *BT2020, filters=scaled("yuv420p10le", "bt2020"))),
    Source("grey", ".mkv", clip(*FFV1, filters="format=gray"), quarters=None),
)  # fmt: skip

HDR = (
    Source("hdr10", ".mp4", high_range("smpte2084"), quarters=None, targets=(".108",)),
    Source("hlg", ".mp4", high_range("arib-std-b67"), quarters=None, targets=(".108",)),
    Source("hdr10-422", ".mp4", high_range("smpte2084", "yuv422p10le"), quarters=None, targets=(".108",)),
    Source("hdr10-tone-mapped", ".mp4", high_range("smpte2084"), TONE_MAP, quarters=None),
    Source("hlg-tone-mapped", ".mp4", high_range("arib-std-b67"), TONE_MAP, quarters=None),
)

SHAPES = (
    Source(
        "turned-right", ".mp4", remade(clip(*X264, *BT709), before=("-display_rotation", "-90")), size=(120, 160),
        quarters=TURNED_RIGHT,
    ),
    Source("upside-down", ".mp4", remade(clip(*X264, *BT709), before=("-display_rotation", "180")), quarters=UPSIDE_DOWN),
    Source("mirrored", ".mp4", remade(clip(*X264, *BT709), before=("-display_hflip",)), quarters=MIRRORED),
    Source("odd-size", ".mkv", clip(*FFV1, *BT709, filters=scaled("yuv444p"), size=(161, 121)), size=(162, 122)),
    Source("odd-420", ".mkv", clip(*FFV1, *BT709, size=(161, 121)), size=(162, 122)),
    Source("wide-pixels", ".mkv", clip(*FFV1, *BT709, filters=f"{scaled('yuv420p')},setsar=4/3"), size=(214, 120)),
    Source("tall-pixels", ".mkv", clip(*FFV1, *BT709, filters=f"{scaled('yuv420p')},setsar=3/4"), size=(160, 160)),
    Source(
        "cropped-h264", ".mp4",
        clip(*X264, "-x264-params", "crop-rect=16,8,32,8", *BT709), size=(112, 104), marks=None,
    ),
    Source(
        "cropped-444", ".mp4",
        clip(*X264, "-x264-params", "crop-rect=16,8,32,8", *BT709, filters=scaled("yuv444p")), size=(112, 104), marks=None,
    ),
)  # fmt: skip

STREAMS = (
    Source(
        "two-videos", ".mkv",
        clip(*FFV1, *BT709, "-map", "0:v", "-map", "1:v", filters=scaled("yuv420p"),
             inputs=("-f", "lavfi", "-i", "color=red:s=64x48:d=0.3")),
    ),
    Source(
        "cover", ".mp4",
        clip("-c:v:0", "mpeg4", "-q:v:0", "2", "-map", "0:v", "-map", "1:v", "-c:v:1", "png", "-disposition:v:1", "attached_pic",
             inputs=("-f", "lavfi", "-i", "color=red:s=64x48:d=0.04")),
    ),
)  # fmt: skip

SOUNDS = (
    Source("aac-mono-44k", ".mp4", sounding("-c:a", "aac", sample_rate=44100), audio=Audio.KEEP),
    Source("aac-51", ".mp4", sounding("-c:a", "aac", "-ac", "6"), audio=Audio.KEEP),
    Source("pcm-8-bit", ".avi", sounding("-c:a", "pcm_u8", sample_rate=8000), audio=Audio.KEEP),
    Source("adpcm", ".avi", sounding("-c:a", "adpcm_ms", sample_rate=22050), audio=Audio.KEEP),
    Source("wma", ".asf", sounding("-c:a", "wmav2", sample_rate=44100), audio=Audio.KEEP),
    Source("ac3", ".ts", sounding("-c:v", "mpeg2video", "-c:a", "ac3"), audio=Audio.KEEP),
    Source("flac-51", ".mkv", sounding("-c:a", "flac", "-ac", "6"), audio=Audio.KEEP),
    Source("opus", ".mkv", sounding("-c:a", "libopus"), audio=Audio.KEEP),
    Source("mp3", ".mkv", sounding("-c:a", "libmp3lame", sample_rate=44100), audio=Audio.KEEP),
    Source("two-sounds", ".mkv", sounding("-c:a", "aac", "-ac", "2", tracks=2), audio=Audio.KEEP),
    Source("sound-stripped", ".mp4", sounding("-c:a", "aac")),
)

PLAIN = (*SCANS, *RATES, *COLOURS, *HDR, *SHAPES, *STREAMS, *SOUNDS)
