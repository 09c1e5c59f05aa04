"""What reports show: frozen values, read from the ledger by ``model``. Sizes in bytes, times in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from common.orders import Failure, Finding, InstancePart, Path, Plan, Pooled
from common.stages import State

PROBLEMS = frozenset({State.FAILED, State.QUARANTINED, State.CANCELLED})
"""The ends that a person has to act on."""

_EVIDENCE_STEP = (
    "Look at the worst frames named in its evidence ({evidence}). If the source itself is poor, "
    "a profile with lower thresholds may be right; else keep the source as it is and tell us."
)
_WAITING_STEP = (
    "Archives may take a day. Run the same command again later: it goes on where it stopped. Should nothing come, check that the "
    "archive knows our AE title, host and port (docs/commitment.md)."
)
_CONFORMANCE_STEP = "Nothing was delivered. This is a bug: please report it with its evidence ({evidence})."


@dataclass(frozen=True)
class DeliveryReport:
    """One destination of one item."""

    destination: str
    state: str  # pending, out, delivered, committed, failed
    location: str
    proof: str
    failure: Failure | None


@dataclass(frozen=True)
class ItemReport:
    """One source video, with all that the ledger knows of it. Sizes in bytes, times in seconds."""

    number: int
    name: str  # path below its source; only for the person who owns the job
    state: State
    reason: str
    plan: Plan | None
    sop_class_uid: str  # of the result, else as planned
    sop_class: str  # its name
    transfer_syntax_uid: str  # of the result, else as planned
    transfer_syntax: str  # its name
    bytes_before: int
    bytes_after: int | None  # of all its instances; None: none was made
    scores: dict[str, Pooled]
    passed: bool | None  # the gate's verdict; None: nothing was measured
    misses: tuple[str, ...]
    findings: tuple[Finding, ...]
    sop_instance_uid: str
    instance_digest: str  # SHA-256, hexadecimal
    evidence_keys: tuple[str, ...]  # keys in the object store
    attempts: int
    seconds: float  # wall time of all attempts together
    deliveries: tuple[DeliveryReport, ...]
    failure: Failure | None
    coerced: bool = False  # the site's rules gave it other identifiers
    remarks: tuple[str, ...] = ()  # of the source's pictures, times and sound
    item_id: str = ""
    source_digest: str = ""  # SHA-256, hexadecimal; empty before the source was read
    study_uid: str = ""
    quality_number: int | None = None  # of an encode: crf, cq or quantiser scale
    updated_at: datetime | None = None
    instances: tuple[InstancePart, ...] = ()  # all that were made of the item: one, or the parts of a split one

    @property
    def path(self) -> Path | None:
        """How the source becomes legal, or None before it is planned."""
        return self.plan.path if self.plan else None

    @property
    def ratio(self) -> float | None:
        """Bytes before per byte after."""
        return self.bytes_before / self.bytes_after if self.bytes_after else None

    @property
    def waits_for(self) -> str:
        """Who has not proven yet that it keeps what it took; empty where nobody is waited for."""
        if self.state is not State.DELIVERED:
            return ""
        waiting = [delivery for delivery in self.deliveries if delivery.state == "delivered"]
        return "; ".join(
            f"{one.destination} took it ({one.proof}) and has yet to prove that it keeps it" for one in waiting
        )

    @property
    def next_step(self) -> str:
        """What a person can do about it; empty when there is nothing to do."""
        if self.state is State.DELIVERED:
            return _WAITING_STEP
        if self.failure is not None and self.state is State.FAILED:
            return self.failure.hint
        if self.state is State.CANCELLED:
            return "Run the same command again to take it up."
        if self.state is not State.QUARANTINED:
            return ""
        evidence = next(iter(self.evidence_keys), "none was kept")
        broken = [finding for finding in self.findings if finding.severity == "error"]
        if broken:
            return broken[0].remedy or _CONFORMANCE_STEP.format(evidence=evidence)
        return _EVIDENCE_STEP.format(evidence=evidence)


@dataclass(frozen=True)
class PathTotal:
    """The done items that went one path."""

    items: int
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True)
class JobReport:
    """A job in numbers. ``bytes_before`` and ``bytes_after`` are those of done items alone, so that they compare."""

    job_id: str
    created_at: datetime
    changed_at: datetime  # last change of any item
    reported_at: datetime
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    profile: str
    counts: dict[State, int]  # only states that occur, in the order of a video's way
    paths: dict[Path, PathTotal]
    bytes_total: int  # of all sources
    bytes_before: int
    bytes_after: int
    work_seconds: float  # wall time of all attempts together
    estimated_seconds: float  # of all planned items, done ones included
    estimated_bytes: int

    @property
    def items(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    @property
    def problems(self) -> int:
        """How many a person has to act on."""
        return sum(self.counts.get(state, 0) for state in PROBLEMS)

    @property
    def unfinished(self) -> int:
        """How many have not come to an end."""
        return sum(count for state, count in self.counts.items() if not state.is_end)

    @property
    def ratio(self) -> float | None:
        """Bytes before per byte after, over the done items."""
        return self.bytes_before / self.bytes_after if self.bytes_after else None
