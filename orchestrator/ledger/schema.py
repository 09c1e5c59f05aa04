"""The tables. One schema for SQLite (embedded) and PostgreSQL (production), migrated by Alembic."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Enum,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, validates
from sqlalchemy.types import TypeDecorator

from common import queues
from common.stages import State


def now() -> datetime:
    """The present, always in UTC."""
    return datetime.now(UTC)


FOR_CHANGE = {"key_share": True}
"""Lock a row that is read in order to be changed (PostgreSQL: FOR NO KEY UPDATE; SQLite's transactions are alone anyway).

Always in this order, so that no two transactions wait for each other: attempt, item, delivery.
"""


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC timestamps everywhere, also on SQLite, which forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002, D102
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002, D102
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_STATE = Enum(State, native_enum=False, length=16, values_callable=lambda states: [state.value for state in states])


class Base(DeclarativeBase):
    """Base of all tables."""

    type_annotation_map = {dict[str, Any]: JSON, list[str]: JSON, datetime: UtcDateTime}  # noqa: RUF012 SQLAlchemy's API


class Job(Base):
    """One migration that a person submitted."""

    __tablename__ = "jobs"
    __table_args__ = (Index("jobs_created", "created_at", "id"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)  # digest of sources, destinations and profile
    created_at: Mapped[datetime] = mapped_column(default=now)
    sources: Mapped[list[str]]
    destinations: Mapped[list[str]]
    profile: Mapped[dict[str, Any]]
    audio: Mapped[str] = mapped_column(String(8))
    priority: Mapped[int] = mapped_column(Integer, default=0)  # higher goes first
    paused: Mapped[bool] = mapped_column(default=False)
    name: Mapped[str] = mapped_column(String(200), default="")  # given by the person who submitted it
    mapping_key: Mapped[str | None] = mapped_column(String(128))  # the mapping CSV in the object store
    worklist: Mapped[dict[str, Any] | None]  # orchestrator.ingest.worklist.WorklistRequest
    identifiers_key: Mapped[str | None] = mapped_column(String(128))  # the rules for identifiers in the object store
    listing: Mapped[str] = mapped_column(String(16), default="listing")  # listing, listed, failed
    problem: Mapped[str] = mapped_column(Text, default="")  # why the listing failed
    cancelled: Mapped[bool] = mapped_column(default=False)
    window: Mapped[str | None] = mapped_column(Text)  # orchestrator.windows; None: always open
    window_policy: Mapped[str] = mapped_column(String(8), default="finish")  # finish or stop what runs when it closes
    patience_seconds: Mapped[float] = mapped_column(Float, default=0.0)  # for a peer that is away
    halted: Mapped[bool] = mapped_column(default=False)  # paused, and what runs is stopped as well
    site: Mapped[str] = mapped_column(
        String(64), default=""
    )  # whose job it is, where tokens are bound to sites; empty: nobody's


_CAUSED, _STUDIED = text("cause IS NOT NULL"), text("study_uid IS NOT NULL")
_UNREAD = text("attributes IS NULL")


class Item(Base):
    """One source video of a job."""

    __tablename__ = "items"
    __table_args__ = (
        UniqueConstraint("job_id", "source"),
        Index("items_ready", "job_id", "state", "queue", "number"),
        Index("items_digest", "digest", "job_id"),
        Index("items_number", "job_id", "number"),
        Index("items_state", "job_id", "state", "number"),
        Index("items_cause", "cause", "job_id", "number", sqlite_where=_CAUSED, postgresql_where=_CAUSED),
        Index("items_study_uid", "job_id", "study_uid", "state", sqlite_where=_STUDIED, postgresql_where=_STUDIED),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(Integer)  # order of finding
    source: Mapped[str] = mapped_column(Text)  # never leaves the ledger
    name: Mapped[str] = mapped_column(Text)  # path below its source, for people
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[State] = mapped_column(_STATE, default=State.FOUND)
    reason: Mapped[str] = mapped_column(Text, default="")
    queue: Mapped[str] = mapped_column(String(32), default=queues.DESCRIBE)  # of the next order, but for deliveries
    attempts: Mapped[int] = mapped_column(Integer, default=0)  # in the present stage
    not_before: Mapped[datetime] = mapped_column(default=now)
    waiting_since: Mapped[datetime | None]  # the first of the failures that are being waited out
    header_key: Mapped[str | None] = mapped_column(String(128))
    retrieval: Mapped[dict[str, Any] | None]  # common.orders.Retrieval of a source that workers bring themselves
    supplied: Mapped[dict[str, Any] | None]  # hints from the mapping row: modality, requested class
    digest: Mapped[str | None] = mapped_column(String(64))
    description: Mapped[dict[str, Any] | None]
    plan: Mapped[dict[str, Any] | None]
    split: Mapped[dict[str, Any] | None]  # SplitDone: where the video is cut, or why it is not
    result: Mapped[dict[str, Any] | None]
    failure: Mapped[dict[str, Any] | None]
    work_seconds: Mapped[float] = mapped_column(Float, default=0.0)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
    # why it was set aside, for people who look at many: an error's code, or the gate's metric or the rule that was missed
    cause: Mapped[str | None] = mapped_column(String(64))
    profile: Mapped[dict[str, Any] | None]  # its own in place of the job's: a person decided so
    decision: Mapped[str | None] = mapped_column(String(32))  # id of the last decision about this item alone
    # what lists and tallies read of the documents above
    study_uid: Mapped[str | None] = mapped_column(String(64))
    estimated_seconds: Mapped[float] = mapped_column(Float, default=0.0)
    made_bytes: Mapped[int] = mapped_column(BigInteger, default=0)

    @validates("plan")
    def _route(self, _field: str, plan: dict[str, Any] | None) -> dict[str, Any] | None:
        # the plan's queue as a column of its own: the dispatcher finds its next items by an index
        self.queue = (plan or {}).get("queue", queues.DESCRIBE)
        self.estimated_seconds = (plan or {}).get("estimated_seconds", 0.0)
        return plan

    @validates("description")
    def _identify(self, _field: str, description: dict[str, Any] | None) -> dict[str, Any] | None:
        self.study_uid = ((description or {}).get("dicom") or {}).get("study_uid") or self.study_uid
        return description

    @validates("result")
    def _weigh(self, _field: str, result: dict[str, Any] | None) -> dict[str, Any] | None:
        self.made_bytes = (result or {}).get("instance_bytes", 0)
        self.study_uid = (result or {}).get("study_uid") or self.study_uid
        return result

    @validates("failure")
    def _blame(self, _field: str, failure: dict[str, Any] | None) -> dict[str, Any] | None:
        self.cause = None if failure is None else failure["code"]
        return failure

    @validates("reason")
    def _storable(self, _field: str, reason: str) -> str:
        return reason.replace(
            "\0", "\N{REPLACEMENT CHARACTER}"
        )  # a program's last words; PostgreSQL's text takes no NUL


class Tally(Base):
    """How many items of a job are in a state, kept by triggers in the transaction that moves them. The sum over the shards counts.

    By queue and cause too, with the seconds of work that their plans estimate and the bytes that were made of them.
    """

    __tablename__ = "tallies"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    state: Mapped[State] = mapped_column(_STATE, primary_key=True)
    queue: Mapped[str] = mapped_column(String(32), primary_key=True)
    cause: Mapped[str] = mapped_column(String(64), primary_key=True)  # empty: not set aside
    shard: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)  # PostgreSQL: one a connection
    items: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)
    seconds: Mapped[float] = mapped_column(Float)
    made_bytes: Mapped[int] = mapped_column(BigInteger)


UNPROVEN = text("state = 'delivered'")
"""Deliveries that arrived and whose proof is waited for: few, so that the index of those that are due is small."""


class Delivery(Base):
    """One produced instance on its way to one destination."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("item_id", "destination"),
        Index("deliveries_ready", "job_id", "destination", "state", "id"),
        Index(
            "deliveries_due", "job_id", "destination", "not_before", sqlite_where=UNPROVEN, postgresql_where=UNPROVEN
        ),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    item_id: Mapped[str] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"))
    job_id: Mapped[str] = mapped_column(String(32))  # the item's: the dispatcher finds its next deliveries by an index
    destination: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16), default="pending")  # pending, out, delivered, committed, failed
    attempts: Mapped[int] = mapped_column(Integer, default=0)  # at sending it, then at its proof
    not_before: Mapped[datetime] = mapped_column(default=now)
    waiting_since: Mapped[datetime | None]  # the first of the failures that are being waited out
    location: Mapped[str] = mapped_column(Text, default="")
    proof: Mapped[str] = mapped_column(Text, default="")
    failure: Mapped[dict[str, Any] | None]
    # of one that arrived (orchestrator.proof): since when, what is shown already, what is known of its archive
    delivered_at: Mapped[datetime | None]
    read_back: Mapped[bool] = mapped_column(default=False)
    uncommitted: Mapped[bool] = mapped_column(default=False)  # done without commitment
    resent: Mapped[int] = mapped_column(Integer, default=0)  # times that the archive had lost it
    lacking: Mapped[list[str] | None]  # SOP Instance UIDs to send again; None: all


