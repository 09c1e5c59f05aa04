"""The known-answer self-test: a tiny made clip goes through our own encode and measurement, and the answer is known.

For an FFmpeg version that ``known_answers.json`` knows, the pictures of the source and of the result must be the same to
the bit and every frame's scores the same within rounding: x264 runs with a fixed number of threads and without
algorithms that depend on the CPU, and libvmaf's floats differ in the fifth decimal between instruction sets. For an
unknown version that cannot be asked, so what must hold for any version is: frame counts, the source's pictures, scores in
their range, a source that equals itself, and a worse recipe that scores worse.
``python -m workers selftest --answer`` prints the answer of this machine's FFmpeg, to be added to the file.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

from common.errors import CinefarmError, EnvironmentFault, ProgramMissing
from common.media import Description, Kind, VideoStream
from common.orders import Path as Way
from common.orders import Plan
from common.recipes import Recipe
from common.settings import Settings
from workers.capabilities import Listed, checksums, ffmpeg
from workers.encode import encode
from workers.ffmpeg.parse import Scores
from workers.sources import MediaInput

FRAMES, RATE, WIDTH, HEIGHT = 25, 25, 320, 176
GOOD_CRF, POOR_CRF = 20, 44
TOLERANCE = {"vmaf": 0.05, "psnr_y": 0.01, "ssim": 0.0005}
"""Largest difference of a frame's score from the known one: VMAF points, dB, SSIM."""

VMAF_OF_GOOD = (85.0, 100.0)
VMAF_OF_ITSELF = 97.0  # libvmaf gives 99.7 rather than 100, and a little less to the first frames
VMAF_STEP = 5.0  # between the good and the poor recipe; it is about 40

_HINT = "This FFmpeg does not do what it should: install another (make env), and look at this machine's memory."


@dataclass(frozen=True)
class Answer:
    """What came out: digests over the MD5 of each picture, and each frame's scores."""

    source: str
    output: str
    frames: int
    scores: dict[str, list[float]]


def check(built: Listed, settings: Settings) -> None:
    """Refuse a machine that cannot be trusted with an encode.

    Raises:
        ProgramMissing: FFmpeg lacks libx264 or libvmaf.
        EnvironmentFault: the answer is wrong; the message says in what.
    """
    for feature in ("libx264", "libvmaf"):
        if feature not in built.names:
            raise ProgramMissing(
                f"this FFmpeg ({built.ffmpeg or 'of unknown version'}) has no {feature}",
                hint="Use the FFmpeg that `make env` installs, or one that was built with it.",
            )
    with tempfile.TemporaryDirectory(prefix="cinefarm-selftest-") as folder:
        try:
            wrong = next(_faults(built.ffmpeg, Path(folder), settings), None)
        except CinefarmError as error:
            raise EnvironmentFault(f"the self-test broke: {error.message}", hint=_HINT) from error
    if wrong is not None:
        raise EnvironmentFault(f"the self-test failed: {wrong}", hint=_HINT)


def answer(folder: Path, settings: Settings) -> Answer:
    """Make the clip, encode and measure it.

    Raises:
        CinefarmError: see workers.encode.encode.
    """
    source = make_source(folder)
    return _answer(source, _encoded(source, GOOD_CRF, folder, settings))


def known_answers() -> dict[str, Answer]:
    """Answers by FFmpeg version."""
    text = files("workers").joinpath("known_answers.json").read_text(encoding="ascii")
    return {version: Answer(**fields) for version, fields in json.loads(text).items()}


def as_json(version: str, found: Answer) -> str:
    """One entry of known_answers.json."""
    return json.dumps({version: asdict(found)}, indent=1)


def make_source(folder: Path) -> Path:
    """A second of moving picture, stored without loss."""
    path = folder / "source.mkv"
    scene = f"testsrc2=size={WIDTH}x{HEIGHT}:rate={RATE}:duration={FRAMES / RATE},format=yuv420p"
    ffmpeg("-f", "lavfi", "-i", scene, "-c:v", "ffv1", "-threads", "1", "-y", str(path))
    return path


