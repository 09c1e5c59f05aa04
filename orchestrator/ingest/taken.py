"""Which instances of an archive are worth fetching, by what a query tells of them: class, modality and frames."""

from __future__ import annotations

from common.dicom.sop_classes import LOOP_CLASSES, NOT_MOMENTS, VIDEO_ENDOSCOPIC, VIDEO_MICROSCOPIC, VIDEO_PHOTOGRAPHIC
from common.network.query import FoundInstance, FoundSeries, Level, Query
from orchestrator.ingest.asked import Take

NO_IMAGES = frozenset(
    [
        *("SR", "PR", "KO", "DOC", "PLAN", "AU", "ECG", "EPS", "HD", "RESP", "SMR", "ASMT"),
        *("RTSTRUCT", "RTPLAN", "RTRECORD", "REG", "FID"),
    ]
)
"""Modalities of series without pictures (PS3.3 C.7.3.1.1.1)."""

_VIDEO = frozenset({VIDEO_ENDOSCOPIC, VIDEO_MICROSCOPIC, VIDEO_PHOTOGRAPHIC})
"""One frame of these may be a wrong count: their stream is worth a look."""


def why_series_left_out(series: FoundSeries, take: Take, query: Query) -> str:
    """Why the instances of a series are not asked for; empty: they are."""
    if take is Take.ALL or query.of_level(Level.SERIES) or query.of_level(Level.IMAGE):
        return ""
    return f"in series of modality {series.modality}, which hold no pictures" if series.modality in NO_IMAGES else ""


def why_left_out(instance: FoundInstance, take: Take, query: Query) -> str:
    """Why an instance is not taken; empty: it is.

    Where the archive does not say how many frames there are (or leaves the number out, as of single ones), the class decides.
    """
    uid, frames = instance.sop_class_uid, instance.frames
    if take is Take.ALL or query.of_level(Level.IMAGE):
        return ""
    if take is Take.FRAMES:
        return "a single frame (.take=all takes it)" if frames == 1 else ""
    if uid in NOT_MOMENTS:
        return f"{NOT_MOMENTS[uid]}: its frames are no moments (.take=frames takes it)"
    if uid in LOOP_CLASSES or not uid or (frames or 0) > 1:
        return "a single frame (.take=all takes it)" if frames == 1 and uid not in _VIDEO else ""
    return "of a class of single images, or none (.take=frames takes it)"
