"""Deliver to a folder: ``<Study UID>/<Series UID>/<SOP UID>.dcm``, its evidence and its scores beside it.

The instance comes last: where it lies, the delivery is complete. It is brought to a hidden folder beside its place,
proven there and only then given its name, so nobody sees half an object. A copy is proven by reading it back from the
disk. A hard link is the very file whose SHA-256 was computed when it was written, so only its size is looked at.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from common.bandwidth import UNPACED, Pace
from common.errors import DestinationRefused, DestinationUnavailable, StoreFault, UnsupportedSource
from common.orders import DeliverDone, DeliverOrder
from common.store import ObjectStore
from common.store.folder import sync_folder
from workers.deliver.custody import holds_instance

COPIED = "sha256"
LINKED = "hard link of the verified object"
ALREADY = "sha256 (already there)"

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_PIECE_BYTES = 1 << 20  # read and written at once
_UID_LENGTH = 64  # characters, PS3.5 9.1


def deliver_to_folder(order: DeliverOrder, folder: Path, store: ObjectStore, pace: Pace = UNPACED) -> DeliverDone:
    """Bring the instance, its evidence and its scores below ``folder``.

    Evidence of an earlier delivery that was not finished is replaced; an instance never is.

    Raises:
        DestinationUnavailable: the folder cannot be written, or what was written reads back differently.
        DestinationRefused: other bytes lie under the name of this instance.
        UnsupportedSource: one of the UIDs is none and so cannot name a file.
        StoreFault: the store cannot give the instance.
        LeaseLost: the attempt was revoked.
    """
    place = instance_place(order)
    target = folder / place
    with _write_faults():
        if os.path.lexists(target):
            proof = _proof_of_present(target, order, store)
            _add_missing_evidence(order, target, store)
        else:
            _make_folders(folder, target.parent)
            proof = _bring(order, target, store, pace)
    return DeliverDone(location=place.as_posix(), proof=proof)


def instance_place(order: DeliverOrder) -> Path:
    """Path of the instance below the destination. UIDs come out of headers that anybody may have written.

    Raises:
        UnsupportedSource: a UID holds anything but digits with single dots between, or is longer than 64 characters.
    """
    uids = {"Study": order.study_uid, "Series": order.series_uid, "SOP": order.sop_instance_uid}
    for name, uid in uids.items():
        if len(uid) > _UID_LENGTH or not _UID.fullmatch(uid):
            raise UnsupportedSource(
                f"the {name} Instance UID is no UID (PS3.5 9.1) and cannot name a file",
                hint="Correct the UIDs of the source, or deliver it to an archive that accepts them.",
            )
    return Path(order.study_uid, order.series_uid, f"{order.sop_instance_uid}.dcm")


def _proof_of_present(target: Path, order: DeliverOrder, store: ObjectStore) -> str:
    ours = store.local_path(order.instance_key)
    if target.is_file():
        if ours is not None and ours.exists() and target.samefile(ours):
            return LINKED
        if holds_instance(target, order):
            return ALREADY
    raise DestinationRefused(
        "the destination holds another object under the same SOP Instance UID; it was left as it is",
        hint="Compare the two objects. Move the one at the destination away if this one is to take its place.",
    )


def _bring(order: DeliverOrder, target: Path, store: ObjectStore, pace: Pace) -> str:
    """Evidence first, the instance last; returns how it was proven."""
    with _aside(target) as aside:
        instance = aside / target.name
        _fetch(store, order.instance_key, instance, pace)
        proof = _proof(instance, order, store)
        for key in order.evidence_keys:
            _export(store, key, _beside(target, key))
        try:
            _name(instance, target)
        except FileExistsError:
            return _proof_of_present(target, order, store)
    sync_folder(target.parent)
    return proof


def _name(instance: Path, target: Path) -> None:
    """Give the proven file its name. A link, unlike a rename, never replaces what another delivery has just put there.

    Raises:
        FileExistsError: the name is taken.
    """
    try:
        target.hardlink_to(instance)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        instance.rename(target)


def _add_missing_evidence(order: DeliverOrder, target: Path, store: ObjectStore) -> None:
    for key in order.evidence_keys:
        if not _beside(target, key).exists():
            _export(store, key, _beside(target, key))


def _beside(target: Path, evidence_key: str) -> Path:
    """``…/evidence.json`` of an instance lies at ``<SOP UID>.evidence.json``."""
    return target.with_name(f"{target.stem}.{evidence_key.rpartition('/')[2]}")


def _export(store: ObjectStore, key: str, path: Path) -> None:
    """An export that fails is the destination's fault while the object itself is there."""
    if store.size(key) is None:
        raise StoreFault("an object of this delivery is no longer in the store")
    try:
        store.export(key, path)
    except StoreFault as fault:
        if isinstance(fault.__cause__, OSError):
            raise fault.__cause__ from None
        raise


