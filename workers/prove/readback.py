"""Read instances back from an archive and compare them with what was sent, one at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from common.bandwidth import Pace
from common.errors import DestinationRefused, UnreadableSource
from common.forks import Fork, Limits
from common.orders import Awaited, Different, Retrieval, VerifyDone, VerifyOrder
from common.settings import Settings
from common.store import ObjectStore
from common.store.folder import FolderStore
from workers.local import local_source
from workers.prove.compare import Comparison, compare
from workers.retrieve.bring import bring

SLOWEST_DISK = 10_000_000
"""Bytes/s at which the slowest believable disk is read: the limit of a comparison follows from it."""


def read_back(
    order: VerifyOrder, store: ObjectStore, settings: Settings, scratch: Path, check: Callable[[], None]
) -> VerifyDone:
    """Compare each instance of the order; see ``workers.prove.compare`` for what is compared.

    Raises:
        DestinationUnavailable, NotSent: the archive gave nothing for now.
        StoreFault: our own copy cannot be read.
        LeaseLost: the attempt was revoked.
    """
    found: list[str] = []
    missing: list[str] = []
    different: list[Different] = []
    coerced: set[str] = set()
    for instance in order.instances:
        try:
            seen = _compared(instance, order.destination, store, settings, scratch, check)
        except UnreadableSource:
            missing.append(instance.sop_instance_uid)
            continue
        except DestinationRefused as refusal:
            return VerifyDone(unable=f"it gives nothing back: {refusal.message}", read=True)
        coerced.update(seen.coerced)
        if seen.differences:
            different.append(Different(sop_instance_uid=instance.sop_instance_uid, words=", ".join(seen.differences)))
        else:
            found.append(instance.sop_instance_uid)
    changed = f" (the archive changed {', '.join(sorted(coerced))})" if coerced else ""
    return VerifyDone(
        found=tuple(found),
        missing=tuple(missing),
        different=tuple(different),
        read=True,
        proof=f"read back, the same{changed}",
    )


def _compared(
    instance: Awaited,
    place: str,
    store: ObjectStore,
    settings: Settings,
    scratch: Path,
    check: Callable[[], None],
) -> Comparison:
    asked = Retrieval(
        place=place,
        study_uid=instance.study_uid,
        series_uid=instance.series_uid,
        sop_instance_uid=instance.sop_instance_uid,
        sop_class_uid=instance.sop_class_uid,
    )
    with (
        _brought(asked, store, settings, scratch, check) as back,
        local_source(store, instance.instance_key, scratch, check) as ours,
    ):
        return _in_a_child(ours, back, settings, check)


@contextmanager
def _brought(
    asked: Retrieval, store: ObjectStore, settings: Settings, scratch: Path, check: Callable[[], None]
) -> Iterator[Path]:
    """The archive's object, gone at the end of the block: by C-GET, or by C-MOVE to our listener where that is refused."""
    aside, key = FolderStore(scratch / "back"), "back.dcm"
    try:
        bring(asked, key, aside, settings, Pace(check))
    except DestinationRefused:
        if not settings.listen_port:
            raise
    else:
        with local_source(aside, key, scratch, check) as path:
            yield path
        aside.delete(key)
        return
    key = f"readback/{uuid4().hex}.dcm"  # what is moved comes through the listener, and so through the store
    try:
        bring(asked.model_copy(update={"method": "move"}), key, store, settings, Pace(check))
        with local_source(store, key, scratch, check) as path:
            yield path
    finally:
        store.delete(key)


def _in_a_child(ours: Path, back: Path, settings: Settings, check: Callable[[], None]) -> Comparison:
    """What an archive sends is input like any other: it is parsed under limits."""
    seconds = 60 + (ours.stat().st_size + back.stat().st_size) / SLOWEST_DISK
    end = time.monotonic() + seconds
    with Fork(compare, ours, back, limits=Limits(memory_bytes=settings.child_memory_bytes)) as child:
        while not child.wait(1.0):
            check()
            if time.monotonic() > end:
                child.kill()
        comparison: Comparison = child.value("comparison with what came back")
        return comparison
