"""From a message to an order: understood whole, or handed back for a worker of a newer release. Nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from common import logs
from common.errors import InternalFault
from common.leases import Claim
from common.orders import ORDERS, AnyOrder, Failure, WorkResult
from common.versions import is_readable
from workers.attempt import Keeper

log = logs.logger(__name__)

UNKNOWN = frozenset({"extra_forbidden", "union_tag_invalid", "literal_error", "enum"})
"""Errors of pydantic that a field, a kind or a word of a newer release makes."""


def understood(values: Mapping[str, Any], keeper: Keeper) -> AnyOrder | None:
    """The order of a message; None: it was handed back, and nobody is to blame, or it makes no sense and has failed."""
    try:
        if is_readable(values):
            return ORDERS.validate_python(values)
        errors = {"version"}
    except ValidationError as error:
        errors = {each["type"] for each in error.errors(include_input=False)}
    order_id = str(values.get("order_id", ""))
    if keeper.leases.take(order_id, keeper.worker) is not Claim.TAKEN:
        return None
    if errors <= UNKNOWN | {"version"}:
        log.warning("order_handed_back", order=order_id, reason="it is of a newer release", errors=sorted(errors))
        keeper.leases.hand_back(order_id)
        return None
    log.error("order_unreadable", order=order_id, errors=sorted(errors))
    fault = InternalFault("an order came whose words make no sense to its worker")
    keeper.answer(
        WorkResult(
            order_id=order_id,
            item_id=str(values.get("item_id", "")),
            attempt=int(values.get("attempt", 1)),
            worker=keeper.worker,
            seconds=0.0,
            failure=Failure.of(fault),
        )
    )
    return None
