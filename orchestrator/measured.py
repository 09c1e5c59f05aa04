"""How fast this farm has been, and how large its results were: from the orders that its ledger holds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from math import ceil
from statistics import median

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.media import Description
from common.orders import Path, Plan
from orchestrator.capacity import Speeds
from orchestrator.estimates import luma_samples
from orchestrator.forecast import Prospect
from orchestrator.ledger.schema import Attempt, Item

NEWEST = 1000
"""Orders that are looked at: what the farm does now, not what it once did; and a page of memory, whatever the ledger's size."""

LEAST_ORDERS, LEAST_SECONDS = 3, 1.0
"""Fewer orders say nothing, nor do such as ended at once: their result was found made."""


def measured(session: Session) -> Speeds:
    """Medians over the newest encodes: luma samples per second of an order, and bits of the instance a luma sample."""
    chosen = (
        select(Attempt.seconds, Item.plan, Item.description, Item.result)
        .join(Item, Item.id == Attempt.item_id)
        .where(Attempt.kind == "transcode", Attempt.state == "done", Attempt.seconds >= LEAST_SECONDS)
        .order_by(Attempt.ended_at.desc())
        .limit(NEWEST)
    )
    speed: dict[tuple[str, str], list[float]] = defaultdict(list)
    bits: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    for seconds, planned, described, result in session.execute(chosen):
        plan = Plan.model_validate(planned) if planned and described else None
        if plan is None or plan.path is not Path.ENCODE or plan.recipe is None:
            continue
        samples, recipe = luma_samples(Description.model_validate(described).video), plan.recipe
        speed[recipe.encoder, recipe.preset].append(samples / seconds)
        if result and result.get("instance_bytes"):
            bits[recipe.encoder, recipe.preset, recipe.crf].append(8 * result["instance_bytes"] / samples)
    return Speeds(
        {each: median(values) for each, values in speed.items() if len(values) >= LEAST_ORDERS},
        {each: median(values) for each, values in bits.items() if len(values) >= LEAST_ORDERS},
        sum(map(len, speed.values())),
    )


def by_experience(item: Prospect, speeds: Speeds) -> Prospect:
    """A planned encode with this farm's own speed and size, where there are such; all else as it was."""
    made = item.plan
    if made is None or made.path is not Path.ENCODE or made.recipe is None or item.description is None:
        return item
    samples, recipe = luma_samples(item.description.video), made.recipe
    speed = speeds.speed.get((recipe.encoder, recipe.preset))
    bits = speeds.bits.get((recipe.encoder, recipe.preset, recipe.crf))
    seconds = samples / speed if speed else made.estimated_seconds
    size = ceil(samples * bits / 8) if bits else made.estimated_bytes
    return replace(item, plan=made.model_copy(update={"estimated_seconds": seconds, "estimated_bytes": size}))
