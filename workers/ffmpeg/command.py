"""Whole FFmpeg command lines. Pure: values in, argument list out; nothing is started here.

One process encodes and measures: the first graph converts the source once and splits it into what the encoder gets
and the reference; a loopback decoder feeds the encoder's own output into the second graph beside it (FFmpeg ≥ 7.1).
Both legs are numbered 0, 1, 2 … (workers.ffmpeg.measurement), and every queue between them is FFmpeg's own and bounded, so a
slow measurement slows the encoder instead of filling memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import ffmpeg

from common.media import Description, VideoStream
from common.recipes import Audio, Figure, Recipe
from workers.ffmpeg import audio
from workers.ffmpeg.conversion import Conversion, Filter
from workers.ffmpeg.device_decode import decode_options
from workers.ffmpeg.encoders import encoder_of
from workers.ffmpeg.measurement import SIGNATURE, Leg, Measurement, chained, comparison, to_rgb

_QUIET = ("-hide_banner", "-nostdin", "-loglevel", "error")
_STRICT = ("-noauto_conversion_filters",)  # a conversion that no rule asked for is an error
_LOCAL = "file,pipe"  # protocols: no network, whatever a source asks for
# demuxers of one file's own bytes: no playlist (hls, dash, concat …) may make FFmpeg open a second file
_DEMUXERS = (
    "mov,matroska,mpegts,mpeg,mpegvideo,avi,asf,flv,ogg,mxf,gxf,dv,gif,apng,wtv,rm,nut,ivf,h264,hevc,m4v,"
    "mjpeg,rawvideo,yuv4mpegpipe,image2pipe,jpeg_pipe,png_pipe,bmp_pipe,tiff_pipe,j2k_pipe,jpegls_pipe"
)
_GUARDED = {"protocol_whitelist": _LOCAL, "format_whitelist": _DEMUXERS}


class Source(Protocol):
    """The part of a media input that the command line needs: FFmpeg input options that end in ``-i URL``."""

    @property
    def args(self) -> tuple[str, ...]:
        """Options first, then ``-i`` and where the bytes come from."""
        ...

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second."""
        ...


def encode_command(
    program: str,
    source: Source,
    description: Description,
    conversion: Conversion,
    recipe: Recipe,
    policy: Audio,
    *,
    output: Path,
    measurement: Measurement,
    render_node: str = "",
    device_decodes: bool = True,
) -> list[str]:
    """Encode ``source`` into an MP4, or MPEG-2 into a transport stream.

    Reference and result are decoded on the CPU whoever encodes: only the encoder's own pictures go to its device
    (``render_node``: the DRM device of VAAPI), after the reference was split off; or they are decoded there
    (workers.ffmpeg.device_decode), unless ``device_decodes`` is False.

    Raises:
        UnsupportedSource: no command is written for this encoder.
    """
    encoder = encoder_of(recipe, description.video.scan)
    # display_rotation: the chain turns it, no player shall again
    inlet = input_of(
        source,
        noautorotate=None,
        display_rotation="0",
        threads=str(measurement.threads),
        **exact_crop(description.video),
    )
    video = inlet["V:0"]
    for step in conversion.filters:
        video = video.filter(step.name, **dict(step.options))
    sound = audio.options(policy, description.audio, recipe.codec)
    streams = [video, inlet["a:0"]] if sound else [video]
    options = encoder.options(recipe, conversion, source.frame_rate, description.video.scan)
    leg = ffmpeg.output(*streams, str(output), **_container(recipe.codec), **options, **sound, fps_mode="passthrough")
    device = ("-vaapi_device", render_node) if encoder.opens_render_node else ()
    argv = compiled(program, leg, *device)
    decode = decode_options(recipe, description.video, conversion, source.args[-1], sound=bool(sound))
    if decode and device_decodes:
        return with_measurement(
            _read_twice(argv, decode), conversion.filters, measurement, conversion, encoded="[1:V:0]"
        )
    return with_measurement(argv, encoder.upload(recipe.bits), measurement, conversion)


def _read_twice(argv: list[str], options: tuple[str, ...]) -> list[str]:
    """The only input once more, with further options: input 1."""
    first, end = argv.index("-nostats") + 1, argv.index("-i") + 2
    return [*argv[:end], *options, *argv[first:end], *argv[end:]]


def measure_command(
    program: str,
    files: tuple[Path, Path],
    shapes: tuple[Conversion, Conversion],
    measurement: Measurement,
    *,
    as_they_are: bool,
) -> list[str]:
    """Compare two plain files, reference first, frame n with frame n; ``as_they_are``: their samples are of one kind."""
    inputs = [word for path in files for word in _plain_input(path, measurement.threads)]
    reference, distorted = (
        Leg(f"[{number}:V:0]", () if as_they_are else shape.filters, shape.rgb, f"[{number}:V:0]")
        for number, shape in enumerate(shapes)
    )
    graph, outputs = comparison(distorted, reference, measurement)
    return [program, "-y", *_QUIET, *_STRICT, *inputs, "-filter_complex", graph, *outputs]


