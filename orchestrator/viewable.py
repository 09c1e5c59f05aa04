"""Which instances lie in the store, for viewers: one row each, written with the result and gone with the bytes.

The rows are a directory and no truth: whoever finds one without its bytes answers that there is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from common.dicom.companion import companion_key
from common.orders import TranscodeDone
from common.settings import Settings
from common.store import ObjectStore
from orchestrator.ledger.schema import Item, StoredInstance, now

SEARCHED = ("patient_id", "patient_name", "accession", "study_date", "modality")
"""Columns that orchestrator.dicomweb.directory fills, with ``attributes``, when somebody first searches."""


@dataclass(frozen=True)
class Keeping:
    """How long instances stay in the store after their item is done: ``hours``, while ``least_free_bytes`` are free there."""

    hours: float = 0.0
    least_free_bytes: int = 0

    @classmethod
    def of(cls, settings: Settings) -> Keeping:
        """As the settings say."""
        return cls(settings.keep_results_hours, settings.keep_results_free_bytes)

    def hours_in(self, store: ObjectStore) -> float:
        """Hours that hold now: none while the store is short of room."""
        if not self.hours:
            return 0.0
        free = store.free_bytes()
        return 0.0 if free is not None and free < self.least_free_bytes else self.hours

    def unwanted(self, spent: Iterable[str], store: ObjectStore) -> list[str]:
        """What of these objects goes at once; results that are kept for a while are the reconciler's to delete."""
        spent = list(spent)
        keeps = bool(spent) and self.hours_in(store) > 0
        return [key for key in spent if not (keeps and key.startswith("results/"))]


AT_ONCE = Keeping()


def note(session: Session, item: Item, made: TranscodeDone) -> None:
    """What an item has become can be looked at; ``write`` puts it down with the rest of its transaction."""
    session.info.setdefault("viewable", []).extend(rows_of(item.id, made))


def rows_of(item_id: str, made: TranscodeDone) -> list[dict[str, Any]]:
    """A row for each instance of a result."""
    shared = {
        "item_id": item_id,
        "study_uid": made.study_uid,
        "series_uid": made.series_uid,
        "sop_class_uid": made.sop_class_uid,
        "transfer_syntax_uid": made.transfer_syntax_uid,
        "stored_at": now(),
        "attributes": None,
        **dict.fromkeys(SEARCHED, ""),
    }
    return [
        shared | {"key": one.instance_key, "sop_instance_uid": one.sop_instance_uid, "size_bytes": one.instance_bytes}
        for one in made.instances
    ]


def write(session: Session) -> None:
    """Put down what was noted, in one statement; an object that was there before has its row replaced."""
    noted = {row["key"]: row for row in session.info.pop("viewable", ())}
    if not noted:
        return
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(StoredInstance)
    fresh = {name: statement.excluded[name] for name in next(iter(noted.values())) if name != "key"}
    rows = [noted[key] for key in sorted(noted)]  # in one order, so that no two transactions wait for each other
    session.execute(statement.on_conflict_do_update(index_elements=["key"], set_=fresh), rows)


def forget(session: Session, keys: Iterable[str]) -> None:
    """These objects are deleted with this transaction, or were."""
    instances = sorted(key for key in keys if key.endswith(".dcm"))
    if instances:
        gone = delete(StoredInstance).where(StoredInstance.key.in_(instances))
        session.execute(gone, execution_options={"synchronize_session": False})


def objects_of(made: TranscodeDone) -> list[str]:
    """All keys that go when a result is not needed any more: the instances, and what viewers ask of them."""
    return [key for one in made.instances for key in (one.instance_key, companion_key(one.instance_key))]
