"""A plain video that FFmpeg reads from the object store itself, by ranges: no copy is made on the way to its encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.media import Description, Kind
from common.orders import Path as Way
from common.orders import Plan, SplitOrder, TranscodeOrder
from common.settings import Settings
from common.store import ObjectStore

if TYPE_CHECKING:
    from workers.sources import MediaInput


def input_from_afar(order: TranscodeOrder | SplitOrder, store: ObjectStore, settings: Settings) -> MediaInput | None:
    """How FFmpeg reads the order's source where it lies; None where a local file is there already, or is needed.

    A source of another size than described is left to those who look at the file: they say what is wrong with it.

    Raises:
        UnsupportedSource: we let FFmpeg open no demuxer for it.
        StoreFault: the store did not answer.
    """
    if not _read_by_ffmpeg_alone(order.description, order.plan) or store.local_path(order.source_key) is not None:
        return None
    if store.size(order.source_key) != order.description.size_bytes:
        return None
    url = store.presigned(order.source_key, _longest_seconds(order.description, settings))
    if url is None:
        return None
    from workers.sources import open_remote

    return open_remote(url, order.description, settings.s3_ca_file)


def _read_by_ffmpeg_alone(description: Description, plan: Plan | None) -> bool:
    """Our own code reads DICOM files, what is kept, and an MP4 whose index is moved: those need a file."""
    own = plan is None or plan.path is Way.KEEP or (plan.path is Way.REWRAP and not plan.new_container)
    return description.kind is Kind.VIDEO and not own


def _longest_seconds(description: Description, settings: Settings) -> float:
    """As long as the slowest encode may take: FFmpeg connects again when it seeks."""
    slowest = description.video.duration_ms / 1000 / settings.transcode_speed_floor
    return max(settings.transcode_minimum_seconds, slowest)
