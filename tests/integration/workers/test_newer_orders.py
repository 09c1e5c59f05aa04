"""A worker that gets what it cannot understand whole: handed back and nobody blamed, or failed with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.nodes import Plant, running_plant, wait

from common.farm import Message, publish
from common.leases import Lease
from common.versions import WIRE_VERSION, for_wire


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with running_plant(tmp_path) as plant:
        yield plant


def send(plant: Plant, values: dict[str, Any]) -> None:
    message = Message("cinefarm.transcode", {"order": values}, "cpu", values["order_id"])
    publish(plant.broker._app, [message])


def lease(plant: Plant, order_id: str) -> Lease:
    found: Lease = wait(lambda: plant.leases.look([order_id]).get(order_id), "an answer")
    return found


def test_a_worker_hands_back_what_a_newer_release_wrote_and_goes_on(plant: Plant) -> None:
    plant.start()
    known = plant.order("o", plant.tape(seconds=0.5, size="176x144"))
    ours = for_wire(known)
    send(plant, ours | {"order_id": "newer", "version": WIRE_VERSION + 1, "polish": True})
    send(plant, ours | {"order_id": "field", "plan": ours["plan"] | {"polish": True}})
    send(plant, ours | {"order_id": "kind", "kind": "polish"})
    for order_id in ("newer", "field", "kind"):
        assert wait(lambda order_id=order_id: lease(plant, order_id).returned, order_id)  # type: ignore[misc]
    send(plant, ours | {"order_id": "senseless", "attempt": 0})
    assert plant.result("senseless").failure.code == "InternalFault"  # type: ignore[union-attr]
    plant.send(known)
    assert plant.result("o").failure is None
    assert {event["order"] for event in plant.events("order_handed_back")} == {"newer", "field", "kind"}


def test_a_worker_says_what_it_reads_and_the_oldest_of_a_queue_decides(plant: Plant) -> None:
    plant.start()
    assert plant.broker.reads("cpu") == WIRE_VERSION
    (info,) = plant.live()
    plant.redis.sadd("workers", "old@host:1")
    plant.redis.set("worker:old@host:1", '{"queues": ["cpu"], "slots": 1}', ex=60)  # as version 1 said it
    assert plant.broker.reads("cpu") == 1
    assert plant.broker.slots() == {"cpu": info.slots + 1}
