"""Whether a browser can play what an item has become, where it finds it, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import CinefarmError
from common.orders import InstancePart, TranscodeDone
from common.store import ObjectStore
from orchestrator.dicomweb.directory import companion_of
from orchestrator.dicomweb.media import MPEG2, VIDEO
from orchestrator.dicomweb.video import Container, Stream
from orchestrator.web.queries.item import ItemView

WITHHELD = "It missed its gate and left nowhere."
GONE = "It was delivered and is no longer in the store: a viewer at its destination shows it."
FRAMES = "It is made frame by frame: a DICOM viewer shows it."
MPEG_2 = "It is MPEG-2 video, which no browser plays: a DICOM viewer shows it."
NO_MP4 = "It is stored in a container that no browser plays: a DICOM viewer shows it."
NOTHING = "There is nothing to play yet."
PACKAGED = "As it was packaged."


@dataclass(frozen=True)
class Playing:
    """``url``: where the video is; empty: it cannot be played here. ``words``: what there is to say of it."""

    url: str
    words: str


def playing(store: ObjectStore, view: ItemView) -> Playing:
    """How the result of an item is played."""
    made = view.made
    if made is None:
        return Playing("", NOTHING)
    if made.withheld_key and not made.instance_key:
        return Playing(f"/items/{view.item.id}/withheld.mp4", WITHHELD)
    if not made.instances:
        return Playing("", NOTHING)
    return _stored(store, made, made.instances[0])


def _stored(store: ObjectStore, made: TranscodeDone, part: InstancePart) -> Playing:
    if made.transfer_syntax_uid not in VIDEO:
        return Playing("", FRAMES)
    if store.size(part.instance_key) is None:
        return Playing("", GONE)
    if made.transfer_syntax_uid in MPEG2:
        return Playing("", MPEG_2)
    try:
        known = companion_of(store, part.instance_key)
        if known is None or Stream(part.instance_key, known.pixels).container(store) is not Container.MP4:
            return Playing("", NO_MP4)
    except CinefarmError:  # it went in this moment
        return Playing("", GONE)
    series = f"/dicomweb/studies/{made.study_uid}/series/{made.series_uid}"
    several = len(made.instances)
    words = f"Part 1 of {several}, as it was packaged." if several > 1 else PACKAGED
    return Playing(f"{series}/instances/{part.sop_instance_uid}/rendered", words)
