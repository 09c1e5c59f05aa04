"""An item that becomes several instances is still one item: delivered once, cleaned up whole, made again when a part is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.core import Farm, made

from common.errors import StoreFault, Uncuttable
from common.media import Description, Scan
from common.orders import DeliverDone, DescribeDone, Failure, InstancePart, Path, Plan, TranscodeDone
from common.stages import State
from orchestrator.acceptance import Acceptance
from orchestrator.ledger.schema import Destination, Item, Job
from orchestrator.reconciler import delete_orphans, reopen_vanished
from orchestrator.reports.jsonlines import item_line
from orchestrator.reports.model import items

PREFIX = "results/aa/{digest}/work"


@pytest.fixture
def parts(farm: Farm, description: Description) -> TranscodeDone:
    """Three parts in the store."""
    prefix = PREFIX.format(digest=description.digest)
    keys = [f"{prefix}/instance-{number}.dcm" for number in (1, 2, 3)]
    for key in keys:
        farm.store.put(key, b"part")
    farm.store.put(f"{prefix}/evidence.json", b"{}")
    each = tuple(
        InstancePart(
            instance_key=key,
            instance_digest=key[-5],
            instance_bytes=4,
            sop_instance_uid=f"2.25.{number}",
            first_frame=10 * number,
            frames=10,
        )
        for number, key in enumerate(keys)
    )
    update = {"instance_key": keys[0], "instance_bytes": 12, "sop_instance_uid": "2.25.0", "parts": each}
    return made().model_copy(update=update)


def delivering(farm: Farm, description: Description, parts: TranscodeDone) -> Any:
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], DescribeDone(description=description))
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], parts)
    farm.dispatch()
    return farm.broker.sent[-1]


def test_one_delivery_carries_all_parts_and_then_the_store_keeps_the_evidence_only(
    farm: Farm, add_item: Callable[..., str], description: Description, parts: TranscodeDone
) -> None:
    item = add_item()
    order = delivering(farm, description, parts)
    assert order.kind == "deliver"
    assert [each.sop_instance_uid for each in order.each] == ["2.25.0", "2.25.1", "2.25.2"]
    assert [each.instance_key for each in order.each] == [part.instance_key for part in parts.parts]
    farm.answer(order, DeliverDone(location="a\nb\nc", proof="sha256"))
    assert farm.item(item).state is State.DONE
    assert [key.rpartition("/")[2] for key in farm.store.keys("results/")] == ["evidence.json"]


def test_an_item_whose_second_part_the_store_lost_is_made_again(
    farm: Farm, add_item: Callable[..., str], description: Description, parts: TranscodeDone
) -> None:
    item = add_item()
    order = delivering(farm, description, parts)
    farm.store.delete(parts.parts[1].instance_key)
    farm.answer(order, failure=Failure.of(StoreFault("no such object")))
    assert farm.item(item).state is State.PLANNED


def test_a_part_that_vanished_while_it_waited_reopens_its_item(
    farm: Farm, add_item: Callable[..., str], description: Description, parts: TranscodeDone
) -> None:
    item = add_item()
    delivering(farm, description, parts)
    assert reopen_vanished(farm.ledger, farm.store, "job") == 0
    farm.store.delete(parts.parts[2].instance_key)
    assert reopen_vanished(farm.ledger, farm.store, "job") == 1
    assert farm.item(item).state is State.PLANNED


def test_parts_of_an_item_that_nobody_wants_are_orphans_and_evidence_is_not(
    farm: Farm, add_item: Callable[..., str], description: Description, parts: TranscodeDone
) -> None:
    item = add_item()
    delivering(farm, description, parts)
    farm.store.put(f"{parts.parts[0].instance_key}.0123456789abcdef.arrived", b"{}")
    assert delete_orphans(farm.ledger, farm.store) == 0
    with farm.ledger.begin() as session:
        session.get_one(Item, item).state = State.CANCELLED
    assert delete_orphans(farm.ledger, farm.store) == 4
    assert [key.rpartition("/")[2] for key in farm.store.keys("results/")] == ["evidence.json"]


def test_a_report_names_every_instance_and_sums_their_bytes(
    farm: Farm, add_item: Callable[..., str], description: Description, parts: TranscodeDone
) -> None:
    add_item()
    delivering(farm, description, parts)
    with farm.ledger() as session:
        (said,) = (json.loads(item_line(one)) for one in items(session, "job"))
    assert said["bytes_after"] == 12
    assert [one["sop_instance_uid"] for one in said["instances"]] == ["2.25.0", "2.25.1", "2.25.2"]
    assert [one["first_frame"] for one in said["instances"]] == [0, 10, 20]


def legal(description: Description) -> Description:
    """H.264 that is legal for .102 as it is."""
    changes = {"codec": "h264", "profile": "High", "level": "4.1", "chroma": "4:2:0", "scan": Scan.PROGRESSIVE}
    return description.model_copy(
        update={"container": "mp4", "moov_first": True, "video": description.video.model_copy(update=changes)}
    )


def test_a_bitstream_that_cannot_be_cut_is_encoded_and_that_is_said(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    source = legal(description)
    with farm.ledger.begin() as session:
        (place,) = session.get_one(Job, "job").destinations
        accepts = Acceptance(destination=place, max_bytes=source.size_bytes // 3)
        session.add(Destination(uri=place, accepts=accepts.model_dump(mode="json")))
    item = add_item()
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], DescribeDone(description=source))
    assert Plan.model_validate(farm.item(item).plan).path is Path.REWRAP
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], failure=Failure.of(Uncuttable("all its groups are open")))
    anew = Plan.model_validate(farm.item(item).plan)
    assert (farm.item(item).state, anew.path) == (State.PLANNED, Path.ENCODE)
    assert anew.forced_by[-1].rule == "source.borders"
    assert "all its groups are open" in anew.reason
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], failure=Failure.of(Uncuttable("nor can this")))
    assert farm.item(item).state is State.FAILED
