"""The composition root of the orchestrator: the only place that chooses real parts."""

from __future__ import annotations

from common.farm import make_app
from common.leases import Leases, connect
from common.settings import Settings
from common.store import ObjectStore
from common.store.open import open_store
from orchestrator.broker import CeleryBroker
from orchestrator.ledger.database import Sessions, open_ledger
from orchestrator.loop import Orchestrator
from orchestrator.recorder import Recorder
from orchestrator.watcher import Watcher


def build_store(settings: Settings) -> ObjectStore:
    """The object store of the settings."""
    return open_store(settings.store_url or str(settings.objects_dir))


def build_ledger(settings: Settings) -> Sessions:
    """The ledger of the settings, its schema up to date."""
    if not settings.ledger_url:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
    return open_ledger(settings.ledger_url or f"sqlite:///{settings.state_dir / 'ledger.sqlite'}")


def build_broker(settings: Settings) -> CeleryBroker:
    """The door to the broker of the settings."""
    redis = connect(settings.broker_url)
    return CeleryBroker(make_app(settings), redis, Leases(redis, ttl_seconds=settings.lease_seconds))


def build_orchestrator(settings: Settings, ledger: Sessions, store: ObjectStore, broker: CeleryBroker) -> Orchestrator:
    """The loop with its parts."""
    return Orchestrator(
        ledger,
        store,
        broker,
        Recorder(ledger, store, max_attempts=settings.max_attempts),
        Watcher(ledger, broker, grace_seconds=settings.lease_grace_seconds, max_attempts=settings.max_attempts),
    )
