"""A multi-frame JPEG 2000 or JPEG-LS source, encoded and measured: our one run against decode to a raw file, encode, measure.

    .venv/bin/python benchmarks/bench_frame_sources.py [--quick]

The usual way decodes with pydicom as it is installed (``iter_pixels``, its own order of plugins), writes raw RGB, encodes that with
the same x264 options, and runs libvmaf with the same features and all cores over raw file and result. Ours decodes in as many
processes as there are cores, straight into the FFmpeg that encodes and measures. The demand: 0.6 of the time.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pydicom
from bench_frames import SIDE, speckle, write
from bench_gate import Stopwatch, ffmpeg
from pydicom.pixels import iter_pixels
from table import Row, at_most

from common.orders import Path as Way
from common.orders import Plan
from common.recipes import ARCHIVE
from common.settings import Settings
from workers.describe import describe_sandboxed
from workers.encode import encode
from workers.preload import preload
from workers.sources import open_source
from workers.threads import cores

SYNTAXES = {"JPEG 2000": ("1.2.840.10008.1.2.4.90", "pylibjpeg"), "JPEG-LS": ("1.2.840.10008.1.2.4.80", "pyjpegls")}
RATE = 25


def rows(*, quick: bool) -> Iterator[Row]:
    """Wall time of both ways, by codec."""
    frames = 10 if quick else 100
    preload()
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name:
        folder = Path(name)
        native = write(speckle(frames, 8, colour=True), 8, folder / "native.dcm")
        for codec, (syntax, plugin) in SYNTAXES.items():
            source = folder / "source.dcm"
            made = pydicom.dcmread(native)
            made.compress(syntax, encoding_plugin=plugin)
            pydicom.dcmwrite(source, made)
            del made
            mine, other, note = ours(source, folder), *theirs(source, frames, folder)
            what = f"{codec}, {frames} frames of {SIDE}×{SIDE} RGB, encode and gate"
            yield Row(what, mine, other, "s", "decode to a file, encode, measure", at_most(0.6), note=note)


def ours(source: Path, folder: Path) -> float:
    """Seconds from the described file to the proven result with its scores."""
    recipe = ARCHIVE.ladder[0]
    description = describe_sandboxed(source, ".dcm", Settings())
    plan = Plan(
        path=Way.ENCODE,
        reason="benchmark",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.1.1",
        transfer_syntax_uid=recipe.transfer_syntax_uid,
        recipe=recipe,
        gate=ARCHIVE.gate,
    )
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    watch = Stopwatch()
    encode(
        open_source(source, description, scratch), description, plan, folder / "ours.mp4", scratch, settings=Settings()
    )
    return watch.read()[0]


def theirs(source: Path, frames: int, folder: Path) -> tuple[float, str]:
    """Seconds of the three steps together, and each in words."""
    raw, output, recipe = folder / "frames.rgb", folder / "theirs.mp4", ARCHIVE.ladder[0]
    read = ("-f", "rawvideo", "-framerate", RATE, "-pixel_format", "rgb24", "-video_size", f"{SIDE}x{SIDE}", "-i", raw)
    whole, watch = Stopwatch(), Stopwatch()
    with raw.open("wb") as out:
        for frame in iter_pixels(source):
            out.write(frame.tobytes())
    decoded, watch = watch.read()[0], Stopwatch()
    ffmpeg(
        *(*read, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", recipe.crf, "-preset", recipe.preset),
        *("-profile:v", recipe.profile, "-level:v", recipe.level, "-bf", recipe.b_frames, "-threads", recipe.threads),
        *("-maxrate", f"{recipe.max_rate_kbit}k", "-bufsize", f"{recipe.buffer_kbit}k"),
        *("-x264-params", "open-gop=0:cpu-independent=1", "-g", int(recipe.gop_seconds * RATE), "-keyint_min", 1),
        *("-movflags", "+faststart", output),
    )
    encoded, watch = watch.read()[0], Stopwatch()
    metrics = f"libvmaf=n_threads={cores()}:feature='name=psnr|name=float_ssim':log_fmt=csv:log_path=theirs.csv"
    graph = f"[0:v]format=yuv420p,settb=1/{RATE},setpts=N[r];[1:v]settb=1/{RATE},setpts=N[d];[d][r]{metrics}"
    ffmpeg(*read, "-i", output, "-lavfi", graph, "-f", "null", "-", cwd=folder)
    measured = watch.read()[0]
    assert len((folder / "theirs.csv").read_text().splitlines()) == frames + 1
    return whole.read()[0], f"decode {decoded:.1f} s, encode {encoded:.1f} s, measure {measured:.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    for row in rows(quick=parser.parse_args().quick):
        print(f"{row.name}: {row.ours:.1f} s against {row.reference:.1f} s ({row.note}): {row.ratio:.2f}")


if __name__ == "__main__":
    main()
