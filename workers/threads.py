"""How many threads an FFmpeg gets. Imports nothing of ours, so that short commands start fast."""

from __future__ import annotations

import os

_HD_SAMPLES = 1920 * 1080


def cores(samples: int = _HD_SAMPLES) -> int:
    """CPU cores one FFmpeg may use on pictures of so many luma samples: all that this process has, up to 16, at 4K up to 4.

    More make it little faster and much larger: at 1080p 64 threads a decoder take 10 GiB of address space, and at 4K 16 of
    libvmaf's take 9 GiB of memory (4 of them 4 GiB), beyond Settings.child_memory_bytes. A bigger node runs several encodes.
    """
    most = max(2, 16 * _HD_SAMPLES // max(samples, _HD_SAMPLES))
    return min(len(os.sched_getaffinity(0)), most)
