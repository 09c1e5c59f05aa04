"""Is the gate free? Our one FFmpeg run (encode and measure) against the two commands of the usual recipe.

    .venv/bin/python benchmarks/bench_gate.py [--seconds 60] [--size 1920x1080] [--rate 30] [--rounds 1] [--json]

The usual recipe is the source document's: encode with libx264, then a second FFmpeg decodes original and result again
and compares them (``ffmpeg -i original -i processed -lavfi … -f null -``). Its printed filter graph (psnr,ssim) is no
valid graph and has no VMAF, so the second command here is the same comparison done with libvmaf: the same features, all
cores. Both encodes use the very same x264 options, on the same file, alternating. The demand: ratio ≤ 0.90.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from table import Row, at_most

from common.ffmpeg import ffmpeg_program
from common.media import Description, Kind, VideoStream
from common.orders import Path as Way
from common.orders import Plan
from common.recipes import ARCHIVE
from common.settings import Settings
from workers.encode import encode
from workers.ffmpeg.parse import Scores, parse_scores
from workers.quality import pool
from workers.sources import MediaInput
from workers.threads import cores

# a slow pan over a coloured field with a moving grid of detail, and sensor noise: nothing still, nothing random alone
_SCENE = (
    "gradients=s={size}:r={rate}:d={seconds}:n=6:speed=0.03:seed=7,format=yuv420p[back];"
    "testsrc2=s={size}:r={rate}:d={seconds},format=yuv420p,boxblur=3[front];"
    "[back][front]blend=all_mode=average,rotate=0.05*sin(t/3):c=none,noise=alls=4:allf=t:all_seed=3,format=yuv420p"
)


@dataclass(frozen=True)
class Result:
    """One way of doing the work, done once."""

    seconds: float  # wall time
    cpu_seconds: float  # of all children; a busy machine sways it less
    frames: int
    size_bytes: int
    scores: Scores


def main() -> None:
    """Make the clip, run both ways in turn, print the ratio of the sums of their wall times."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name:
        folder = Path(name)
        clip = make_clip(folder, options.size, options.rate, options.seconds)
        rounds = [one_round(clip, folder, ours_first=n % 2 == 0) for n in range(options.rounds)]
    report(rounds, options)


def rows(*, quick: bool) -> Iterator[Row]:
    """Wall time of encoding and measuring a minute of 1080p30; bytes and scores of both ways must be the same."""
    size, seconds = ("320x180", 2.0) if quick else ("1920x1080", 60.0)
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name:
        clip = make_clip(Path(name), size, 30, seconds)
        mine, other = one_round(clip, Path(name), ours_first=True)
    apart = max(float(np.abs(mine.scores[metric] - other.scores[metric]).max()) for metric in mine.scores)
    note = (
        f"CPU {mine.cpu_seconds:.0f} and {other.cpu_seconds:.0f} s; {mine.size_bytes - other.size_bytes:+d} bytes; "
        f"per-frame scores at most {apart:.2g} apart"
    )
    what = f"encode and gate, {seconds:.0f} s of {size}, 30 frames/s"
    yield Row(what, mine.seconds, other.seconds, "s", "encode, then measure: two commands", at_most(0.9), note=note)


def one_round(clip: Clip, folder: Path, *, ours_first: bool) -> tuple[Result, Result]:
    """Both ways once, ours first in the result; the order alternates, so that a neighbour's load meets both."""
    if ours_first:
        return ours(clip, folder), theirs(clip, folder)
    other = theirs(clip, folder)
    return ours(clip, folder), other


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the clip")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--rate", type=int, default=30, help="frames per second")
    parser.add_argument("--rounds", type=int, default=1, help="how often each way is run, alternating")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    return parser.parse_args()


