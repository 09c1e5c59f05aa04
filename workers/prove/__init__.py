"""Have archives prove that they keep what they took: by storage commitment, by their own count, by reading back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from common.destinations import DicomDestination, parse_destination
from common.errors import PolicyError
from common.network.association import Caller
from common.orders import CommitDone, CommitOrder, VerifyDone, VerifyOrder
from common.settings import Settings
from common.store import ObjectStore

__all__ = ["commit", "verify"]


def commit(order: CommitOrder, settings: Settings, check: Callable[[], None] = lambda: None) -> CommitDone:
    """Ask for commitment, and wait a moment for a report on the same association.

    Raises:
        DestinationUnavailable, DestinationRefused: the archive could not be asked.
        PolicyError: the destination is no archive.
        LeaseLost: the attempt was revoked.
    """
    from common.network.commitment import request_commitment

    instances = [(each.sop_class_uid, each.sop_instance_uid) for each in order.instances]
    return request_commitment(
        order.transaction_uid,
        instances,
        _archive(order.destination),
        Caller.of(settings),
        wait_seconds=settings.commit_report_seconds,
        check=check,
    )


def verify(
    order: VerifyOrder, store: ObjectStore, settings: Settings, scratch: Path, check: Callable[[], None] = lambda: None
) -> VerifyDone:
    """Find every instance in the archive, or read each back and compare it with ours.

    Raises:
        DestinationUnavailable, DestinationRefused: the archive could not be asked.
        StoreFault: our own copy cannot be read.
        PolicyError: the destination is no archive.
        LeaseLost: the attempt was revoked.
    """
    archive, caller = _archive(order.destination), Caller.of(settings)
    if order.kind == "count":
        from workers.prove.count import count

        return count(order.instances, archive, caller, check)
    from workers.prove.readback import read_back

    return read_back(order, store, settings, scratch, check)


def _archive(uri: str) -> DicomDestination:
    archive = parse_destination(uri)
    if not isinstance(archive, DicomDestination):
        raise PolicyError("only a DICOM archive can be asked for commitment")
    return archive
