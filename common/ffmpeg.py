"""Where FFmpeg is: the one place that looks for it."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from common.errors import ProgramMissing


@cache
def ffmpeg_program() -> str:
    """The FFmpeg of the imageio-ffmpeg wheel; another where IMAGEIO_FFMPEG_EXE names one, or the wheel has none.

    Raises:
        ProgramMissing: there is none.
    """
    import imageio_ffmpeg

    # looked up, not tried out as get_ffmpeg_exe does: a trial that is killed would read as "not installed"
    bundled = sorted((Path(imageio_ffmpeg.__file__).parent / "binaries").glob("ffmpeg-*"))
    if bundled and os.access(bundled[-1], os.X_OK) and not os.environ.get("IMAGEIO_FFMPEG_EXE"):
        return str(bundled[-1])
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise ProgramMissing("no FFmpeg is installed for this machine") from error


def allocator() -> dict[str, str]:
    """Environment for an FFmpeg that works on pictures; empty where somebody has set glibc's tunables already.

    libvmaf asks for the same megabytes again for every picture, and glibc gives each back to the kernel in between. Kept, and in
    huge pages, they cost 4 % less processor time of an encode with its measurement (1080p; benchmarks/bench_gate.py).
    glibc(3) mallopt; other C libraries ignore it.
    """
    if "GLIBC_TUNABLES" in os.environ:
        return {}
    words = ("hugetlb=1", f"mmap_threshold={1 << 28}", f"trim_threshold={1 << 30}")
    return {"GLIBC_TUNABLES": ":".join(f"glibc.malloc.{word}" for word in words)}
