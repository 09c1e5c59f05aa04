"""Many items cost the ledger as many questions as a few: what is asked for each item makes a large job slow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from support.core import Farm, made

from common.media import Description
from common.orders import DeliverDone, DescribeDone, Done, WorkResult
from common.stages import State

FEW, MANY = 3, 30


def test_a_batch_asks_the_ledger_as_often_for_many_items_as_for_few(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    farm.broker.offered = dict.fromkeys(("describe", "cpu", "deliver"), MANY)
    asked: list[list[int]] = []
    for count in (FEW, FEW, MANY):  # the first fills caches
        items = [add_item() for _ in range(count)]
        described = [description.model_copy(update={"digest": item.rjust(64, "0")}) for item in items]
        steps: tuple[Callable[[int], Done], ...] = (
            lambda number, each=described: DescribeDone(description=each[number]),  # type: ignore[misc]
            lambda _: made(),
            lambda _: DeliverDone(location="a", proof="sha256"),
        )
        asked.append([questions for answer in steps for questions in _one_step(farm, answer)])
        assert {farm.item(item).state for item in items} == {State.DONE}
    # rows that change in different columns are updated by different statements: a few more may come of more rows
    assert [many for few, many in zip(asked[1], asked[2], strict=True) if many > few + 2] == []


def _one_step(farm: Farm, answer: Callable[[int], Done]) -> tuple[int, int]:
    """Questions of a dispatch, and of recording all its answers."""
    sent = len(farm.broker.sent)
    orders: list[Any] = []

    def dispatch() -> None:
        farm.dispatch()
        orders.extend(farm.broker.sent[sent:])

    def record() -> None:
        farm.recorder.record_all(
            [
                WorkResult(
                    order_id=order.order_id,
                    item_id=order.item_id,
                    attempt=order.attempt,
                    worker="w",
                    seconds=1.0,
                    done=answer(number),
                )
                for number, order in enumerate(orders)
            ]
        )

    return _questions(farm, dispatch), _questions(farm, record)


def _questions(farm: Farm, act: Callable[[], None]) -> int:
    """How often it asks or changes; new rows go in one by one on SQLite, which tells their numbers only so."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        if not text.startswith("INSERT"):
            asked.append(text)

    engine = farm.ledger.kw["bind"]
    event.listen(engine, "before_cursor_execute", note)
    try:
        act()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return len(asked)
