"""Both ledgers: how fast this farm was, and how large its results; medians of real encodes, nothing where there are too few."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest

from common.media import Description
from common.recipes import ARCHIVE
from common.stages import State
from orchestrator.forecast import Prospect
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Attempt, now
from orchestrator.measured import by_experience, measured
from orchestrator.planner import plan

SAMPLES = 640 * 480 * 50


@pytest.fixture
def encoded(ledger: Sessions, add_item: Callable[..., str], description: Description) -> Callable[..., None]:
    """Writes an item with an ended transcode of so many seconds and result bytes."""
    made = plan(description, ARCHIVE, modality="ES")

    def write(seconds: float, size: int, state: str = "done") -> None:
        documents = {"plan": made.model_dump(mode="json"), "description": description.model_dump(mode="json")}
        item = add_item(state=State.DONE, result={"instance_bytes": size}, **documents)
        with ledger.begin() as session:
            session.add(
                Attempt(
                    order_id=uuid4().hex, item_id=item, kind="transcode", queue="cpu", number=1, state=state,
                    seconds=seconds, ended_at=now(), order={},
                )
            )  # fmt: skip

    return write


def test_medians_of_ended_encodes_stand_for_their_encoder(
    ledger: Sessions, encoded: Callable[..., None], description: Description
) -> None:
    for seconds in (2.0, 4.0, 100.0):
        encoded(seconds, 76_800)
    encoded(0.01, 76_800)  # found made by an earlier attempt
    encoded(50.0, 76_800, "failed")
    with ledger() as session:
        speeds = measured(session)
    recipe = ARCHIVE.ladder[0]
    assert speeds.speed == {(recipe.encoder, recipe.preset): SAMPLES / 4}
    assert speeds.bits == {(recipe.encoder, recipe.preset, recipe.crf): pytest.approx(8 * 76_800 / SAMPLES)}
    assert speeds.orders == 3
    guessed = plan(description, ARCHIVE, modality="ES")
    item = Prospect(1, "clip", 1000, State.PLANNED, "", guessed, description)
    known = by_experience(item, speeds).plan
    assert known is not None
    assert (known.estimated_seconds, known.estimated_bytes) == (4.0, 76_800)


def test_two_encodes_say_nothing(ledger: Sessions, encoded: Callable[..., None], add_item: Callable[..., str]) -> None:
    add_item()
    for _ in range(2):
        encoded(2.0, 1000)
    with ledger() as session:
        speeds = measured(session)
    assert not speeds.speed
    assert not speeds.bits