def ffmpeg(*words: object, cwd: Path | None = None) -> None:
    """Run FFmpeg to its end."""
    subprocess.run(
        [ffmpeg_program(), "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *map(str, words)],
        cwd=cwd,
        check=True,
    )


@dataclass(frozen=True)
class Clip:
    """The source of both ways."""

    path: Path
    width: int
    height: int
    rate: int
    frames: int


def make_clip(folder: Path, size: str, rate: int, seconds: float) -> Clip:
    """An H.264 intermediate of good quality, as a camera writes."""
    path = folder / "source.mp4"
    scene = _SCENE.format(size=size, rate=rate, seconds=seconds)
    ffmpeg("-f", "lavfi", "-i", scene, "-c:v", "libx264", "-preset", "veryfast", "-crf", 18, "-g", rate, path)
    width, height = map(int, size.split("x"))
    return Clip(path, width, height, rate, round(rate * seconds))


def described(clip: Clip) -> tuple[MediaInput, Description]:
    """What describe and sources say of the clip."""
    rate = Fraction(clip.rate)
    video = VideoStream(
        codec="h264",
        width=clip.width,
        height=clip.height,
        pixel_format="yuv420p",
        frame_rate=rate,
        frame_count=clip.frames,
        duration_ms=1000 * clip.frames / clip.rate,
    )
    media = MediaInput(
        args=("-i", str(clip.path)),
        feed=None,
        width=clip.width,
        height=clip.height,
        frame_count=clip.frames,
        frame_rate=rate,
        pixel_format="yuv420p",
        full_range=None,
        matrix=None,
        seekable=True,
    )
    size = clip.path.stat().st_size
    return media, Description(kind=Kind.VIDEO, digest="0" * 64, size_bytes=size, container="mp4", video=video)


class Stopwatch:
    """Wall time, and the CPU time of the children that ended meanwhile."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), self._children()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self._wall, self._children() - self._cpu

    @staticmethod
    def _children() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime


def ours(clip: Clip, folder: Path) -> Result:
    """workers.encode: everything it does, from the first byte to the proven file and its parsed scores."""
    recipe = ARCHIVE.ladder[0]
    plan = Plan(
        path=Way.ENCODE,
        reason="benchmark",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.1.1",
        transfer_syntax_uid=recipe.transfer_syntax_uid,
        recipe=recipe,
        gate=ARCHIVE.gate,
    )
    media, description = described(clip)
    output, scratch = folder / "ours.mp4", folder / "scratch"
    scratch.mkdir(exist_ok=True)
    watch = Stopwatch()
    done = encode(media, description, plan, output, scratch, settings=Settings())
    return Result(*watch.read(), done.frame_count, done.size_bytes, done.scores)


def theirs(clip: Clip, folder: Path) -> Result:
    """Two commands: encode; decode both files again and compare."""
    recipe, output = ARCHIVE.ladder[0], folder / "theirs.mp4"
    watch = Stopwatch()
    ffmpeg(
        *("-i", clip.path, "-an", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", recipe.crf),
        *("-preset", recipe.preset, "-profile:v", recipe.profile, "-level:v", recipe.level, "-bf", recipe.b_frames),
        *("-maxrate", f"{recipe.max_rate_kbit}k", "-bufsize", f"{recipe.buffer_kbit}k"),
        *("-threads", recipe.threads, "-x264-params", "open-gop=0:cpu-independent=1"),
        *("-g", int(recipe.gop_seconds * clip.rate), "-keyint_min", 1, "-movflags", "+faststart", output),
    )
    metrics = f"libvmaf=n_threads={cores()}:feature='name=psnr|name=float_ssim':log_fmt=csv:log_path=theirs.csv"
    ffmpeg("-i", clip.path, "-i", output, "-lavfi", f"[1:v][0:v]{metrics}", "-f", "null", "-", cwd=folder)
    times = watch.read()
    scores = parse_scores(folder / "theirs.csv", clip.frames)
    return Result(*times, clip.frames, output.stat().st_size, scores)


def report(rounds: list[tuple[Result, Result]], options: argparse.Namespace) -> None:
    """Print times, ratio and how far the two results agree."""
    wall, cpu = (
        [sum(getattr(pair[way], field) for pair in rounds) for way in (0, 1)] for field in ("seconds", "cpu_seconds")
    )
    mine, other = rounds[-1]
    apart = {metric: float(np.abs(mine.scores[metric] - other.scores[metric]).max()) for metric in mine.scores}
    ratio = round(wall[0] / wall[1], 3)
    result = {
        "clip": f"{options.size}, {options.rate} frames/s, {options.seconds:g} s",
        "ours_seconds": [round(pair[0].seconds, 2) for pair in rounds],
        "theirs_seconds": [round(pair[1].seconds, 2) for pair in rounds],
        "ratio": ratio,
        "cpu_ratio": round(cpu[0] / cpu[1], 3),
        "frames": [mine.frames, other.frames],
        "bytes": [mine.size_bytes, other.size_bytes],
        "largest_difference_of_a_frame": apart,
        "mean_scores": {
            metric: round(pooled.mean, 4) for metric, pooled in pool(mine.scores, Fraction(options.rate)).items()
        },
    }
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:30} {value}")
    print(f"{'demand: ratio at most 0.9':30} {'met' if ratio <= 0.9 else 'NOT met'}")


if __name__ == "__main__":
    main()
