"""Bring a produced instance where it belongs, and prove that it arrived. One module per kind of destination.

Delivering is idempotent: an object that is already there, with the same bytes, is a success. Nothing that lies at the
destination is ever overwritten with other bytes.
"""

from __future__ import annotations

from common.bandwidth import UNPACED, Pace
from common.destinations import FolderDestination, parse_destination
from common.orders import DeliverDone, DeliverOrder
from common.settings import Settings
from common.store import ObjectStore

__all__ = ["deliver"]


def deliver(order: DeliverOrder, store: ObjectStore, settings: Settings, pace: Pace = UNPACED) -> DeliverDone:
    """Deliver one instance to the order's destination, as fast as ``pace`` allows.

    Raises:
        PolicyError: the destination is of no known kind.
        DestinationUnavailable: it did not answer or has no room; another try may help.
        DestinationRefused: it said no for good, or holds another object under this name.
        UnsupportedSource: a UID of the source cannot be used as a name.
        StoreFault: our own copy cannot be read or is not what was stored.
        LeaseLost: the attempt was revoked; nothing half-sent is left behind.
    """
    destination = parse_destination(order.destination)
    if isinstance(destination, FolderDestination):
        from workers.deliver.folder import deliver_to_folder

        return deliver_to_folder(order, destination.path, store, pace)
    from workers.deliver.dicom import deliver_to_archive

    return deliver_to_archive(order, destination, store, settings, pace=pace)
