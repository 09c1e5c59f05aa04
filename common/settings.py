"""Every knob, typed, with unit and reason; read once from the environment (``CINEFARM_…``) and frozen after start."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_state_dir() -> Path:
    """``$XDG_STATE_HOME/cinefarm``, else ``~/.local/state/cinefarm`` (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "cinefarm"


class Settings(BaseSettings):
    """The settings of one process. A farm differs from the embedded one in its URLs only."""

    model_config = SettingsConfigDict(env_prefix="CINEFARM_", frozen=True, extra="ignore")

    broker_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        description="Redis or Valkey: redis://, rediss:// or redis+socket:///path (the embedded farm's)",
    )
    ledger_url: str = Field(default="", description="SQLAlchemy URL; empty: SQLite in the state directory")
    store_url: str = Field(
        default="", description="file:///path or s3://…; empty: folder 'objects' in the state directory"
    )
    state_dir: Path = Field(
        default_factory=default_state_dir, description="ledger, objects and logs of an embedded farm"
    )
    scratch_dir: Path | None = Field(
        default=None, description="workers' temporary files; default: below the state directory"
    )

    lease_seconds: float = Field(
        default=10.0,
        gt=0,
        description="TTL of a running attempt's lease. Renewed every third of it, so two renewals may fail before it lapses; "
        "with the watcher's sweep of one second and lease_grace_seconds a killed worker's order is out again in < 20 s.",
    )
    lease_grace_seconds: float = Field(
        default=5.0, ge=0, description="wait after a lease lapsed: the result may still be in the result queue"
    )
    max_attempts: int = Field(default=4, ge=1, description="tries per item and stage before it is set aside as failed")
    cpu_slots: int = Field(default=0, ge=0, description="concurrent transcodes of a worker; 0: from the cores")
    io_slots: int = Field(default=2, ge=1, description="concurrent describe and deliver orders of a worker")

    child_memory_bytes: int = Field(
        default=8 << 30,
        description="address space of one decoder or encoder child, bytes: a broken file must not take the node",
    )
    describe_seconds: float = Field(
        default=120.0, description="wall time for describing one source, plus its read time"
    )
    transcode_minimum_seconds: float = Field(default=600.0, description="least wall-time limit of an encode, s")
    transcode_speed_floor: float = Field(
        default=0.02,
        gt=0,
        description="slowest believable encode, as a fraction of real time; the limit follows from it",
    )

    dicom_ae_title: str = Field(
        default="CINEFARM", max_length=16, description="our Application Entity title (PS3.5 6.2, AE)"
    )
    dicom_max_pdu_bytes: int = Field(
        default=131_072,
        description="longest PDU offered and sent, bytes; 0: the default (an unlimited one holds the whole file in memory)",
    )

    @property
    def objects_dir(self) -> Path:
        """Where the folder store lies."""
        return self.state_dir / "objects"

    @property
    def scratch(self) -> Path:
        """Where workers put temporary files."""
        return self.scratch_dir or self.state_dir / "scratch"