class Commitment(Base):
    """One request for storage commitment (PS3.4 J). Kept: a report may come days later, and again."""

    __tablename__ = "commitments"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    transaction_uid: Mapped[str] = mapped_column(String(64), unique=True)
    destination: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(
        String(16), default="asked"
    )  # asked, accepted (no commitment), answered, refused
    asked_at: Mapped[datetime] = mapped_column(default=now)
    answered_at: Mapped[datetime | None]


class Asked(Base):
    """A delivery that a commitment was asked for, since it last arrived: what is sent again leaves its old transactions."""

    __tablename__ = "commitment_deliveries"
    __table_args__ = (Index("commitment_deliveries_delivery", "delivery_id"),)

    commitment_id: Mapped[int] = mapped_column(ForeignKey("commitments.id", ondelete="CASCADE"), primary_key=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True)


class Chunk(Base):
    """One part of a video that many workers encode; gone when the whole is stored."""

    __tablename__ = "chunks"
    __table_args__ = (UniqueConstraint("item_id", "first", "last"), Index("chunks_ready", "state", "not_before"))

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    item_id: Mapped[str] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(Integer)  # in order of time
    first: Mapped[int] = mapped_column(Integer)  # frames, display order; last is exclusive
    last: Mapped[int] = mapped_column(Integer)
    rung: Mapped[int] = mapped_column(Integer, default=0)  # of the ladder; each chunk climbs alone
    state: Mapped[str] = mapped_column(String(16), default="ready")  # ready, out, done
    attempts: Mapped[int] = mapped_column(Integer, default=0)  # on this rung
    not_before: Mapped[datetime] = mapped_column(default=now)
    prefix: Mapped[str] = mapped_column(String(160), default="")  # of its objects in the store
    worker: Mapped[str] = mapped_column(String(128), default="")


