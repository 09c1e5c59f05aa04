"""Two releases on one ledger: what an older orchestrator does with a schema that a newer one has migrated.

Migrations only add, so a replica that runs goes on while a newer one migrates. One that starts on a newer schema looks whether
the ledger still lets its revision in: a migration that had to break older code says so in ``compatibility``.
"""

from __future__ import annotations

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select

from common.errors import PolicyError
from common.logs import logger
from orchestrator.ledger.schema import Compatibility

log = logger(__name__)


def is_newer(connection: Connection, config: Config) -> bool:
    """True when a newer release migrated this ledger and lets this one work on it.

    Raises:
        PolicyError: it does not.
    """
    scripts = ScriptDirectory.from_config(config)
    found = MigrationContext.configure(connection).get_current_revision()
    if found is None or found in {script.revision for script in scripts.walk_revisions()}:
        return False
    ours, oldest = scripts.get_current_head() or "", _oldest(connection)
    if oldest is not None and ours >= oldest:
        log.warning("ledger_is_newer", found=found, ours=ours)
        return True
    hint = "Start that release, or restore the backup that was made before the upgrade (docs/upgrade.md)."
    raise PolicyError(f"a newer release has migrated this ledger to {found}; this one knows {ours}", hint=hint)


def _oldest(connection: Connection) -> str | None:
    """The lowest revision whose code may work on this ledger; None: it does not say."""
    if not inspect(connection).has_table(Compatibility.__tablename__):
        return None
    return connection.scalar(select(Compatibility.oldest))
