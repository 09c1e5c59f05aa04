"""What ``check`` costs: its time against plain reading of the same bytes, and its memory, on files of one to two GB.

    python benchmarks/bench_check.py [GIB]

Prints one line a container: processor seconds of reading with Python (1 MiB at a time), of ``python -m workers check``, of its
start-up (the same on a small file), the ratio without start-up, and the largest resident set of any of its processes. The
file is read once before, so that both read the page cache; processor time holds on a busy machine too.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import psutil
from table import Row, at_least

NOISE = "nullsrc=s=1280x720:r=25:d=2,geq=random(1)*255:128:128"
KINDS = {
    "mp4": (".102", ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-pix_fmt", "yuv420p"), ()),
    "ts": (".102", ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-pix_fmt", "yuv420p"), ()),
    "mpg": (".101", ("-c:v", "mpeg2video", "-b:v", "60M", "-pix_fmt", "yuv420p"), ("-fflags", "+genpts")),
}


def ffmpeg(*words: object) -> None:
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "fatal", "-y", *map(str, words)]
    subprocess.run(argv, check=True)


def grown(folder: Path, kind: str, wanted: int) -> tuple[Path, Path]:
    """A small clip and the same clip repeated to about ``wanted`` bytes."""
    _, coding, reading = KINDS[kind]
    small, large = folder / f"small.{kind}", folder / f"large.{kind}"
    ffmpeg("-f", "lavfi", "-i", NOISE, *coding, small)
    loops = max(1, wanted // small.stat().st_size)
    ffmpeg("-stream_loop", loops, *reading, "-i", small, "-c", "copy", large)
    return small, large


def read(path: Path) -> float:
    buffer = bytearray(1 << 20)
    begin = time.process_time()
    with path.open("rb", buffering=0) as f:
        while f.readinto(buffer):
            pass
    return time.process_time() - begin


def children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def check(path: Path, syntax: str) -> tuple[float, int]:
    """Seconds, and the largest resident set of the command or a child of it, bytes."""
    begin = children()
    process = subprocess.Popen(
        [sys.executable, "-m", "workers", "check", "--as", syntax, str(path)], stdout=subprocess.DEVNULL
    )
    top, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        try:
            peak = max(peak, *(each.memory_info().rss for each in (top, *top.children(recursive=True))))
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.005)
    return children() - begin, peak


def rows(*, quick: bool) -> Iterator[Row]:
    """Bytes checked per second of processor time, start-up included, against what is asked; and against reading alone."""
    wanted = 2_000_000 if quick else 1_500_000_000
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name:
        for kind, (syntax, _, _) in KINDS.items():
            small, large = grown(Path(name), kind, wanted)
            reading = min(read(large) for _ in range(2))
            seconds, peak = min(check(large, syntax) for _ in range(1 if quick else 2))
            size = large.stat().st_size
            note = f"{reading:.2g} s to read it from the page cache; peak {peak / 1e6:.0f} MB"
            what = f"check {size / 1e9:.2g} GB of {kind}, start-up included"
            yield Row(what, size / 1e6 / seconds, 500, "MB/s", "asked", at_least(1), note=note)
            large.unlink()
            small.unlink()


def main() -> None:
    wanted = int(float(sys.argv[1] if len(sys.argv) > 1 else 1) * (1 << 30))
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name:
        for kind, (syntax, _, _) in KINDS.items():
            small, large = grown(Path(name), kind, wanted)
            read(large)
            reading = min(read(large) for _ in range(3))
            start_up = min(check(small, syntax)[0] for _ in range(3))
            seconds, peak = min(check(large, syntax) for _ in range(3))
            print(
                f"{kind}: {large.stat().st_size / 1e9:.2f} GB, read {reading:.2f} s, check {seconds:.2f} s, "
                f"start-up {start_up:.2f} s, ratio {(seconds - start_up) / reading:.2f}, peak {peak / 1e6:.0f} MB"
            )
            large.unlink()


if __name__ == "__main__":
    main()
