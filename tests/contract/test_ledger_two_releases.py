"""Two releases at once: what an older worker cannot read waits in the ledger, and an older orchestrator works on a newer schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Inspector, inspect, select, text
from support.core import Farm, made

from common import versions
from common.errors import PolicyError
from common.media import Description
from common.orders import DescribeDone
from common.stages import State
from orchestrator.ledger.database import MIGRATIONS, Sessions, make_engine, migrate, open_ledger
from orchestrator.ledger.schema import Attempt, Item, now
from orchestrator.readers import AGAIN

FIRST_ROLLING = "0016"
"""The schema of wire version 1: from here on a running older orchestrator must bear each step."""


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if the reason of a plan's path and the hint of a name had come with version 2."""
    monkeypatch.setattr(versions, "LATER", {"Plan": {"reason": 2}, "DeliverOrder": {"study_uid": 2}})
    versions._ways.cache_clear()
    yield
    versions._ways.cache_clear()


def planned(farm: Farm, add_item: Callable[..., str], description: Description) -> str:
    item = add_item()
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], DescribeDone(description=description))
    farm.broker.sent.clear()
    return item


@pytest.mark.usefixtures("later")
def test_an_order_waits_in_the_ledger_while_a_live_worker_is_too_old_for_it(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    item = planned(farm, add_item, description)
    before = farm.item(item)
    farm.broker.oldest = 1
    assert farm.dispatch() == 0
    after = farm.item(item)
    assert (after.state, after.attempts, farm.broker.sent) == (State.PLANNED, before.attempts, [])
    assert now() < after.not_before <= now() + AGAIN
    with farm.ledger.begin() as session:
        assert session.scalars(select(Attempt).where(Attempt.kind == "transcode")).all() == []


@pytest.mark.usefixtures("later")
def test_what_older_workers_can_read_goes_on_meanwhile(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    planned(farm, add_item, description)
    farm.broker.oldest = 1
    farm.dispatch()
    add_item()
    assert farm.dispatch() == 1
    assert farm.broker.sent[-1].kind == "describe"


@pytest.mark.usefixtures("later")
def test_it_goes_out_when_the_old_worker_has_gone(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    item = planned(farm, add_item, description)
    farm.broker.oldest = 1
    farm.dispatch()
    farm.broker.oldest = 2
    with farm.ledger.begin() as session:
        session.get_one(Item, item).not_before = now()
    assert farm.dispatch() == 1


@pytest.mark.usefixtures("later")
def test_a_delivery_waits_too(farm: Farm, add_item: Callable[..., str], description: Description) -> None:
    item = planned(farm, add_item, description)
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], made())
    farm.broker.sent.clear()
    farm.broker.oldest = 1
    assert (farm.dispatch(), farm.dispatch(), farm.broker.sent) == (0, 0, [])
    assert farm.item(item).state is State.PRODUCED


def set_revision(ledger: Sessions, revision: str) -> None:
    with ledger.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :found"), {"found": revision})


def test_an_older_orchestrator_starts_on_a_newer_ledger_that_lets_it_in(ledger: Sessions, ledger_url: str) -> None:
    set_revision(ledger, "9999")
    again = open_ledger(ledger_url)
    with again() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
        assert session.scalars(select(Item)).all() == []
    again.kw["bind"].dispose()


def test_one_that_the_newer_ledger_has_left_behind_is_refused_and_told_what_to_do(
    ledger: Sessions, ledger_url: str
) -> None:
    set_revision(ledger, "9999")
    with ledger.begin() as session:
        session.execute(text("UPDATE compatibility SET oldest = '9998'"))
    with pytest.raises(PolicyError, match="a newer release has migrated this ledger to 9999") as refused:
        open_ledger(ledger_url)
    assert re.search("restore the backup", refused.value.hint)


def test_migrations_only_add_so_that_an_older_orchestrator_that_runs_goes_on(ledger_url: str) -> None:
    engine, config = make_engine(ledger_url), Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    steps = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]
    before: dict[str, Any] = {}
    for step in steps[steps.index(FIRST_ROLLING) :]:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, step)
            after = shape(inspect(connection))
        for table, columns in before.items():
            assert set(columns) <= set(after[table]), f"{step} takes columns from {table}"
            assert {name: after[table][name] for name in columns} == columns, f"{step} changes columns of {table}"
            needs = {name for name, (_, free, default) in after[table].items() if not (free or default)} - set(columns)
            assert not needs, f"{step}: {needs} of {table} have no default: older code does not fill them"
        before = after
    migrate(engine)
    engine.dispose()


def shape(found: Inspector) -> dict[str, dict[str, tuple[str, bool, bool]]]:
    """Table → column → type, whether it may be empty, whether the server fills it."""
    return {
        table: {
            column["name"]: (str(column["type"]), bool(column["nullable"]), column["default"] is not None)
            for column in found.get_columns(table)
        }
        for table in found.get_table_names()
    }
