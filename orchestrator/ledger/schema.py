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
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from common.stages import State


def now() -> datetime:
    """The present, always in UTC."""
    return datetime.now(UTC)


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

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)  # digest of sources, destinations and profile
    created_at: Mapped[datetime] = mapped_column(default=now)
    sources: Mapped[list[str]]
    destinations: Mapped[list[str]]
    profile: Mapped[dict[str, Any]]
    audio: Mapped[str] = mapped_column(String(8))
    priority: Mapped[int] = mapped_column(Integer, default=0)  # higher goes first
    paused: Mapped[bool] = mapped_column(default=False)


class Item(Base):
    """One source video of a job."""

    __tablename__ = "items"
    __table_args__ = (
        UniqueConstraint("job_id", "source"),
        Index("items_ready", "state", "not_before"),
        Index("items_job_state", "job_id", "state"),
        Index("items_digest", "job_id", "digest"),
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
    attempts: Mapped[int] = mapped_column(Integer, default=0)  # in the present stage
    not_before: Mapped[datetime] = mapped_column(default=now)
    header_key: Mapped[str | None] = mapped_column(String(128))
    supplied: Mapped[dict[str, Any] | None]  # hints from the mapping row: modality, requested class
    digest: Mapped[str | None] = mapped_column(String(64))
    description: Mapped[dict[str, Any] | None]
    plan: Mapped[dict[str, Any] | None]
    result: Mapped[dict[str, Any] | None]
    failure: Mapped[dict[str, Any] | None]
    work_seconds: Mapped[float] = mapped_column(Float, default=0.0)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class Delivery(Base):
    """One produced instance on its way to one destination."""

    __tablename__ = "deliveries"
    __table_args__ = (UniqueConstraint("item_id", "destination"), Index("deliveries_ready", "state", "not_before"))

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    item_id: Mapped[str] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"))
    destination: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16), default="pending")  # pending, out, delivered, failed
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    not_before: Mapped[datetime] = mapped_column(default=now)
    location: Mapped[str] = mapped_column(Text, default="")
    proof: Mapped[str] = mapped_column(Text, default="")
    failure: Mapped[dict[str, Any] | None]


class Attempt(Base):
    """One try at an order. ``order_id`` is the broker's task id, the lease's name and the result's return address."""

    __tablename__ = "attempts"
    __table_args__ = (Index("attempts_open", "state", "queue"), Index("attempts_item", "item_id"))

    order_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    item_id: Mapped[str] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"))
    delivery_id: Mapped[int | None] = mapped_column(ForeignKey("deliveries.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))
    queue: Mapped[str] = mapped_column(String(32))
    number: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16), default="queued")  # queued, running, done, failed, lost
    order: Mapped[dict[str, Any]]
    sent_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime | None]  # last sign of life
    ended_at: Mapped[datetime | None]
    worker: Mapped[str] = mapped_column(String(128), default="")
    fraction: Mapped[float | None]
    seconds: Mapped[float] = mapped_column(Float, default=0.0)
    failure: Mapped[dict[str, Any] | None]
