"""Whole command lines, word for word: one argument a line in tests/golden/commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from common.errors import UnsupportedSource
from common.media import AudioStream, Description, Kind, Scan, VideoStream
from common.recipes import ARCHIVE, Audio, Figure, Recipe
from common.stereo import packing
from common.targets import aimed, coded_aspect
from workers.encode import public
from workers.ffmpeg import audio
from workers.ffmpeg.command import encode_command, measure_command, reaudio_command, remux_command
from workers.ffmpeg.conversion import Picture, conversion
from workers.ffmpeg.measurement import Measurement

GOLDEN = Path(__file__).parents[2] / "golden" / "commands"
OUTPUT = Path("/scratch/encoded.mp4")
PLAIN = Measurement("scores.csv", 2)
AAC_48K = AudioStream(codec="aac", sample_rate=48_000, channels=2, bit_rate=192_000)
AAC_44K = AudioStream(codec="aac", sample_rate=44_100, channels=1, bit_rate=64_000)


@dataclass(frozen=True)
class Source:
    args: tuple[str, ...] = ("-f", "mov", "-i", "/sources/1")
    frame_rate: Fraction = Fraction(25)


def described(*sound: AudioStream, **changes: object) -> Description:
    facts: dict[str, object] = {
        "codec": "h264",
        "width": 1920,
        "height": 1080,
        "pixel_format": "yuv420p",
        "frame_rate": Fraction(25),
        "frame_count": 100,
        "duration_ms": 4000,
    }
    video = VideoStream.model_validate(facts | changes)
    return Description(kind=Kind.VIDEO, digest="0" * 64, size_bytes=1, container="mp4", video=video, audio=sound)


def bare(description: Description) -> Description:
    """The same as an elementary stream, which has no clock."""
    return description.model_copy(update={"container": "elementary"})


def encode(
    description: Description,
    source: Source | None = None,
    policy: Audio = Audio.STRIP,
    recipe: Recipe = ARCHIVE.ladder[0],
    measurement: Measurement = PLAIN,
) -> list[str]:
    aspect = coded_aspect(description.video, recipe.transfer_syntax_uid)
    picture, keep = Picture.of(description.video), policy is Audio.KEEP
    packed = packing(description.video, recipe)
    shape = conversion(picture, keep_start=keep, bits=recipe.bits, pixel_aspect=aspect, packing=packed)
    source = source or Source(frame_rate=description.video.frame_rate)
    return encode_command(
        "ffmpeg", source, description, shape, recipe, policy, output=OUTPUT, measurement=measurement,
        render_node="/dev/dri/renderD128",
    )  # fmt: skip


def by(encoder: str, x: int, **changes: object) -> list[str]:
    """The first rung of the archive, by this encoder, for .x."""
    recipes = ARCHIVE.recipes(0)
    recipe = next(r for r in recipes if (r.encoder, r.transfer_syntax_uid.rpartition(".")[2]) == (encoder, str(x)))
    return encode(described(**changes), recipe=recipe)


UHD: dict[str, object] = {"codec": "vp9", "width": 3840, "height": 2160, "frame_rate": Fraction(60)}
TEN_BITS = {"codec": "prores", "pixel_format": "yuv422p10le"}


def raw_rgb() -> list[str]:
    words = ("-f", "rawvideo", "-framerate", "30000/1001", "-pixel_format", "rgb24", "-s", "641x481", "-i", "pipe:0")
    rate = Fraction(30000, 1001)
    return encode(
        described(codec="rawvideo", width=641, height=481, pixel_format="rgb24", frame_rate=rate), Source(words, rate)
    )


def phone() -> list[str]:
    return encode(
        described(AAC_44K, rotation=90, full_range=True, pixel_format="yuvj420p", constant_rate=False),
        policy=Audio.KEEP,
    )


def pal() -> list[str]:
    video = {"codec": "mpeg2video", "width": 720, "height": 576, "pixel_aspect": Fraction(16, 15)}
    return encode(described(**video, scan=Scan.TOP_FIELD_FIRST))


def asked(x: int, *sound: AudioStream, frame_packing: int | None = None, **changes: object) -> list[str]:
    """The first rung of the archive for a target that a person asked for."""
    uid = f"1.2.840.10008.1.2.4.{x}"
    recipe = aimed(ARCHIVE, uid).ladder[0].model_copy(update={"frame_packing": frame_packing})
    policy = Audio.KEEP if sound else Audio.STRIP
    return encode(described(*sound, **changes), policy=policy, recipe=recipe)


PAL: dict[str, object] = {"codec": "dvvideo", "width": 720, "height": 576, "pixel_aspect": Fraction(16, 15)}
FIELDS: dict[str, object] = {"scan": Scan.TOP_FIELD_FIRST}


def measure() -> list[str]:
    shapes = (conversion(Picture.of(described().video)),) * 2
    return measure_command("ffmpeg", (Path("/a.mp4"), Path("/b.mp4")), shapes, PLAIN, as_they_are=True)


ALL = Measurement("scores.csv", 2, frozenset(Figure), signatures=True)


COMMANDS: dict[str, Callable[[], list[str]]] = {
    "encode-hd": lambda: encode(described()),
    "encode-odd-rgb-from-pipe": raw_rgb,
    "encode-phone-with-sound": phone,
    "encode-pal-interlaced": pal,
    "encode-1080p60": lambda: by("libx264", 104, frame_rate=Fraction(60)),
    "encode-uhd-x265": lambda: by("libx265", 107, **UHD),
    "encode-main10-x265": lambda: by("libx265", 108, **TEN_BITS),
    "encode-hd-nvenc": lambda: by("h264_nvenc", 102),
    "encode-uhd-nvenc": lambda: by("hevc_nvenc", 107, **UHD),
    "encode-main10-nvenc": lambda: by("hevc_nvenc", 108, **TEN_BITS),
    "encode-hd-qsv": lambda: by("h264_qsv", 102),
    "encode-uhd-qsv": lambda: by("hevc_qsv", 107, **UHD),
    "encode-main10-qsv": lambda: by("hevc_qsv", 108, **TEN_BITS),
    "encode-hd-vaapi": lambda: by("h264_vaapi", 102),
    "encode-uhd-vaapi": lambda: by("hevc_vaapi", 107, **UHD),
    "encode-main10-vaapi": lambda: by("hevc_vaapi", 108, **TEN_BITS),
    "encode-uhd-nvenc-decoded-there": lambda: by("hevc_nvenc", 107, **UHD | {"codec": "hevc"}),
    "encode-uhd-vaapi-decoded-there": lambda: by("hevc_vaapi", 107, **UHD | {"codec": "hevc"}),
    "encode-pal-mpeg2-with-sound": lambda: asked(100, AAC_48K, **PAL | FIELDS),
    "encode-hd-mpeg2": lambda: asked(101),
    "encode-hd-blu-ray": lambda: asked(103, **FIELDS),
    "encode-side-by-side": lambda: asked(105, frame_packing=3),
    "encode-all-figures": lambda: encode(described(), measurement=ALL),
    "encode-all-figures-of-turned-422": lambda: encode(described(pixel_format="yuv422p", rotation=90), measurement=ALL),
    "encode-at-a-stride": lambda: encode(
        described(), measurement=Measurement("scores.csv", 2, frozenset({Figure.PSNR_RGB}), stride=3)
    ),
    "measure": measure,
    "remux-h264": lambda: remux_command("ffmpeg", Source(), described(AAC_48K), Audio.STRIP, output=OUTPUT),
    "remux-mpeg2-with-sound": lambda: remux_command(
        "ffmpeg", Source(), described(AAC_48K, codec="mpeg2video"), Audio.KEEP, output=OUTPUT
    ),
    "remux-bare-mpeg2": lambda: remux_command(
        "ffmpeg", Source(), bare(described(codec="mpeg2video")), Audio.STRIP, output=OUTPUT
    ),
    "reaudio-mpeg2": lambda: reaudio_command("ffmpeg", Source(), described(AAC_48K, codec="mpeg2video"), output=OUTPUT),
    "reaudio-hevc": lambda: reaudio_command("ffmpeg", Source(), described(AAC_44K, codec="hevc"), output=OUTPUT),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_line_is_the_one_on_record(name: str) -> None:
    assert COMMANDS[name]() == (GOLDEN / f"{name}.txt").read_text().splitlines()


def test_every_command_on_record_is_tested() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_reaches_the_network_opens_playlists_or_converts_unasked(name: str) -> None:
    argv = COMMANDS[name]()
    inputs = argv.count("-i")
    assert argv.count("-protocol_whitelist") == argv.count("-format_whitelist") == inputs
    assert "-noauto_conversion_filters" in argv
    demuxers = set(argv[argv.index("-format_whitelist") + 1].split(","))
    assert not demuxers & {"hls", "dash", "concat", "applehttp", "imf", "lavfi"}


def test_a_source_may_name_the_protocol_it_needs() -> None:
    window = "subfile,,start,100,end,200,,:/sources/1"
    argv = encode(described(), Source(("-protocol_whitelist", "file,subfile", "-f", "mov", "-i", window)))
    assert argv[argv.index("-protocol_whitelist") + 1] == "file,subfile"
    assert argv[argv.index("-i") + 1] == window


def test_input_arguments_that_do_not_end_in_an_input_are_our_fault() -> None:
    with pytest.raises(ValueError, match="-i URL"):
        encode(described(), Source(("-i", "/sources/1", "-an")))


def test_an_encoder_without_a_command_is_refused() -> None:
    shape = conversion(Picture.of(described().video))
    recipe = ARCHIVE.ladder[0].model_copy(update={"encoder": "h264_amf"})
    with pytest.raises(UnsupportedSource, match="h264_amf"):
        encode_command("f", Source(), described(), shape, recipe, Audio.STRIP, output=OUTPUT, measurement=PLAIN)


def test_places_are_left_out_of_the_public_command() -> None:
    window = "subfile,,start,100,end,200,,:/sources/DOE^JANE"
    assert public(["/opt/ffmpeg", "-i", window, "1/25", "/out"], window, "/out") == (
        "ffmpeg",
        "-i",
        "<file>",
        "1/25",
        "<file>",
    )


@pytest.mark.parametrize(
    ("codec", "rate", "channels", "bit_rate", "legal"),
    [
        ("aac", 48_000, 2, 192_000, True),
        ("aac", 48_000, 6, 640_000, True),
        ("aac", 48_000, 2, 640_001, False),
        ("aac", 48_000, 1, 64_000, False),
        ("aac", 44_100, 2, 192_000, False),
        ("mp3", 44_100, 1, 128_000, True),
        ("mp2", 32_000, 2, 256_000, True),
        ("mp2", 48_000, 2, 384_000, True),
        ("mp2", 48_000, 1, 192_000, False),
        ("mp3", 48_000, 2, 320_000, True),
        ("mp1", 48_000, 2, 256_000, False),
        ("mp3", 22_050, 2, 64_000, False),
        ("ac3", 48_000, 2, 192_000, False),
        ("pcm_s16le", 48_000, 2, 1_536_000, False),
    ],
)
def test_sound_that_may_stay_in_an_mp4(codec: str, rate: int, channels: int, bit_rate: int, legal: bool) -> None:
    stream = AudioStream(codec=codec, sample_rate=rate, channels=channels, bit_rate=bit_rate)
    assert audio.is_legal(stream) is legal
    assert (audio.options(Audio.KEEP, (stream,)) == {"c:a": "copy"}) is legal
    assert audio.options(Audio.STRIP, (stream,)) == {}


def test_mp3_of_variable_bit_rate_is_made_anew() -> None:
    stream = AudioStream(codec="mp3", sample_rate=48_000, channels=2, bit_rate=128_000, constant_bit_rate=False)
    assert not audio.is_legal(stream)
    assert audio.is_legal(stream.model_copy(update={"constant_bit_rate": True}))
