"""Bring produced instances where it belongs, and prove that it arrived. One module per kind of destination.

Delivering is idempotent: an object that is already there, with the same bytes, is a success. Nothing that lies at the
destination is ever overwritten with other bytes.
"""

from __future__ import annotations

from common.bandwidth import UNPACED, Pace
from common.destinations import DicomDestination, FolderDestination, S3Destination, parse_destination
from common.orders import DeliverDone, DeliverOrder
from common.settings import Settings
from common.store import ObjectStore
from workers.deliver.arrived import Arrived

__all__ = ["deliver"]


def deliver(order: DeliverOrder, store: ObjectStore, settings: Settings, pace: Pace = UNPACED) -> DeliverDone:
    """Deliver one instance, or the parts of a split item one after the other, to the order's destination, as fast as ``pace`` allows.

    Parts that have arrived are noted in the store, so that the next attempt goes on behind them.

    Raises:
        PolicyError: the destination is not understood.
        DestinationUnavailable: it did not answer or has no room; another try may help.
        DestinationRefused: it said no for good, or holds another object under this name.
        UnsupportedSource: a UID of the source cannot be used as a name.
        StoreFault: our own copy cannot be read or is not what was stored.
        LeaseLost: the attempt was revoked; nothing half-sent is left behind.
    """
    if len(order.each) == 1:
        return _deliver_one(order, store, settings, pace)
    arrived = Arrived(order, store)
    done = []
    for part in order.each:
        pace.check()
        known = arrived.known(part)
        done.append(known or _deliver_one(part, store, settings, pace))
        if known is None:
            arrived.note(part, done[-1])
    arrived.forget()
    return DeliverDone(
        location="\n".join(one.location for one in done),
        proof="; ".join(dict.fromkeys(one.proof for one in done)),
        warning="; ".join(dict.fromkeys(one.warning for one in done if one.warning)),
    )


def _deliver_one(order: DeliverOrder, store: ObjectStore, settings: Settings, pace: Pace) -> DeliverDone:
    destination = parse_destination(order.destination)
    if isinstance(destination, FolderDestination):
        from workers.deliver.folder import deliver_to_folder

        return deliver_to_folder(order, destination.path, store, pace)
    if isinstance(destination, S3Destination):
        from workers.deliver.bucket import deliver_to_bucket

        return deliver_to_bucket(order, destination, store, settings, pace)
    if isinstance(destination, DicomDestination):
        from workers.deliver.dicom import deliver_to_archive

        return deliver_to_archive(order, destination, store, settings, pace=pace)
    from workers.deliver.dicomweb import deliver_to_web

    return deliver_to_web(order, destination, store, settings, pace=pace)