class Attempt(Base):
    """One try at an order. ``order_id`` is the broker's task id, the lease's name and the result's return address."""

    __tablename__ = "attempts"
    __table_args__ = (
        Index("attempts_open", "state", "queue"),
        Index("attempts_item", "item_id"),
        Index("attempts_ended", "ended_at"),
    )

    order_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    item_id: Mapped[str] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"))
    delivery_id: Mapped[int | None] = mapped_column(ForeignKey("deliveries.id", ondelete="CASCADE"))
    chunk_id: Mapped[int | None] = mapped_column(Integer)  # no foreign key: attempts outlive their chunk's row
    kind: Mapped[str] = mapped_column(String(16))
    queue: Mapped[str] = mapped_column(String(32))
    number: Mapped[int] = mapped_column(Integer)
    # queued, running; done, failed, lost; stopping (closed here, its worker is told), stopped
    state: Mapped[str] = mapped_column(String(16), default="queued")
    order: Mapped[dict[str, Any]]
    sent_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime | None]  # last sign of life
    ended_at: Mapped[datetime | None]
    worker: Mapped[str] = mapped_column(String(128), default="")
    fraction: Mapped[float | None]
    seconds: Mapped[float] = mapped_column(Float, default=0.0)
    failure: Mapped[dict[str, Any] | None]

    @validates("state")
    def _forget_order(self, _field: str, state: str) -> str:
        if state not in ("queued", "running"):
            self.order = {}  # only what may have to be sent again is kept: it would be half of a large ledger
        return state


class StoredInstance(Base):
    """One instance in the object store, for viewers (orchestrator.viewable). Patient data stands in ``attributes`` and beside it.

    No foreign keys: two jobs may have made the same object, and it goes when its bytes go.
    """

    __tablename__ = "instances"
    __table_args__ = (
        Index("instances_study", "study_uid", "series_uid", "sop_instance_uid"),
        Index("instances_uid", "sop_instance_uid"),
        Index("instances_patient", "patient_id"),
        Index("instances_accession", "accession"),
        Index("instances_date", "study_date"),
        Index("instances_unread", "key", sqlite_where=_UNREAD, postgresql_where=_UNREAD),
    )

    key: Mapped[str] = mapped_column(String(160), primary_key=True)  # in the store
    item_id: Mapped[str] = mapped_column(String(32))
    study_uid: Mapped[str] = mapped_column(String(64))
    series_uid: Mapped[str] = mapped_column(String(64))
    sop_instance_uid: Mapped[str] = mapped_column(String(64))
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    transfer_syntax_uid: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    stored_at: Mapped[datetime] = mapped_column(default=now)
    # what searches match and return, read from the store when somebody first searches (orchestrator.dicomweb.directory)
    attributes: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # DICOM JSON; None: not read yet
    patient_id: Mapped[str] = mapped_column(String(64), default="")
    patient_name: Mapped[str] = mapped_column(Text, default="")  # upper case
    accession: Mapped[str] = mapped_column(String(64), default="")
    study_date: Mapped[str] = mapped_column(String(16), default="")
    modality: Mapped[str] = mapped_column(String(16), default="")


