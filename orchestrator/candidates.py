"""Which transfer syntaxes a stream may go under as it is, and when it takes several instances. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from common.dicom.transfer_syntaxes import MAX_FRAGMENT_BYTES, ROOT, by_uid, short
from common.media import Description
from common.orders import Split
from common.targets import MVC_PROFILES
from orchestrator.acceptance import Destinations

_PLAIN = (f"{ROOT}.102", f"{ROOT}.103", f"{ROOT}.104")
_PACKED = (f"{ROOT}.105", f"{ROOT}.102", f"{ROOT}.103")
_MVC = (f"{ROOT}.106",)
_MPEG2 = (f"{ROOT}.100", f"{ROOT}.101")
_HEVC = (f"{ROOT}.107", f"{ROOT}.108")

GOP_BYTES = 64 << 20
"""A part ends at the last GOP border before its limit: eight seconds at the highest rate of level 4.1 (62.5 Mbit/s) are lost."""


def candidates(source: Description, liked: Sequence[str] = ()) -> tuple[str, ...]:
    """Base syntaxes and twins for the stream as it is, the preferred first; whether it is legal there is asked later.

    A DICOM object's own syntax comes first, then what destinations like best (``liked``). .102 goes before .103, which more
    archives know it than Blu-ray's subset, and before .104. Frame-packed stereo goes to .105, which alone announces it; a
    multiview stream to .106 alone. Where one fragment cannot hold the stream, a fragmentable twin goes before its base syntax,
    which then takes several instances.
    """
    own = (by_uid(source.dicom.transfer_syntax_uid).base_uid,) if source.dicom is not None else ()
    known = _preferred(source)
    bases = tuple(dict.fromkeys((*own, *(uid for uid in liked if uid in known), *known)))
    if stream_bytes(source) <= MAX_FRAGMENT_BYTES:
        return bases
    pairs = ((uid, uid) if by_uid(uid).fragmentable else (f"{uid}.1", uid) for uid in bases)
    return tuple(dict.fromkeys(uid for pair in pairs for uid in pair))


def _preferred(source: Description) -> tuple[str, ...]:
    video = source.video
    if video.codec == "h264":
        return _MVC if video.profile in MVC_PROFILES else _PACKED if video.frame_packed else _PLAIN
    return {"mpeg2video": _MPEG2, "hevc": _HEVC}.get(video.codec, ())


def container_of(codec: str) -> str:
    """The container that an encode or a new rewrap writes around this codec."""
    return "mpegts" if codec == "mpeg2video" else "mp4"


def stream_bytes(source: Description) -> int:
    """Bytes of what becomes Pixel Data when nothing is encoded."""
    dicom = source.dicom
    return dicom.stream_length if dicom is not None and dicom.stream_length else source.size_bytes


def split_of(uid: str, size_bytes: int, destinations: Destinations, *, whole: bool = False) -> Split | None:
    """How a stream of this size under this syntax has to be parted; None: not at all. ``whole``: the size is a file's, header included."""
    limit = limit_of(uid, destinations)
    if limit is None or size_bytes <= (limit.limit_bytes if whole else limit.stream_bytes):
        return None
    usable = max(limit.limit_bytes - GOP_BYTES, limit.limit_bytes // 2)
    return limit.model_copy(update={"parts": max(2, ceil(size_bytes / usable))})


def limit_of(uid: str, destinations: Destinations) -> Split | None:
    """What one instance under this syntax may hold where it is going, as a split into two parts; None: as much as it likes.

    Two things limit it: one fragment (PS3.5 A.4), where the syntax or a destination takes only one and the fragmentable twin is
    not taken, and a destination's largest instance.
    """
    found = _of_fragments(uid, destinations)
    smallest = destinations.smallest
    if smallest is None or smallest.max_bytes is None or (found and smallest.max_bytes >= found.limit_bytes):
        return found
    why = f"{smallest.name} takes at most {smallest.max_bytes:,} bytes"
    return Split(parts=2, limit_bytes=smallest.max_bytes, rule="destination.size", clause="acceptance", why=why)


def _of_fragments(uid: str, destinations: Destinations) -> Split | None:
    rule, clause, why = "encapsulation.fragments", "PS3.5 A.4", f"{short(uid)} holds one fragment, at most 2³²−2 bytes"
    if by_uid(uid).fragmentable:
        wanting = destinations.one_fragment
        if wanting is None:
            return None
        rule, clause, why = (
            "destination.fragments",
            "acceptance",
            f"{wanting.name} wants one fragment, at most 2³²−2 bytes",
        )
    elif not destinations.refuses(f"{uid}.1") and destinations.one_fragment is None:
        return None
    return Split(parts=2, limit_bytes=MAX_FRAGMENT_BYTES, rule=rule, clause=clause, why=why)
