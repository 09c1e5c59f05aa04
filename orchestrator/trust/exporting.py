"""Hand sealed records on: as JSON lines to a file, as DICOM audit messages to a collector. Memory is that of one page."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from sqlalchemy.orm import Session

from common.logs import logger
from common.settings import Settings
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Exported, now
from orchestrator.trust import canonical
from orchestrator.trust.messages import messages
from orchestrator.trust.sealing import TABLES, reading_only, rows_between, sealed_to
from orchestrator.trust.syslog import Collector

log = logger(__name__)

BATCH = 2_000
"""Records of one connection to a collector."""


def collector_of(settings: Settings) -> Collector | None:
    """The collector of the settings; None: none.

    Raises:
        PolicyError: its URL is not understood.
    """
    if not settings.audit_syslog_url:
        return None
    return Collector.parse(
        settings.audit_syslog_url,
        ca_file=settings.audit_syslog_ca_file,
        cert_file=settings.audit_syslog_cert_file,
        key_file=settings.audit_syslog_key_file,
    )


def json_lines(ledger: Sessions, *, after: dict[str, int] | None = None) -> Iterator[bytes]:
    """Every sealed record behind the ids of ``after``, table by table, in its canonical line: those bytes are what is sealed."""
    with reading_only(ledger) as reading:
        for name, table in TABLES.items():
            with reading() as session:
                for row in rows_between(session, table, (after or {}).get(name, 0) + 1, sealed_to(session, name)):
                    yield canonical.line(name, dict(row))


def dicom_lines(ledger: Sessions, source: str) -> Iterator[bytes]:
    """Every sealed record that the standard has an audit message for, one message a line."""
    with reading_only(ledger) as reading, reading() as session:
        for name, table in TABLES.items():
            rows = (dict(row) for row in rows_between(session, table, 1, sealed_to(session, name)))
            while batch := list(islice(rows, BATCH)):
                yield from (message + b"\n" for message in messages(session, name, batch, source))


def exported_to(session: Session, collector: str, table: str) -> int:
    """The highest id that a collector has."""
    known = session.get(Exported, (collector, table))
    return known.last_id if known else 0


def export(ledger: Sessions, collector: Collector, *, url: str, source: str) -> int:
    """Send a collector all sealed records that it lacks; returns how many messages. What was sent is noted batch by batch:
    after a fault the last batch goes out again, none is left out.

    Raises:
        EnvironmentFault: the collector did not take them.
        PolicyError: certificate files of ours cannot be used.
    """
    total = 0
    for name, table in TABLES.items():
        while True:
            with ledger.begin() as session:
                first = exported_to(session, url, name) + 1
                end = min(sealed_to(session, name), first + BATCH - 1)
            if end < first:
                break
            with reading_only(ledger) as reading, reading() as session:
                rows = [dict(row) for row in rows_between(session, table, first, end)]
                batch = list(messages(session, name, rows, source))
            if batch:
                total += collector.send(batch, name=source)
            with ledger.begin() as session:
                session.merge(Exported(collector=url, covers=name, last_id=end, at=now()))
    if total:
        log.info("audit_exported", messages=total)
    return total