class StateChange(Base):
    """One change of an item's or a delivery's state, written in its transaction and never changed (orchestrator.ledger.audit).

    No foreign keys: the trail outlives the job. No names, paths or reasons: ids and states only.
    """

    __tablename__ = "audit"
    __table_args__ = (Index("audit_item", "item_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
    job_id: Mapped[str] = mapped_column(String(32))
    item_id: Mapped[str] = mapped_column(String(32))
    delivery_id: Mapped[int | None] = mapped_column(Integer)  # None: the item itself
    before: Mapped[str] = mapped_column(String(16))
    after: Mapped[str] = mapped_column(String(16))
    order_id: Mapped[str] = mapped_column(String(32), default="")  # whose answer or loss it follows; empty: nobody's


class Decision(Base):
    """What a person decided (orchestrator.ledger.decisions). No foreign keys: the record outlives the job."""

    __tablename__ = "decisions"
    __table_args__ = (Index("decisions_job", "job_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    key: Mapped[str] = mapped_column(String(32), unique=True)  # what items and orders name it by
    at: Mapped[datetime] = mapped_column(default=now)
    by: Mapped[str] = mapped_column(
        String(128)
    )  # a user of the operating system, or the name the API knows its caller by
    what: Mapped[str] = mapped_column(String(32))  # orchestrator.ledger.decisions.What
    job_id: Mapped[str] = mapped_column(String(32), default="")  # empty: no job's
    item_id: Mapped[str | None] = mapped_column(String(32))  # None: the job as a whole
    why: Mapped[str] = mapped_column(Text, default="")
    detail: Mapped[dict[str, Any]]


class Event(Base):
    """Who came in, was refused, read or set what (orchestrator.ledger.events). Append-only; no foreign keys: it outlives all else."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
    by: Mapped[str] = mapped_column(String(128))  # as Decision.by; empty: nobody we know
    what: Mapped[str] = mapped_column(String(32))  # orchestrator.ledger.events.Happened
    origin: Mapped[str] = mapped_column(String(128))  # address of the client, or name of the machine
    outcome: Mapped[str] = mapped_column(String(16))  # orchestrator.ledger.events.Outcome
    detail: Mapped[dict[str, Any]]


class Seal(Base):
    """A link of the chain that makes changed, removed or reordered records show (orchestrator.trust). Append-only."""

    __tablename__ = "seals"
    __table_args__ = (Index("seals_covers", "covers", "kind", "first_id"),)

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)  # 1, 2, 3 …
    at: Mapped[datetime] = mapped_column(default=now)
    kind: Mapped[str] = mapped_column(String(8))  # rows; pruned: these rows were deleted by the rules of retention
    covers: Mapped[str] = mapped_column(String(16))  # the table
    first_id: Mapped[int] = mapped_column(BigInteger)  # both inclusive
    last_id: Mapped[int] = mapped_column(BigInteger)
    row_count: Mapped[int] = mapped_column(BigInteger)  # fewer than ids where transactions were rolled back
    digest: Mapped[str] = mapped_column(String(64))  # SHA-256 of the rows' canonical lines
    marks: Mapped[bytes] = mapped_column(LargeBinary)  # orchestrator.trust.canonical: which row it is that changed
    previous: Mapped[str] = mapped_column(String(64))  # link of the seal before
    link: Mapped[str] = mapped_column(String(64))  # SHA-256 of all of the above
    key: Mapped[str] = mapped_column(String(64), default="")  # SHA-256 of the public key; empty: not signed
    signature: Mapped[bytes] = mapped_column(LargeBinary, default=b"")  # Ed25519 over the link


class Exported(Base):
    """How far a collector of audit messages has got the records of one table (orchestrator.trust.exporting)."""

    __tablename__ = "exported"

    collector: Mapped[str] = mapped_column(String(300), primary_key=True)
    covers: Mapped[str] = mapped_column(String(16), primary_key=True)
    last_id: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(default=now)


class Token(Base):
    """A token of the API that was made with ``cinefarm token`` (orchestrator.ledger.tokens)."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))  # who it was given to; stands in the record of decisions
    digest: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256 of the token, hexadecimal
    role: Mapped[str] = mapped_column(String(16))
    sites: Mapped[list[str] | None]  # whose jobs it may see and steer; None: all
    made_at: Mapped[datetime] = mapped_column(default=now)
    made_by: Mapped[str] = mapped_column(String(128))
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class QueueLimit(Base):
    """How many orders of one queue may be out at a time, over all workers."""

    __tablename__ = "queue_limits"

    queue: Mapped[str] = mapped_column(String(32), primary_key=True)
    concurrent: Mapped[int] = mapped_column(Integer)


class Destination(Base):
    """What one destination can bear, and how it answers. A destination without a row has no limit and answers."""

    __tablename__ = "destinations"

    uri: Mapped[str] = mapped_column(Text, primary_key=True)
    concurrent: Mapped[int | None] = mapped_column(Integer)  # deliveries at a time, over all workers
    bytes_per_second: Mapped[int | None] = mapped_column(BigInteger)  # over all workers
    window: Mapped[str | None] = mapped_column(Text)
    accepts: Mapped[dict[str, Any] | None]  # orchestrator.acceptance; None: as assumed
    probed: Mapped[dict[str, Any] | None]  # common.network.probe; None: never
    commits_not_since: Mapped[datetime | None]  # when it last refused storage commitment
    away_in_a_row: Mapped[int] = mapped_column(Integer, default=0)  # deliveries since one was answered
    paused_until: Mapped[datetime | None]  # then one delivery goes out as a probe


class Arrival(Base):
    """One instance that the listener received and answers for. No foreign keys: the record outlives job and item."""

    __tablename__ = "arrivals"
    __table_args__ = (
        Index("arrivals_instance", "sop_instance_uid"),
        Index("arrivals_state", "state", "study_uid"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)  # sorts by time
    key: Mapped[str] = mapped_column(String(128))  # common.network.arrivals
    # held until its study is complete; unmatched by any rule, and kept; expected by a worker, which let it be sent; taken by a job;
    # released: its bytes were deleted
    state: Mapped[str] = mapped_column(String(16), default="held")
    received_at: Mapped[datetime] = mapped_column(default=now)
    sop_instance_uid: Mapped[str] = mapped_column(String(64))
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    study_uid: Mapped[str] = mapped_column(String(64))
    series_uid: Mapped[str] = mapped_column(String(64))
    transfer_syntax_uid: Mapped[str] = mapped_column(String(64))
    modality: Mapped[str] = mapped_column(String(16))
    calling_aet: Mapped[str] = mapped_column(String(16))  # empty: found in the store without a row
    called_aet: Mapped[str] = mapped_column(String(16))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(64))  # SHA-256 of the file
    job_id: Mapped[str | None] = mapped_column(String(32))
    item_id: Mapped[str | None] = mapped_column(String(32))


class KnownRequest(Base):
    """A request that came with an Idempotency-Key (orchestrator.ledger.idempotency)."""

    __tablename__ = "known_requests"
    __table_args__ = (Index("known_requests_at", "at"),)

    key: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256 of caller and key
    body: Mapped[str] = mapped_column(String(64))  # SHA-256
    made: Mapped[str] = mapped_column(String(32))  # id of what it made
    at: Mapped[datetime] = mapped_column(default=now)


class Errand(Base):
    """Something that takes a while and was asked for through the API: a plan, a probe (orchestrator.errands)."""

    __tablename__ = "errands"
    __table_args__ = (Index("errands_created", "kind", "created_at", "id"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16), default="waiting")  # waiting, running, done, failed, cancelled
    created_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime] = mapped_column(default=now)  # last sign of life of the process that does it
    by: Mapped[str] = mapped_column(String(128))
    asked: Mapped[dict[str, Any]]
    done: Mapped[int] = mapped_column(Integer, default=0)  # items so far
    pages: Mapped[int] = mapped_column(Integer, default=0)  # of items, in the object store
    result: Mapped[dict[str, Any] | None]
    failure: Mapped[dict[str, Any] | None]


class Compatibility(Base):
    """One row: the oldest revision whose code may work on this ledger (orchestrator.ledger.compatibility)."""

    __tablename__ = "compatibility"

    oldest: Mapped[str] = mapped_column(String(16), primary_key=True)