def _plain_input(path: Path, threads: int) -> list[str]:
    guards = [word for name, value in _GUARDED.items() for word in (f"-{name}", value)]
    return ["-threads", str(threads), "-noautorotate", *guards, "-i", str(path)]


def signatures_command(
    program: str, files: tuple[Path, Path], shapes: tuple[Conversion, Conversion], logs: tuple[str, str], threads: int
) -> list[str]:
    """The signatures of two plain files that need not be of one length, each into its own raw file."""
    words = [program, "-y", *_QUIET, *_STRICT, *(word for path in files for word in _plain_input(path, threads))]
    chains = [f"[{n}:V:0]{chained((*shape.filters, *SIGNATURE))}[luma{n}]" for n, shape in enumerate(shapes)]
    words += ["-filter_complex", ";".join(chains)]
    for number, log in enumerate(logs):
        raw = ("-fps_mode", "passthrough", "-c:v", "rawvideo", "-f", "rawvideo")
        words += ["-map", f"[luma{number}]", *raw, log]
    return words


def digest_command(program: str, path: Path, threads: int) -> list[str]:
    """A line on standard output with the SHA-256 of all decoded pictures of a plain file."""
    hashed = ("-fps_mode", "passthrough", "-c:v", "rawvideo", "-f", "hash", "-hash", "sha256", "-")
    return [program, *_QUIET, *_STRICT, *_plain_input(path, threads), "-map", "0:V:0", *hashed]


def frames_command(program: str, reference: Source, coded: Path, measurement: Measurement) -> list[str]:
    """Compare JPEG frames, one after the other in a file, with raw ones from ``reference``, both in full-range 4:4:4."""
    rate = ("-framerate", str(reference.frame_rate))
    inputs = [*reference.args, "-protocol_whitelist", _LOCAL, "-f", "mjpeg", *rate, "-i", str(coded)]
    flags = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
    whole = {"out_color_matrix": "bt470bg", "out_range": "full", "in_range": "full", "flags": flags}  # JFIF's colour
    chain = (Filter("scale", tuple(whole.items())), Filter("format", (("pix_fmts", "yuv444p"),)))
    rgb = to_rgb({"in_color_matrix": "bt470bg", "in_range": "full"}, bits=8)
    source, result = (Leg(inlet, chain, rgb, inlet) for inlet in ("[0:V:0]", "[1:V:0]"))
    graph, outputs = comparison(result, source, measurement)
    return [program, "-y", *_QUIET, *_STRICT, *inputs, "-filter_complex", graph, *outputs]


def pictures_command(program: str, source: Source) -> list[str]:
    """A line on standard output for every decoded picture, which ends in its SHA-256."""
    hashed = ("-fps_mode", "passthrough", "-f", "framehash", "-hash", "sha256", "-")
    return [program, *_QUIET, *_STRICT, *source.args, "-map", "0:V:0", *hashed]


def exact_command(program: str, inputs: Sequence[tuple[tuple[str, ...], Path]]) -> list[str]:
    """The SHA-256 of every decoded picture of each input, in its own pixel format, a line each in its log."""
    words = [program, "-y", *_QUIET, *_STRICT, *(word for args, _ in inputs for word in args)]
    for number, (_, log) in enumerate(inputs):
        words += ["-map", f"{number}:V:0", "-fps_mode", "passthrough", "-f", "framehash", "-hash", "sha256", str(log)]
    return words


def remux_command(program: str, source: Source, description: Description, policy: Audio, *, output: Path) -> list[str]:
    """The same video bitstream in a new container; nothing is decoded. Sound is copied or dropped."""
    return _copy(program, source, description, {"c:a": "copy"} if policy is Audio.KEEP else {}, output)


def reaudio_command(program: str, source: Source, description: Description, *, output: Path) -> list[str]:
    """The same video bitstream; the sound made anew, legal."""
    return _copy(program, source, description, audio.made_legal(description.video.codec), output)


def sound_command(program: str, source: Source, description: Description, *, output: Path) -> list[str]:
    """The source's first audio stream alone, by the rule of encode_command, where it lies in time."""
    leg = ffmpeg.output(input_of(source)["a:0"], str(output), **_mp4(), **audio.options(Audio.KEEP, description.audio))
    return compiled(program, leg)


_TAGS = {"h264": "avc1", "hevc": "hvc1"}


