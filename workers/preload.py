"""What a worker's orders import, loaded once before its pool forks: every child of every order then finds it there."""

from __future__ import annotations

from importlib import import_module

LOADED = (
    "av",
    "pydicom.pixels.decoders.base",
    "av.subtitles.stream",
    "workers.describe",
    "workers.describe_media",
    "workers.describe_dicom",
    "workers.transcode",
    "workers.target",
    "workers.sources",
    "workers.frames.stream",
    "workers.package",
    "workers.shown_times",
    "workers.coerce",
    "workers.parts",
    "workers.deliver.folder",
    "common.conformance",
    "common.dicom.headers",
)
"""0.36 s of processor time, which each item paid several times over: hostile bytes are parsed in a fresh child each."""


def preload() -> None:
    """Load them. Nothing of it opens anything or starts a thread of ours, so forks after it are as safe as before."""
    for name in LOADED:
        import_module(name)