def differences(found: Answer, known: Answer) -> Iterator[str]:
    """In what two answers differ, in words. Pure."""
    for what in ("source", "frames", "output"):
        if getattr(found, what) != getattr(known, what):
            names = {
                "source": "the source's pictures",
                "frames": "the number of frames",
                "output": "the result's pictures",
            }
            yield f"{names[what]} are not the known ones"
    for metric, limit in TOLERANCE.items():
        pairs = zip(found.scores[metric], known.scores[metric], strict=False)
        worst = max((abs(a - b) for a, b in pairs), default=float("inf"))
        if worst > limit:
            yield f"{metric} is off by {worst:.4g}"


def implausible(good: Answer, poor: Answer, itself: float, source: str) -> Iterator[str]:
    """What no FFmpeg of any version may answer, in words. ``itself``: mean VMAF of the source against itself. Pure."""
    if good.source != source:
        yield "the source's pictures are not the known ones"
    if {good.frames, poor.frames} != {FRAMES}:
        yield f"{good.frames} and {poor.frames} frames came out of {FRAMES}"
    high, low = _mean(good.scores["vmaf"]), _mean(poor.scores["vmaf"])
    if not VMAF_OF_GOOD[0] <= high <= VMAF_OF_GOOD[1]:
        yield f"a good encode has VMAF {high:.1f}"
    if low > high - VMAF_STEP:
        yield f"a poor encode has VMAF {low:.1f}, a good one {high:.1f}"
    if not VMAF_OF_ITSELF <= itself <= 100.0:
        yield f"a clip has VMAF {itself:.1f} against itself"


def _faults(version: str, folder: Path, settings: Settings) -> Iterator[str]:
    known = known_answers()
    good = answer(folder, settings)
    if version in known:
        yield from differences(good, known[version])
        return
    from workers.measure import measure

    source = folder / "source.mkv"
    poor = _answer(source, _encoded(source, POOR_CRF, folder, settings))
    itself = measure(source, source).pooled["vmaf"].mean
    # the test picture has not changed since FFmpeg 4: any known version tells what it is
    yield from implausible(good, poor, itself, next(iter(known.values())).source)


def _encoded(source: Path, crf: int, folder: Path, settings: Settings) -> tuple[Path, Scores]:
    scratch = folder / f"crf{crf}"
    scratch.mkdir()
    made = encode(_media(source), _description(source), _plan(crf), scratch / "out.mp4", scratch, settings=settings)
    return made.path, made.scores


def _answer(source: Path, made: tuple[Path, Scores]) -> Answer:
    path, scores = made
    pictures = _pictures(path)
    rounded = {metric: [round(float(value), 4) for value in scores[metric]] for metric in TOLERANCE}
    return Answer(_digest(_pictures(source)), _digest(pictures), len(pictures), rounded)


def _pictures(path: Path) -> tuple[str, ...]:
    return checksums(ffmpeg("-i", str(path), "-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "pipe:1"))


def _digest(pictures: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(pictures).encode()).hexdigest()


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _media(source: Path) -> MediaInput:
    return MediaInput(
        args=("-f", "matroska", "-i", str(source)),
        feed=None,
        width=WIDTH,
        height=HEIGHT,
        frame_count=FRAMES,
        frame_rate=Fraction(RATE),
        pixel_format="yuv420p",
        full_range=False,
        matrix="bt709",
        seekable=True,
    )


def _description(source: Path) -> Description:
    video = VideoStream(
        codec="ffv1",
        width=WIDTH,
        height=HEIGHT,
        pixel_format="yuv420p",
        full_range=False,
        matrix="bt709",
        primaries="bt709",
        transfer="bt709",
        frame_rate=Fraction(RATE),
        frame_count=FRAMES,
        duration_ms=1000.0 * FRAMES / RATE,
    )
    size = source.stat().st_size
    return Description(kind=Kind.VIDEO, digest="0" * 64, size_bytes=size, container="matroska", video=video)


def _plan(crf: int) -> Plan:
    """A recipe of its own: the profiles may change, the known answers must not."""
    recipe = Recipe(
        transfer_syntax_uid="1.2.840.10008.1.2.4.102",
        codec="h264",
        encoder="libx264",
        profile="high",
        level="4.1",
        crf=crf,
        preset="veryfast",
        max_rate_kbit=20_000,
        buffer_kbit=20_000,
        threads=2,
    )
    return Plan(
        path=Way.ENCODE,
        reason="self-test",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.1.1",
        transfer_syntax_uid=recipe.transfer_syntax_uid,
        recipe=recipe,
    )
