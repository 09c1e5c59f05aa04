"""The composition root of a worker: the only place that chooses real parts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from common.errors import InternalFault
from common.leases import Leases, connect
from common.orders import DeliverOrder, DescribeDone, DescribeOrder, TranscodeOrder
from common.settings import Settings
from common.store import ObjectStore
from common.store.open import open_store
from workers.attempt import Attempt, Done, Order


class Worker:
    """The parts of one worker process. Connections are made on first use, so after the pool has forked."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def store(self) -> ObjectStore:
        """Where bytes are read from and written to."""
        return open_store(self.settings.store_url or str(self.settings.objects_dir))

    @cached_property
    def leases(self) -> Leases:
        """Leases in the broker's Redis."""
        return Leases(connect(self.settings.broker_url), ttl_seconds=self.settings.lease_seconds)

    def work(self, order: Order, attempt: Attempt) -> Done:
        """Do what an order says."""
        if isinstance(order, DescribeOrder):
            return self._describe(order)
        if isinstance(order, TranscodeOrder):
            from workers.transcode import transcode

            with self.scratch(order.order_id) as scratch:
                return transcode(order, self.store, scratch, self.settings, attempt)
        if isinstance(order, DeliverOrder):
            from workers.deliver import deliver

            return deliver(order, self.store, self.settings)
        raise InternalFault(f"no work is known for {type(order).__name__}")

    def _describe(self, order: DescribeOrder) -> DescribeDone:
        from workers.describe import describe_sandboxed

        path = self.store.local_path(order.source_key)
        if path is None:
            raise InternalFault("this store cannot show its objects as local files")
        return DescribeDone(description=describe_sandboxed(path, order.name_hint, self.settings))

    @contextmanager
    def scratch(self, order_id: str) -> Iterator[Path]:
        """A folder for temporary files, gone when the order ends."""
        folder = self.settings.scratch / order_id
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
