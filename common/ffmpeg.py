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
