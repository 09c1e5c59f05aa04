"""Is `cinefarm measure` as quick as bare FFmpeg, and quicker than the tools people use?

    .venv/bin/python benchmarks/run.py --only measure

All measure the same pair with the same features (VMAF v0.6.1, PSNR, float_ssim of libvmaf) and as many threads. Bare FFmpeg is one
command that decodes both files and runs libvmaf. The command is timed as a user runs it: interpreter, description of both files,
proof of the alignment and pooling included. easyvmaf wants an ffprobe on the PATH; without one it has no row.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from table import Row, at_least, at_most

from common.ffmpeg import ffmpeg_program
from workers.threads import cores

_FEATURES = ("psnr", "float_ssim")
_SCENE = (
    "gradients=s={size}:r=30:d={seconds}:n=6:speed=0.03:seed=7,format=yuv420p[back];"
    "testsrc2=s={size}:r=30:d={seconds},format=yuv420p,boxblur=3[front];"
    "[back][front]blend=all_mode=average,noise=alls=4:allf=t:all_seed=3,format=yuv420p"
)


def rows(*, quick: bool) -> Iterator[Row]:
    """Wall time on one pair; the sum of so many rounds, in turn."""
    size, seconds, rounds = ("320x180", 1, 1) if quick else ("1920x1080", 30, 1)
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name:
        pair = make_pair(Path(name), size, seconds)
        threads = cores()
        ways: dict[str, Callable[[], None]] = {
            "ours": lambda: ours(pair, threads),
            "bare": lambda: bare(pair, threads, Path(name)),
            "ffmpeg-quality-metrics": lambda: quality_metrics(pair, threads),
        }
        if shutil.which("ffprobe"):
            ways["easyvmaf"] = lambda: easyvmaf(pair, threads, Path(name))
        taken = dict.fromkeys(ways, 0.0)
        for _ in range(rounds):
            for way, work in ways.items():
                began = time.monotonic()
                work()
                taken[way] += time.monotonic() - began
        what, frames = f"measure, {seconds} s of {size}", seconds * 30 * rounds
        speed = {way: frames / spent for way, spent in taken.items()}
        yield Row(what, speed["ours"], speed["bare"], "frames/s", "bare ffmpeg … libvmaf", at_least(0.95))
        for other in ("ffmpeg-quality-metrics", "easyvmaf"):
            if other in taken:
                yield Row(what, taken["ours"], taken[other], "s", other, at_most(1.0))


def make_pair(folder: Path, size: str, seconds: int) -> tuple[Path, Path]:
    """A clip of high quality and a coarse encode of it."""
    reference, distorted = folder / "reference.mp4", folder / "distorted.mp4"
    scene = _SCENE.format(size=size, seconds=seconds)
    _ffmpeg("-filter_complex", scene, "-c:v", "libx264", "-preset", "veryfast", "-crf", "12", reference)
    _ffmpeg("-i", reference, "-c:v", "libx264", "-preset", "veryfast", "-crf", "30", distorted)
    return reference, distorted


def ours(pair: tuple[Path, Path], threads: int) -> None:
    """The command, as it is typed."""
    argv = [sys.executable, "-m", "orchestrator", "measure", *map(str, pair), "--threads", str(threads), "--json"]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


def bare(pair: tuple[Path, Path], threads: int, folder: Path) -> None:
    """One FFmpeg: decode both, compare."""
    features = "|".join(f"name={name}" for name in _FEATURES)
    judge = f"libvmaf=n_threads={threads}:feature='{features}':log_fmt=json:log_path={folder / 'bare.json'}"
    inputs = [word for path in reversed(pair) for word in ("-threads", str(threads), "-i", str(path))]
    _ffmpeg(*inputs, "-lavfi", f"[0:v][1:v]{judge}", "-f", "null", "-")


def quality_metrics(pair: tuple[Path, Path], threads: int) -> None:
    """The same features from ffmpeg-quality-metrics."""
    code = (
        "import sys; from ffmpeg_quality_metrics import FfmpegQualityMetrics as Q; "
        "q = Q(sys.argv[1], sys.argv[2], ffmpeg_path=sys.argv[3], threads=int(sys.argv[4])); "
        "q.calculate(['vmaf'], {'features': sys.argv[5].split(','), 'n_threads': int(sys.argv[4])}); q.get_global_stats()"
    )
    argv = [sys.executable, "-c", code, *map(str, pair), ffmpeg_program(), str(threads), ",".join(_FEATURES)]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def easyvmaf(pair: tuple[Path, Path], threads: int, folder: Path) -> None:
    """VMAF v0.6.1 from easyvmaf: it takes no PSNR and no SSIM beside it, and has less to do."""
    words = ["-d", str(pair[1]), "-r", str(pair[0]), "--threads", str(threads), "--vmaf-version", "0.6"]
    subprocess.run(
        [sys.executable, "-m", "easyvmaf", *words],
        check=True,
        cwd=folder,
        env=os.environ | {"FFMPEG": ffmpeg_program()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _ffmpeg(*words: object) -> None:
    subprocess.run([ffmpeg_program(), "-v", "error", "-nostdin", "-y", *map(str, words)], check=True)
