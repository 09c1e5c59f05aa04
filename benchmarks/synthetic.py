"""Made-up jobs and answers for the benchmarks of the orchestrator: no video, no patient, real ledger, real broker."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from uuid import uuid4

from redis.exceptions import RedisError
from sqlalchemy import insert

from common.leases import connect
from common.media import Description, Kind, VideoStream
from common.orders import DeliverDone, DeliverOrder, DescribeDone, DescribeOrder, TranscodeDone, TranscodeOrder
from common.recipes import ARCHIVE
from common.stages import State
from orchestrator.embedded import server_program
from orchestrator.jobs import JobRequest, submit
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Item, now

Order = DescribeOrder | TranscodeOrder | DeliverOrder
Done = DescribeDone | TranscodeDone | DeliverDone
INSERT_BATCH = 1000
_CAPTURE = VideoStream(
    codec="mpeg2video",
    profile="Main",
    width=720,
    height=576,
    pixel_format="yuv420p",
    frame_rate=Fraction(25),
    frame_count=250,
    duration_ms=10_000,
)


def answer(order: Order) -> Done:
    """What a worker would say when all goes well. Every item has bytes of its own, and all of them must be encoded."""
    if isinstance(order, DescribeOrder):
        digest = order.item_id * 2
        return DescribeDone(
            description=Description(
                kind=Kind.VIDEO, digest=digest, size_bytes=1_000_000, container="mpegps", video=_CAPTURE
            )
        )
    if isinstance(order, TranscodeOrder):
        return TranscodeDone(
            instance_key=f"{order.output_prefix}/instance.dcm",
            instance_digest=order.item_id * 2,
            instance_bytes=500_000,
            study_uid="1.2.3",
            series_uid="1.2.4",
            sop_instance_uid=order.sop_instance_uid,
            sop_class_uid=order.plan.sop_class_uid,
            transfer_syntax_uid=order.plan.transfer_syntax_uid,
        )
    return DeliverDone(location=order.sop_instance_uid, proof="sha256")


def seed(ledger: Sessions, count: int, source: Path) -> str:
    """A job with ``count`` found items, none of which is ever opened; returns its id."""
    job_id = submit(ledger, JobRequest((str(source),), (str(source / "out"),), ARCHIVE))
    for start in range(0, count, INSERT_BATCH):
        with ledger.begin() as session:
            session.execute(
                insert(Item), [row(job_id, n, source) for n in range(start, min(count, start + INSERT_BATCH))]
            )
    return job_id


def row(job_id: str, number: int, source: Path) -> dict[str, object]:
    """One found item as the ledger holds it."""
    name = f"room{number // 1000:04}/case{number % 1000:03}.mpg"
    return {
        "id": uuid4().hex,
        "job_id": job_id,
        "number": number + 1,
        "source": str(source / name),
        "name": name,
        "size_bytes": 1_000_000,
        "mtime_ns": number,
        "state": State.FOUND,
        "reason": "",
        "attempts": 0,
        "not_before": now(),
        "header_key": "headers/synthetic.json",
        "work_seconds": 0.0,
    }


@contextmanager
def broker_server() -> Iterator[str]:
    """The broker URL of the embedded farm's server, alive as long as the block."""
    with tempfile.TemporaryDirectory(prefix="cf-") as folder:
        socket = Path(folder) / "s"
        argv = [str(server_program()), "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder]
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        try:
            url = f"redis+socket://{socket}?virtual_host=0"
            while not _answers(url):
                time.sleep(0.02)
            yield url
        finally:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return bool(connect(url).ping())
    except (RedisError, OSError):
        return False
