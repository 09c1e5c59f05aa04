"""Which parts of a split item an archive has confirmed: small notes beside the parts in the store, gone when all have arrived.

An archive cannot be asked cheaply what it holds, and to send a part of 4 GiB again only because the next one failed costs hours.
A folder and a bucket can be asked: there every attempt looks for itself.
"""

from __future__ import annotations

import hashlib
import json

from common.destinations import FolderDestination, S3Destination, parse_destination
from common.orders import DeliverDone, DeliverOrder
from common.store import ObjectStore


class Arrived:
    """The notes of one item for one destination; they name it by a digest."""

    def __init__(self, order: DeliverOrder, store: ObjectStore) -> None:
        self._order, self._store = order, store
        self._mark = hashlib.sha256(order.destination.encode()).hexdigest()[:16]
        self._noted = not isinstance(parse_destination(order.destination), FolderDestination | S3Destination)

    def known(self, part: DeliverOrder) -> DeliverDone | None:
        """How an earlier attempt brought this part; None: not known, or other bytes."""
        key = self._key(part)
        if not self._noted or self._store.size(key) is None:
            return None
        note = json.loads(self._store.get(key))
        if note["digest"] != part.instance_digest:
            return None
        return DeliverDone(location=part.sop_instance_uid, proof=note["proof"], warning=note.get("warning", ""))

    def note(self, part: DeliverOrder, done: DeliverDone) -> None:
        """The destination has confirmed this part."""
        if self._noted:
            note = {"digest": part.instance_digest, "proof": done.proof, "warning": done.warning}
            self._store.put(self._key(part), json.dumps(note).encode())

    def forget(self) -> None:
        """All have arrived: what is sent from now on is a new delivery."""
        if self._noted:
            for part in self._order.each:
                self._store.delete(self._key(part))

    def _key(self, part: DeliverOrder) -> str:
        return f"{part.instance_key}.{self._mark}.arrived"
