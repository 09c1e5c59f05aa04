"""The composition root of the orchestrator: the only place that chooses real parts."""

from __future__ import annotations

from collections.abc import Sequence

from common.broker_access import open_redis
from common.destinations import S3Destination, parse_destination
from common.errors import DestinationUnavailable, PolicyError, StoreFault
from common.farm import make_app
from common.leases import Leases
from common.logs import logger
from common.settings import Settings
from common.store import ObjectStore
from common.store.open import open_store
from orchestrator import viewable
from orchestrator.broker import CeleryBroker
from orchestrator.chunk_policy import Policy
from orchestrator.ledger.database import Sessions, open_ledger
from orchestrator.ledger.locks import Leadership
from orchestrator.loop import Orchestrator
from orchestrator.proof import Patience
from orchestrator.recorder import Recorder
from orchestrator.watcher import Watcher

log = logger(__name__)


def build_store(settings: Settings) -> ObjectStore:
    """The object store of the settings."""
    return open_store(settings.store_url or str(settings.objects_dir), settings)


ABANDONED_SECONDS = 24 * 3600.0
"""No object is written for so long: packaging 400 GB at its slowest takes 23 hours (workers.transcode)."""


def prepare_store(store: ObjectStore) -> None:
    """At the start: the store is tried, what an operator should know is logged, what killed writers left is discarded.

    Raises:
        StoreFault: it is missing, closed or full.
    """
    for note in store.check():
        log.warning("store_note", note=note)
    try:
        discarded = store.discard_abandoned(ABANDONED_SECONDS)
    except StoreFault as fault:  # listing uploads is a right of its own, and a lifecycle rule may do this instead
        log.warning("abandoned_writes_not_discarded", message=fault.message)
        return
    if discarded:
        log.warning("abandoned_writes_discarded", count=discarded)


LEDGER_NAME = "ledger.sqlite"
"""Below the state directory, where no ledger's URL is set."""


def require_buckets(destinations: Sequence[str], settings: Settings) -> None:
    """Refuse now what would fail item by item later: a destination bucket that is not there.

    Raises:
        PolicyError: there is no such bucket.
        DestinationUnavailable: its server does not answer, or knows no such key.
    """
    from common.store.s3_bucket import Bucket
    from common.store.s3_client import Role

    for place in map(parse_destination, destinations):
        if not isinstance(place, S3Destination):
            continue
        role = Role("the destination bucket", DestinationUnavailable)
        if not Bucket(place.bucket, settings, role).exists():
            raise PolicyError(
                f"the destination bucket {place.bucket} does not exist", hint="Create it, then start again."
            )


def build_ledger(settings: Settings, *, durable: bool = False) -> Sessions:
    """The ledger of the settings, its schema up to date; ``durable``: see open_ledger."""
    if not settings.ledger_url:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
    return open_ledger(settings.ledger_url or f"sqlite:///{settings.state_dir / LEDGER_NAME}", durable=durable)


def build_broker(settings: Settings) -> CeleryBroker:
    """The door to the broker of the settings."""
    redis = open_redis(settings)
    return CeleryBroker(make_app(settings), redis, Leases(redis, ttl_seconds=settings.lease_seconds))


def build_orchestrator(
    settings: Settings,
    ledger: Sessions,
    store: ObjectStore,
    broker: CeleryBroker,
    leadership: Leadership | None = None,
) -> Orchestrator:
    """The loop with its parts."""
    patience = Patience.of(settings)
    return Orchestrator(
        ledger,
        store,
        broker,
        Recorder(
            ledger,
            store,
            max_attempts=settings.max_attempts,
            queues=lambda: [queue for queue, slots in broker.slots().items() if slots],
            patience=patience,
            keeping=viewable.Keeping.of(settings),
        ),
        Watcher(ledger, broker, grace_seconds=settings.lease_grace_seconds, max_attempts=settings.max_attempts),
        leadership or Leadership(ledger.kw["bind"]),
        overrun_seconds=settings.window_overrun_seconds,
        chunks=Policy.of(settings),
        patience=patience,
    )
