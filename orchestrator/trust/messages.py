"""Which records become which audit messages. Records that the standard has no message for (steps within the farm) become none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.ledger.decisions import What
from orchestrator.ledger.events import Happened, Outcome
from orchestrator.ledger.schema import Delivery, Item
from orchestrator.trust import dicom_audit as dicom
from orchestrator.trust.dicom_audit import Message, Participant, Thing

UNKNOWN_STUDY = "2.25.0"
"""Where the job of a record is gone, or its item has no study: a UID that no study can have (PS3.5 B.2, the nil UUID)."""

Row = Mapping[str, Any]


def messages(session: Session, table: str, rows: Sequence[Row], source: str) -> Iterator[bytes]:
    """The messages of some rows of one table, in their order. ``source``: the name of this farm."""
    if table == "events":
        made: Iterable[Message | None] = (_event(row) for row in rows)
    elif table == "decisions":
        studies = _studies(session, [row["item_id"] for row in rows if row["item_id"]])
        made = (_decision(row, studies) for row in rows)
    else:
        moved = _moved(session, [row["delivery_id"] for row in rows if row["delivery_id"] is not None])
        made = (_transfer(row, moved, source) for row in rows)
    for message in made:
        if message is not None:
            yield dicom.xml(message, source)


_AFTER = {
    "out": dicom.BEGIN_TRANSFERRING,
    "delivered": dicom.INSTANCES_TRANSFERRED,
    "failed": dicom.INSTANCES_TRANSFERRED,
}


def _transfer(row: Row, moved: Mapping[int, tuple[str, str, str, int]], source: str) -> Message | None:
    """One step of a delivery: it begins, it arrived, it did not."""
    arrived_at_once = row["after"] == "committed" and row["before"] == "out"
    event = dicom.INSTANCES_TRANSFERRED if arrived_at_once else _AFTER.get(row["after"])
    if row["delivery_id"] is None or event is None:
        return None
    destination, study, sop_class, count = moved.get(row["delivery_id"], ("unknown", "", "", 0))
    failed = row["after"] == "failed"
    return Message(
        event,
        "E" if event is dicom.BEGIN_TRANSFERRING else "C",
        row["at"],
        (Participant(source, True, dicom.SOURCE_ROLE), Participant(destination, False, dicom.DESTINATION_ROLE)),
        outcome=dicom.SERIOUS if failed else dicom.SUCCESS,
        things=(dicom.study(study or UNKNOWN_STUDY, sop_class, count), dicom.patient()),
    )


def _decision(row: Row, studies: Mapping[str, str]) -> Message | None:
    """What a person decided about a result; steering a job is no event of the standard, and is in the JSON lines."""
    if row["what"] not in (What.ACCEPTED, What.GIVEN_UP) or not row["item_id"]:
        return None
    things = (dicom.study(studies.get(row["item_id"]) or UNKNOWN_STUDY), dicom.patient())
    return Message(
        dicom.INSTANCES_ACCESSED, "U", row["at"], (Participant(row["by"], True),), things=things, said=row["what"]
    )


def _event(row: Row) -> Message | None:
    make = _EVENTS.get(row["what"])
    return None if make is None else make(row)


def _outcome(row: Row) -> str:
    return {Outcome.OK: dicom.SUCCESS, Outcome.REFUSED: dicom.MINOR}.get(row["outcome"], dicom.SERIOUS)


def _person(row: Row) -> Participant:
    return Participant(row["by"], True, address=row["origin"])


def _activity(kind: dicom.Code) -> Callable[[Row], Message]:
    def make(row: Row) -> Message:
        who = (Participant(row["origin"], False, dicom.APPLICATION, row["origin"]), Participant(row["by"], True))
        return Message(dicom.APPLICATION_ACTIVITY, "E", row["at"], who, _outcome(row), (kind,))

    return make


def _authentication(kind: dicom.Code) -> Callable[[Row], Message]:
    def make(row: Row) -> Message:
        return Message(dicom.USER_AUTHENTICATION, "E", row["at"], (_person(row),), _outcome(row), (kind,))

    return make


def _alert(kind: dicom.Code) -> Callable[[Row], Message]:
    def make(row: Row) -> Message:
        thing = Thing(str(row["detail"].get("route", row["what"])), dicom.URI, "2", "13", name=row["what"])
        return Message(dicom.SECURITY_ALERT, "E", row["at"], (_person(row),), _outcome(row), (kind,), (thing,))

    return make


def _denied(row: Row) -> Message:
    known = row["detail"].get("code") != "NoToken"
    return (_alert(dicom.RESTRICTED_FUNCTION) if known else _authentication(dicom.LOGIN))(row)


def _log_used(row: Row) -> Message:
    thing = Thing("audit", dicom.URI, "2", "13", name="Security Audit Log")
    return Message(
        dicom.AUDIT_LOG_USED, "R", row["at"], (_person(row),), _outcome(row), things=(thing,), said=row["what"]
    )


def _read(row: Row) -> Message:
    about = "/".join([row["detail"].get("route", ""), *map(str, row["detail"].get("of", {}).values())])
    things = (Thing(about or "unknown", dicom.URI, "2", "3"), dicom.patient())
    return Message(dicom.INSTANCES_ACCESSED, "R", row["at"], (_person(row),), _outcome(row), things=things)


_EVENTS: dict[str, Callable[[Row], Message]] = {
    Happened.STARTED: _activity(dicom.APPLICATION_START),
    Happened.STOPPED: _activity(dicom.APPLICATION_STOP),
    Happened.CONFIGURED: _alert(dicom.SOFTWARE_CONFIGURATION),
    Happened.SIGNED_IN: _authentication(dicom.LOGIN),
    Happened.SIGNED_OUT: _authentication(dicom.LOGOUT),
    Happened.DENIED: _denied,
    Happened.READ: _read,
    Happened.TOKEN_MADE: _alert(dicom.USER_SECURITY),
    Happened.TOKEN_REVOKED: _alert(dicom.USER_SECURITY),
    Happened.EXPORTED: _log_used,
    Happened.VERIFIED: _log_used,
    Happened.PRUNED: _log_used,
}


def _studies(session: Session, item_ids: list[str]) -> dict[str, str]:
    found = session.execute(select(Item.id, Item.study_uid).where(Item.id.in_(item_ids)))
    return {row.id: row.study_uid or "" for row in found}


def _moved(session: Session, delivery_ids: list[int]) -> dict[int, tuple[str, str, str, int]]:
    """Delivery → destination, Study Instance UID, SOP Class UID, number of instances."""
    wanted = select(Delivery.id, Delivery.destination, Item.study_uid, Item.result).join(
        Item, Item.id == Delivery.item_id
    )
    found = session.execute(wanted.where(Delivery.id.in_(delivery_ids)))
    return {
        row.id: (
            row.destination,
            row.study_uid or "",
            _text(row.result, "sop_class_uid"),
            len((row.result or {}).get("parts") or ()) or 1,
        )
        for row in found
    }


def _text(result: Mapping[str, Any] | None, name: str) -> str:
    return str((result or {}).get(name) or "")