def _copy(program: str, source: Source, description: Description, sound: dict[str, str], output: Path) -> list[str]:
    codec = description.video.codec
    # AVI and elementary streams give no presentation times, which a transport stream must have
    inlet = input_of(source) if codec in _TAGS else input_of(source, fflags="+genpts")
    streams = [inlet["V:0"], inlet["a:0"]] if sound and description.audio else [inlet["V:0"]]
    container = _container(codec) | ({"tag:v": _TAGS[codec]} if codec in _TAGS else {})
    leg = ffmpeg.output(*streams, str(output), **container, **{"c:v": "copy"}, **(sound if len(streams) > 1 else {}))
    return compiled(program, leg)


def exact_crop(video: VideoStream) -> dict[str, str]:
    """Decoder options for a stream that crops its left side: FFmpeg else rounds that to what suits its memory."""
    return {"flags": "unaligned"} if video.trimmed else {}


def input_of(source: Source, **options: str | None) -> Any:
    """An ffmpeg-python input from an argument list that ends in ``-i URL``."""
    *words, flag, url = source.args
    if flag != "-i":
        raise ValueError("input arguments end in -i URL")
    given: dict[str, str | None] = {**_GUARDED, **options}
    for word in words:
        if word.startswith("-") and not word.lstrip("-").isdigit():
            name = word[1:]
            given[name] = None
        else:
            given[name] = word
    return ffmpeg.input(url, **given)


def _plain(container: str) -> dict[str, Any]:
    """No metadata of any kind: a container's tags may name the patient. ``bitexact``: no date, no program name."""
    return {"f": container, "map_metadata": -1, "map_chapters": -1, "fflags": "+bitexact"}


def _container(codec: str) -> dict[str, Any]:
    """MP4, which browsers play. The MPEG-2 syntaxes leave the container open (PS3.5 8.2.5) and no browser plays MPEG-2: a
    transport stream needs no index and no seeking, times every frame, and is what the other syntaxes take beside MP4."""
    return _mp4() if codec in _TAGS else _plain("mpegts")


def _mp4() -> dict[str, Any]:
    """MP4 with its index first, as viewers that play while they load need it."""
    return _plain("mp4") | {"movflags": "+faststart"}


def compiled(program: str, leg: Any, *device: str) -> list[str]:
    """The arguments of an ffmpeg-python output, quiet, strict, and telling their progress; ``device``: global options."""
    arguments: list[str] = ffmpeg.get_args(leg.overwrite_output())
    return [program, *_QUIET, *_STRICT, *device, "-progress", "pipe:1", "-nostats", *arguments]


def with_measurement(
    argv: list[str],
    upload: tuple[Filter, ...],
    measurement: Measurement,
    conversion: Conversion,
    *,
    distorted: tuple[Filter, ...] = (),
    encoded: str = "",
) -> list[str]:
    """Splice the loopback leg, which ffmpeg-python cannot express, onto an encode of one filtered stream.

    ``upload``: what the encoder's pictures, and not the reference, go through; ``conversion``: what made them; ``distorted``:
    what its output goes through before it is measured; ``encoded``: an input that gives the encoder its pictures, in place of the
    reference's.
    """
    at = argv.index("-filter_complex") + 1
    graph, last = argv[at], argv[at + 2]  # … -filter_complex GRAPH -map [last] …
    apart = Figure.PSNR_RGB in measurement.figures and conversion.after_split > 0
    if apart:
        graph = _split_before(graph, conversion.after_split)
    whole = f"{graph};{last}split=2[encoded][reference]"
    if encoded:
        whole = f"{graph};{last}null[reference];{encoded}{chained(upload)}[encoded]"
    elif upload:
        whole = f"{graph};{last}split=2[plain][reference];[plain]{chained(upload)}[encoded]"
    legs = (
        Leg("[dec:0]", distorted, conversion.result_rgb),
        Leg("[reference]", (), conversion.rgb, _WHOLE if apart else ""),
    )
    judged, outputs = comparison(*legs, measurement)
    return [
        *[*argv[:at], whole, "-map", "[encoded]", *argv[at + 3 :]],
        *["-threads", str(measurement.threads), "-dec", "0:0", "-filter_complex", judged, *outputs],
    ]


_WHOLE = "[whole]"  # the source's pictures before their chroma is reduced


def _split_before(graph: str, last_filters: int) -> str:
    """Branch off ``_WHOLE`` before so many filters, the last of a straight chain that ffmpeg-python wrote."""
    parts = graph.split(";")
    at = len(parts) - last_filters
    inlet = parts[at][: parts[at].index("]") + 1]
    return ";".join(
        (*parts[:at], f"{inlet}split=2[reduced]{_WHOLE}", f"[reduced]{parts[at][len(inlet) :]}", *parts[at + 1 :])
    )
