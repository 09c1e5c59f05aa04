"""Workers and queues over HTTP: who is there, what waits, and a worker that is told to end."""

from __future__ import annotations

from support.web_server import Served

from common.broker_access import open_redis
from common.leases import WorkerInfo, advertise, is_held
from common.recipes import ARCHIVE
from common.stages import State
from orchestrator.jobs import JobRequest, submit
from orchestrator.ledger.schema import Item


def test_workers_and_queues_are_shown_with_what_waits(served: Served) -> None:
    redis = open_redis(served.farm.settings)
    advertise(redis, WorkerInfo(name="cpu@a", queues=("cpu",), slots=4, running=1), ttl_seconds=60)
    job = submit(served.farm.ledger, JobRequest(("/archive",), ("/results",), ARCHIVE))
    with served.farm.ledger.begin() as session:
        for number in (1, 2):
            item = Item(
                id=f"i{number}", job_id=job, number=number, source=f"/{number}", name="", size_bytes=1, mtime_ns=0
            )
            item.plan = {"queue": "cpu", "estimated_seconds": 30.5, "path": "encode", "reason": ""}
            item.state = State.PLANNED
            session.add(item)
    assert [(one["worker"], one["slots"], one["state"]) for one in served.client.get("/api/v1/workers").json()] == [
        ("cpu@a", 4, "ready")
    ]
    queues = {queue["queue"]: queue for queue in served.client.get("/api/v1/queues").json()}
    assert sorted(queues) == ["cpu", "deliver", "describe"]
    assert (queues["cpu"]["waiting"], queues["cpu"]["backlog_seconds"], queues["cpu"]["slots"]) == (2, 61.0, 4)
    served.client.post(f"/api/v1/jobs/{job}/pause")
    assert served.client.get("/api/v1/queues").json()[0]["waiting"] == 0


def test_a_worker_is_drained_and_recalled(served: Served) -> None:
    redis = open_redis(served.farm.settings)
    advertise(redis, WorkerInfo(name="cpu@a", queues=("cpu",), slots=4), ttl_seconds=60)
    assert served.client.post("/api/v1/workers/cpu@a/drain", json={"reason": "new disk"}).status_code == 202
    assert is_held(redis, "cpu@a")
    assert served.client.post("/api/v1/workers/cpu@a/recall").status_code == 202
    assert not is_held(redis, "cpu@a")
    assert served.client.post("/api/v1/workers/gone/drain").status_code == 404
