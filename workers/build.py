"""The composition root of a worker: the only place that chooses real parts."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from redis import Redis

from common.bandwidth import Pace, SharedBucket
from common.broker_access import open_redis
from common.errors import EnvironmentFault, InternalFault
from common.leases import Leases
from common.orders import (
    AssembleOrder,
    ChunkOrder,
    CommitOrder,
    DeliverOrder,
    DescribeDone,
    DescribeOrder,
    SplitOrder,
    TranscodeOrder,
    VerifyOrder,
)
from common.settings import Settings
from common.store import ObjectStore
from common.store.open import open_store
from workers.attempt import Attempt, Done, Keeper, Order
from workers.local import local_source


class Worker:
    """The parts of one worker process. Connections are made on first use, so after the pool has forked."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def store(self) -> ObjectStore:
        """Where bytes are read from and written to."""
        return open_store(self.settings.store_url or str(self.settings.objects_dir), self.settings)

    @cached_property
    def keeper(self) -> Keeper:
        """Of this process' leases in the broker's Redis, and the way of its results."""
        ttl = self.settings.lease_seconds
        leases = Leases(open_redis(self.settings), ttl_seconds=ttl)
        return Keeper(leases, f"{socket.gethostname()}:{os.getpid()}", ttl_seconds=ttl)

    @cached_property
    def _quick_redis(self) -> Redis:
        """The broker's Redis for questions that must not hold a transfer up: asked once, for a second at most."""
        return open_redis(self.settings, timeout_seconds=1.0, retries=0)

    def work(self, order: Order, attempt: Attempt) -> Done:
        """Do what an order says; a source that lies in an archive is brought first."""
        self._bring(order, attempt)
        if isinstance(order, DescribeOrder):
            return self._describe(order, attempt)
        if isinstance(order, TranscodeOrder):
            from workers.transcode import transcode

            with self.scratch(order.order_id) as scratch:
                return transcode(order, self.store, scratch, self.settings, attempt)
        if isinstance(order, SplitOrder | ChunkOrder | AssembleOrder):
            return self._part(order, attempt)
        if isinstance(order, DeliverOrder):
            from workers.deliver import deliver

            pace = self._pace(order.destination, order.bytes_per_second, order.sharers, attempt)
            return deliver(order, self.store, self.settings, pace)
        if isinstance(order, CommitOrder):
            from workers.prove import commit

            return commit(order, self.settings, attempt.check)
        if isinstance(order, VerifyOrder):
            from workers.prove import verify

            with self.scratch(order.order_id) as scratch:
                return verify(order, self.store, self.settings, scratch, attempt.check)
        raise InternalFault(f"no work is known for {type(order).__name__}")

    def _bring(self, order: Order, attempt: Attempt) -> None:
        worked = order.transcode if isinstance(order, AssembleOrder) else order
        if isinstance(worked, DeliverOrder | CommitOrder | VerifyOrder) or worked.retrieval is None:
            return
        from workers.retrieve.bring import bring

        place, described = worked.retrieval, None if isinstance(worked, DescribeOrder) else worked.description
        bring(
            place,
            worked.source_key,
            self.store,
            self.settings,
            self._pace(place.place, place.bytes_per_second, place.sharers, attempt),
            digest=described.digest if described else None,
        )

    def _part(self, order: SplitOrder | ChunkOrder | AssembleOrder, attempt: Attempt) -> Done:
        """One video on many workers."""
        from workers.assemble import assemble
        from workers.chunks import find_cuts, make_chunk

        with self.scratch(order.order_id) as scratch:
            if isinstance(order, SplitOrder):
                return find_cuts(order, self.store, scratch, self.settings, attempt)
            if isinstance(order, ChunkOrder):
                return make_chunk(order, self.store, scratch, self.settings, attempt)
            return assemble(order, self.store, scratch, self.settings, attempt)

    def _describe(self, order: DescribeOrder, attempt: Attempt) -> DescribeDone:
        from workers.coerce import stored_rules
        from workers.describe import describe_sandboxed

        with (
            self.scratch(order.order_id) as scratch,
            local_source(self.store, order.source_key, scratch, attempt.check) as path,
        ):
            rules = stored_rules(self.store, order.identifiers_key)
            found = describe_sandboxed(path, order.name_hint, self.settings, rules, order.header_patterns)
            return DescribeDone(description=found)

    def _pace(self, place: str, bytes_per_second: int | None, sharers: int, attempt: Attempt) -> Pace:
        """As fast as all workers together may send to a place, or fetch from it."""
        if bytes_per_second is None:
            return Pace(check=attempt.check)
        return Pace(attempt.check, bytes_per_second, SharedBucket(self._quick_redis, place, sharers=sharers))

    @contextmanager
    def scratch(self, order_id: str) -> Iterator[Path]:
        """A folder for temporary files, gone when the order ends.

        Raises:
            EnvironmentFault: its disk is full.
        """
        folder = self.settings.scratch / order_id
        try:
            folder.mkdir(parents=True, exist_ok=True)
            yield folder
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            hint = "Make room on the disk that holds CINEFARM_SCRATCH_DIR."
            raise EnvironmentFault("the scratch disk is full", hint=hint) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
