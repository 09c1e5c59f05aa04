"""A worker that does nothing but answer: it takes orders from the real broker under real leases, and counts them."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from redis.exceptions import RedisError

from common import queues
from common.leases import Claim, Leases, WorkerInfo, advertise, connect
from common.media import Description, Kind, VideoStream
from common.orders import ORDERS, DeliverDone, DescribeDone, Done, TranscodeDone, Verdict, WorkResult
from common.settings import Settings
from common.store import ObjectStore

VIDEO = VideoStream(
    codec="mpeg4", width=640, height=480, pixel_format="yuv420p", frame_rate="25", frame_count=50, duration_ms=2000
)


@dataclass
class ToyWorker:
    """Use it as a ``with`` block; ``taken`` counts how often each (kind, item) was really begun."""

    settings: Settings
    store: ObjectStore
    slots: int = 4
    taken: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._redis = connect(self.settings.broker_url)
        self._leases = Leases(self._redis, ttl_seconds=self.settings.lease_seconds)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                advertise(self._redis, WorkerInfo("toy", queues.WORK_QUEUES, self.slots), ttl_seconds=5)
                found = self._redis.brpop(list(queues.WORK_QUEUES), timeout=1)
                if found:
                    self._perform(json.loads(found[1])["body"])
            except (RedisError, OSError):
                self._stop.wait(0.1)

    def _perform(self, body: str) -> None:
        order = ORDERS.validate_python(json.loads(base64.b64decode(body))[1]["order"])
        if self._leases.take(order.order_id, "toy") is not Claim.TAKEN:
            return
        self.taken[order.kind, order.item_id] += 1
        result = WorkResult(
            order_id=order.order_id,
            item_id=order.item_id,
            attempt=order.attempt,
            worker="toy",
            seconds=0.0,
            done=self._done(order.kind, order.item_id),
        )
        self._leases.answer(order.order_id, result.model_dump_json(exclude_none=True))

    def _done(self, kind: str, item_id: str) -> Done:
        digest = hashlib.sha256(item_id.encode()).hexdigest()
        if kind == "describe":
            described = Description(kind=Kind.VIDEO, digest=digest, size_bytes=1, container="avi", video=VIDEO)
            return DescribeDone(description=described)
        if kind == "deliver":
            return DeliverDone(location=item_id, proof="sha256")
        key = f"results/{digest[:2]}/{digest}/toy/instance.dcm"
        self.store.put(key, b"x")
        return TranscodeDone(
            instance_key=key,
            instance_digest="d",
            instance_bytes=1,
            study_uid="1.2",
            series_uid="1.3",
            sop_instance_uid="1.4",
            sop_class_uid="1.5",
            transfer_syntax_uid="1.6",
            verdict=Verdict(passed=True),
        )
