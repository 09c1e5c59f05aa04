"""What a job's report says as a whole, read from the ledger by sums and streams: causes, reconciliation, quality, decisions."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from common.recipes import Profile
from common.stages import State
from orchestrator.ledger.decisions import decisions
from orchestrator.ledger.schema import Decision, Delivery, Item, Job
from orchestrator.reports.model import items
from orchestrator.reports.standing import in_words, nearest, title_of
from orchestrator.reports.values import PROBLEMS, ItemReport

BATCH = 2000
WORST_KEPT = 100
"""Done items that are remembered as the ones nearest to their gate."""

SHOWN = 50
"""Rows of a table in the page; the files beside it hold all."""

_BINS = {"psnr": 0.05, "ssim": 0.0002, "ms_ssim": 0.0002, "vmaf": 0.05, "cambi": 0.02}
"""Width of the steps in which figures of items are counted: memory does not grow with their number."""


@dataclass
class Distribution:
    """One pooled figure over many items, counted in small steps."""

    metric: str
    statistic: str
    counts: Counter[int] = field(default_factory=Counter)
    least: float = float("inf")
    most: float = float("-inf")

    @cached_property
    def step(self) -> float:
        """Width of a step."""
        return next((width for name, width in _BINS.items() if self.metric.startswith(name)), 0.01)

    def add(self, value: float) -> None:
        """Count one item."""
        self.counts[round(value / self.step)] += 1
        self.least, self.most = min(self.least, value), max(self.most, value)

    @property
    def items(self) -> int:
        """How many were counted."""
        return self.counts.total()

    def quantile(self, share: float) -> float:
        """The figure that this share of the items does not reach or just reaches, to half a step."""
        wanted, seen = share * self.items, 0
        for number in sorted(self.counts):
            seen += self.counts[number]
            if seen >= wanted:
                return min(max(number * self.step, self.least), self.most)
        return float("nan")

    def spread(self, most: int = 4000) -> list[float]:
        """The items' figures for a histogram: thinned evenly where there are many, each step that has one kept."""
        thin = max(1, self.items // most)
        return [number * self.step for number, count in sorted(self.counts.items()) for _ in range(-(-count // thin))]


@dataclass
class Quality:
    """The measured items of a job."""

    figures: dict[tuple[str, str], Distribution] = field(default_factory=dict)
    numbers: Counter[int] = field(default_factory=Counter)  # quality numbers of encodes
    passed: int = 0
    missed: int = 0
    accepted: int = 0  # missed, and let out by a person
    nearest: list[tuple[float, int]] = field(default_factory=list)  # minus slack, item's number

    @property
    def median_number(self) -> int | None:
        """The quality number in the middle."""
        wanted, seen = self.numbers.total() / 2, 0
        for number in sorted(self.numbers):
            seen += self.numbers[number]
            if seen >= wanted:
                return number
        return None

    @property
    def worst_numbers(self) -> list[int]:
        """Done items, the nearest to their gate first."""
        return [number for _, number in sorted(self.nearest, reverse=True)]

    def add_item(self, item: ItemReport) -> None:
        """Count one item."""
        if item.scores:
            self.passed += bool(item.passed)
            self.missed += not item.passed
            self.accepted += bool(not item.passed and item.plan and item.plan.waiver)
        for metric, pooled in item.scores.items():
            for statistic, value in (("mean", pooled.mean), ("p1", pooled.p1), ("worst_second", pooled.worst_second)):
                if value is not None:
                    key = metric, statistic
                    if key not in self.figures:
                        self.figures[key] = Distribution(metric, statistic)
                    self.figures[key].add(value)
        if item.quality_number is not None:
            self.numbers[item.quality_number] += 1
        gate = item.plan.gate if item.plan else None
        found = nearest(item.scores, gate) if item.scores and item.state not in PROBLEMS else None
        if found is not None:
            heapq.heappush(self.nearest, (-found[0], item.number))
            if len(self.nearest) > WORST_KEPT:
                heapq.heappop(self.nearest)


def quality(session: Session, job_id: str) -> Quality:
    """Count every item of a job; memory is that of one batch."""
    found = Quality()
    for item in items(session, job_id):
        found.add_item(item)
    return found


@dataclass(frozen=True)
class Cause:
    """Items that were set aside, skipped or cancelled for one reason."""

    state: State
    cause: str
    items: int
    example: str  # one of the reasons


def causes(session: Session, job_id: str) -> list[Cause]:
    """Why items did not become done, the most frequent first."""
    aside = (State.FAILED, State.QUARANTINED, State.CANCELLED, State.SKIPPED)
    statement = (
        select(Item.state, func.coalesce(Item.cause, ""), func.count(), func.min(Item.reason))
        .where(Item.job_id == job_id, Item.state.in_(aside))
        .group_by(Item.state, Item.cause)
    )
    rows = [Cause(*row) for row in session.execute(statement)]
    order = [State.FAILED, State.QUARANTINED, State.CANCELLED, State.SKIPPED]
    return sorted(rows, key=lambda row: (order.index(row.state), -row.items))


@dataclass(frozen=True)
class Reconciled:
    """Instances on their way to one destination; of one study, or of all (``study`` is None)."""

    destination: str
    study: str | None
    expected: int
    committed: int
    delivered: int  # arrived, and proof is waited for
    failed: int
    pending: int

    @property
    def agrees(self) -> bool:
        """Everything that was made for it is proven to be there."""
        return self.expected == self.committed


def reconciliation(session: Session, job_id: str) -> list[Reconciled]:
    """What each destination was to get and what it has, by the ledger (``cinefarm verify`` asks the destination itself)."""
    statement = select(Delivery.destination, *_counts()).where(Delivery.job_id == job_id)
    rows = session.execute(statement.group_by(Delivery.destination).order_by(Delivery.destination))
    return [Reconciled(row[0], None, *map(int, row[1:])) for row in rows]


def studies(session: Session, job_id: str, *, open_only: bool = False) -> Iterator[Reconciled]:
    """The same for each study and destination; ``open_only``: those that do not agree."""
    counts = _counts()
    statement = (
        select(Delivery.destination, Item.study_uid, *counts)
        .join(Item, Item.id == Delivery.item_id)
        .where(Delivery.job_id == job_id)
        .group_by(Item.study_uid, Delivery.destination)
        .order_by(Item.study_uid, Delivery.destination)
    )
    if open_only:
        statement = statement.having(counts[0] != counts[1])
    for row in session.execute(statement.execution_options(yield_per=BATCH)):
        yield Reconciled(row[0], row[1] or "", *map(int, row[2:]))


def _counts() -> list[Any]:
    def of(*states: str) -> Any:
        return func.sum(case((Delivery.state.in_(states), 1), else_=0))

    return [func.count(), of("committed"), of("delivered"), of("failed"), of("pending", "out")]


@dataclass(frozen=True)
class AskedFor:
    """What a person wanted."""

    name: str
    purpose: str
    profile: str
    thresholds: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]  # title and words of what was chosen


def asked_for(session: Session, job_id: str) -> AskedFor:
    """What a person wanted, as the ledger keeps it. Raises: sqlalchemy.exc.NoResultFound."""
    job = session.get_one(Job, job_id)
    profile = Profile.model_validate(job.profile)
    gate = profile.gate
    facts = [
        ("Sound", "kept, made legal" if job.audio == "keep" else "dropped"),
        ("Priority", str(job.priority)),
        ("When", job.window or "at any time"),
        ("Patient data", _patient_data(session, job)),
        ("Rules for identifiers", f"SHA-256 {_named(job.identifiers_key)}" if job.identifiers_key else "none"),
        ("Listing", job.listing + (f": {job.problem}" if job.problem else "")),
    ]
    handling = {name: value for name, value in profile.handling.model_dump(mode="json").items() if value}
    facts.append(("Handling", ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in handling.items())))
    return AskedFor(
        name=job.name,
        purpose=profile.purpose,
        profile=profile.name,
        thresholds=tuple(
            f"{title_of(metric)}: {', '.join(in_words(each) for each in gate.thresholds if each.metric == metric)}"
            for metric in dict.fromkeys(each.metric for each in gate.thresholds)
        ),
        facts=tuple(fact for fact in facts if fact[1]),
    )


def _patient_data(session: Session, job: Job) -> str:
    supplied = select(func.count()).where(Item.job_id == job.id, Item.header_key.is_not(None))
    count = session.execute(supplied).scalar_one()
    by = "a mapping CSV and a modality worklist" if job.worklist else "a mapping CSV"
    return (
        f"of {count} plain videos from {by}; else as it stands in the sources"
        if count
        else "as it stands in the sources"
    )


def _named(key: str) -> str:
    return key.rsplit("/", 1)[-1].split(".", maxsplit=1)[0]


def first_decisions(session: Session, job_id: str, most: int = SHOWN) -> tuple[list[Decision], bool]:
    """The first decisions on a job, and whether there are more."""
    found = list(islice(decisions(session, job_id), most + 1))
    return found[:most], len(found) > most
