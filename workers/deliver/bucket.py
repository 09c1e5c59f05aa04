"""Deliver to a bucket: laid out like a folder, ``<Study UID>/<Series UID>/<SOP UID>.dcm`` with its evidence beside it.

The instance comes last. It appears whole or not at all (multipart), carries its SHA-256 as metadata, and is read back
before it counts as delivered: an ETag is no digest of a multipart or encrypted object. S3 knows no name that only one may
take, so what lies there is looked at before the first byte and again before the last.
"""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

from common.bandwidth import UNPACED, Pace
from common.destinations import S3Destination
from common.errors import DestinationRefused, DestinationUnavailable, StoreFault
from common.orders import DeliverDone, DeliverOrder
from common.settings import Settings
from common.store import ObjectStore
from common.store.s3 import S3Store
from common.store.s3_bucket import Bucket, noted
from common.store.s3_client import Role
from common.store.s3_upload import SHA256
from workers.deliver.folder import instance_place

if TYPE_CHECKING:
    from minio.datatypes import Object

READ_BACK = "sha256 (read back)"
ALREADY = "sha256 (already there)"

DESTINATION = Role("the destination bucket", DestinationUnavailable)

_PIECE_BYTES = 1 << 20  # read and written at once
_WINDOW_BYTES = 4 << 20  # read back at once


def deliver_to_bucket(
    order: DeliverOrder, destination: S3Destination, store: ObjectStore, settings: Settings, pace: Pace = UNPACED
) -> DeliverDone:
    """Bring the instance, its evidence and its scores below the prefix.

    Where our own store is on the same server, that server copies: no bytes pass this machine but those that prove it.

    Raises:
        DestinationUnavailable: the server cannot be used, or gives back other bytes than it was given.
        DestinationRefused: other bytes lie under the name of this instance.
        UnsupportedSource: one of the UIDs is none and so cannot name an object.
        StoreFault: our store cannot give the instance, or gives another one.
        LeaseLost: the attempt was revoked.
    """
    place = instance_place(order).as_posix()
    delivery = _Delivery(order, store, Bucket(destination.bucket, settings, DESTINATION), pace)
    name = f"{destination.prefix}/{place}".removeprefix("/")
    return DeliverDone(location=place, proof=delivery.bring(name))


class _Delivery:
    """One instance on its way."""

    def __init__(self, order: DeliverOrder, store: ObjectStore, bucket: Bucket, pace: Pace) -> None:
        self._order, self._store, self._bucket, self._pace = order, store, bucket, pace

    def bring(self, name: str) -> str:
        """Evidence first, the instance last; returns how it was proven."""
        self._pace.check()
        present = self._bucket.look(name)
        if present is not None:
            self._prove(name, present, trusted=noted(present, SHA256))
            self._bring_evidence(name, missing_only=True)
            return ALREADY
        if self._store.size(self._order.instance_key) is None:
            raise StoreFault("an object of this delivery is no longer in the store")
        self._bucket.forget_uploads(name)
        self._bring_evidence(name, missing_only=False)
        self._bring_instance(name)
        brought = self._bucket.look(name)
        if brought is None:
            raise DestinationUnavailable("the destination bucket does not show what it was given")
        self._prove(name, brought, trusted=None)
        return READ_BACK

    def _bring_instance(self, name: str) -> None:
        order = self._order
        metadata = {SHA256: order.instance_digest}
        if isinstance(self._store, S3Store):  # the settings know one server
            self._same_server(self._store, order.instance_key, name, metadata)
            return
        with self._bucket.writer(name, metadata) as upload:
            with self._store.open(order.instance_key) as reader:
                while data := reader.read(self._pace.piece_bytes(_PIECE_BYTES, 1)):
                    self._pace(len(data))
                    upload.write(data)
            if upload.written != (order.instance_bytes, order.instance_digest):
                raise StoreFault("the instance in the store is not the one that was written")
            if (present := self._bucket.look(name)) is not None:  # another delivery was faster
                self._prove(name, present, trusted=None)

    def _same_server(self, store: S3Store, key: str, name: str, metadata: dict[str, str]) -> None:
        self._pace.check()
        if metadata and store.size(key) != self._order.instance_bytes:
            raise StoreFault("the instance in the store is not the one that was written")
        self._bucket.copy(store.address(key), None, name, metadata)

    def _bring_evidence(self, name: str, *, missing_only: bool) -> None:
        """``…/evidence.json`` of an instance lies at ``<SOP UID>.evidence.json``."""
        for key in self._order.evidence_keys:
            beside = f"{name.removesuffix('.dcm')}.{key.rpartition('/')[2]}"
            if missing_only and self._bucket.look(beside) is not None:
                continue
            self._pace.check()
            if isinstance(self._store, S3Store):
                self._same_server(self._store, key, beside, {})
                continue
            with self._bucket.writer(beside, {}) as upload, self._store.open(key) as reader:
                shutil.copyfileobj(reader, upload, _PIECE_BYTES)

    def _prove(self, name: str, present: Object, *, trusted: str | None) -> None:
        """What lies there is this instance: by the digest that it carries (``trusted``), else by reading it."""
        same = present.size == self._order.instance_bytes
        if same and (trusted or self._digest(name)) == self._order.instance_digest:
            return
        raise DestinationRefused(
            "the destination holds another object under the same SOP Instance UID; it was left as it is",
            hint="Compare the two objects. Move the one at the destination away if this one is to take its place.",
        )

    def _digest(self, name: str) -> str:
        digest = hashlib.sha256()
        with self._bucket.open(name) as reader:
            while data := reader.read(_WINDOW_BYTES):
                self._pace.check()
                digest.update(data)
        return digest.hexdigest()
