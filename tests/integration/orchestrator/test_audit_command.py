"""``cinefarm audit verify`` on a ledger that was tampered with behind the program's back, and the service that seals."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlalchemy import func, insert, select
from support.server import redis_server

from common.errors import PolicyError
from common.settings import Settings
from orchestrator.build import LEDGER_NAME
from orchestrator.ledger.database import open_ledger
from orchestrator.ledger.schema import Event, Seal, StateChange
from orchestrator.service import service
from orchestrator.trust.keys import load_public, load_signer
from orchestrator.trust.sealing import seal

CINEFARM = str(Path(sys.executable).with_name("cinefarm"))


def audit(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([CINEFARM, "audit", *words], capture_output=True, text=True, check=False)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key; its public half beside it (.pub)."""
    made = Ed25519PrivateKey.generate()
    path = tmp_path / "audit.key"
    path.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.with_suffix(".pub").write_bytes(
        made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return path


def written(state: Path, key: Path | None, rows: int = 5) -> None:
    ledger = open_ledger(f"sqlite:///{state / LEDGER_NAME}")
    row = {"job_id": "job", "item_id": "i", "before": "found", "after": "described", "order_id": ""}
    with ledger.begin() as session:
        session.execute(insert(StateChange), [dict(row) for _ in range(rows)])
    seal(ledger, load_signer(key))
    ledger.kw["bind"].dispose()


def test_an_auditor_sees_what_the_owner_of_the_database_did(tmp_path: Path, key: Path) -> None:
    written(tmp_path, key)
    words = ("verify", "--state", str(tmp_path), "--key", str(key.with_suffix(".pub")))
    intact = audit(*words)
    assert (intact.returncode, intact.stdout.splitlines()[-1]) == (0, "intact")
    with sqlite3.connect(tmp_path / LEDGER_NAME) as raw:
        raw.execute("DROP TRIGGER audit_unchanged")
        raw.execute("UPDATE audit SET after = 'done' WHERE id = 4")
    altered = audit(*words, "--json")
    fault, summary = (json.loads(line) for line in altered.stdout.splitlines())
    assert altered.returncode == 1
    assert fault == {"type": "fault", "table": "audit", "row": 4, "what": "was changed", "seal": 1}
    assert (summary["type"], summary["intact"], summary["signed"]) == ("verified", False, 1)


def test_the_older_form_still_shows_a_job(tmp_path: Path, key: Path) -> None:
    written(tmp_path, key)
    answer = audit("no-such-job", "--state", str(tmp_path))
    assert (answer.returncode, "there is no such job" in answer.stderr) == (2, True)


def test_where_there_is_no_ledger_none_is_made(tmp_path: Path) -> None:
    assert audit("verify", "--state", str(tmp_path)).returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_a_service_seals_while_it_runs_and_when_it_ends(tmp_path: Path, key: Path) -> None:
    with redis_server() as url:
        settings = Settings(
            state_dir=tmp_path, broker_url=url, audit_key_file=key, audit_seal_seconds=0.05, _env_file=None
        )
        with service(settings) as running:
            written(tmp_path, None)  # by another hand; the keeper goes on behind it
            row = {"job_id": "job", "item_id": "i", "before": "described", "after": "failed", "order_id": ""}
            with running.ledger.begin() as session:
                session.execute(insert(StateChange).values(**row))
            end, waiting = time.monotonic() + 30, threading.Event()
            while time.monotonic() < end and not _sealed(running.ledger, 6):
                waiting.wait(0.02)
            assert _sealed(running.ledger, 6)
            with running.ledger.begin() as session:
                session.execute(insert(StateChange).values(**row))
        assert _sealed(running.ledger, 7)


def test_starts_ends_and_changed_settings_of_a_service_are_on_record_and_no_secret(tmp_path: Path) -> None:
    with redis_server() as url:
        settings = Settings(state_dir=tmp_path, broker_url=url, api_token="very-secret")
        for one in (settings, settings, settings.model_copy(update={"io_slots": 7})):
            with service(one) as running:
                pass
    with running.ledger() as session:
        events = session.scalars(select(Event).order_by(Event.id)).all()
    first, unchanged = ["started", "configured", "stopped"], ["started", "stopped"]
    assert [one.what for one in events] == [*first, *unchanged, *first]
    assert events[6].detail["changed"] == ["io_slots"]
    assert events[1].detail["values"] | {"broker_url": "(set)", "api_token": "(set)"} == events[1].detail["values"]
    assert "very-secret" not in str([one.detail for one in events])


def _sealed(ledger: object, last: int) -> bool:
    with ledger() as session:  # type: ignore[operator]
        return bool(session.scalar(select(func.max(Seal.last_id)).where(Seal.covers == "audit")) == last)


@pytest.mark.parametrize("load", [load_signer, load_public])
def test_a_key_that_is_none_is_refused(tmp_path: Path, load: object) -> None:
    wrong = tmp_path / "key.pem"
    wrong.write_text("no key")
    for path in (wrong, tmp_path / "missing.pem"):
        with pytest.raises(PolicyError, match="cannot be read"):
            load(path)  # type: ignore[operator]