def _fetch(store: ObjectStore, key: str, path: Path, pace: Pace) -> None:
    """Bring the instance. A limit is kept where bytes really move: a hard link on the same disk moves none."""
    pace.check()
    if not pace.limited and store.local_path(key) is not None:  # else it takes long: pieces can be stopped
        _export(store, key, path)
    elif not _linked(store.local_path(key), path):
        _copy(store, key, path, pace)


def _linked(ours: Path | None, path: Path) -> bool:
    if ours is None or ours.is_symlink():  # a link to an adopted source: its file is never shared
        return False
    try:
        path.hardlink_to(ours)
    except OSError:  # another disk, or a file system without hard links
        return False
    return True


def _copy(store: ObjectStore, key: str, path: Path, pace: Pace) -> None:
    with store.open(key) as reader, path.open("xb") as writer:
        while data := reader.read(pace.piece_bytes(_PIECE_BYTES, 1)):
            pace(len(data))
            writer.write(data)
        writer.flush()
        os.fsync(writer.fileno())


def _proof(instance: Path, order: DeliverOrder, store: ObjectStore) -> str:
    ours = store.local_path(order.instance_key)
    if ours is not None and instance.samefile(ours):
        if instance.stat().st_size != order.instance_bytes:
            raise StoreFault("the instance in the store has another size than when it was written")
        return LINKED
    _forget_cached(instance)
    if not holds_instance(instance, order):
        raise DestinationUnavailable(
            "the copy at the destination reads back with another size or SHA-256",
            hint="Check the disks of the destination and of the object store.",
        )
    return COPIED


def _forget_cached(path: Path) -> None:
    """Drop the pages of a synced file, so that reading it back asks the disk and not our own memory."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """A hidden folder beside the target, gone afterwards; those that killed attempts at this instance left go too."""
    for leftover in target.parent.glob(f".{target.stem}.*"):
        shutil.rmtree(leftover, ignore_errors=True)
    aside = target.with_name(f".{target.stem}.{uuid4().hex}")
    aside.mkdir()
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _make_folders(folder: Path, last: Path) -> None:
    """Make ``last`` below ``folder``, each new name synced so that the files in it outlast a power cut."""
    folder.mkdir(parents=True, exist_ok=True)
    for new in (last.parent, last):
        if not new.is_dir():
            new.mkdir(exist_ok=True)
            sync_folder(new.parent)


@contextmanager
def _write_faults() -> Iterator[None]:
    """An OSError names its path; only the system's own words go on."""
    try:
        yield
    except OSError as error:
        raise DestinationUnavailable(
            f"the destination folder cannot be used: {error.strerror}", hint=_hint(error.errno)
        ) from error


def _hint(code: int | None) -> str:
    if code in (errno.ENOSPC, errno.EDQUOT):
        return "Make room on the destination's disk, and run the same command again."
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "Give the user that runs the farm write permission to the destination."
    return "Check that the destination is mounted and can be written."
