"""Check the chain of seals against the records: any row that was changed, removed, added or moved is named.

Memory is that of one link; the records are read once, in the order of their ids.
"""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sqlalchemy import func, select

from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Seal
from orchestrator.trust import canonical
from orchestrator.trust.keys import PublicKey
from orchestrator.trust.sealing import START, TABLES, reading_only, rows_between, sealed_to

CHAIN = "seals"


@dataclass(frozen=True)
class Fault:
    """Something that is not as it was sealed. ``row``: the id in ``table``, of a link its number; None: a whole range."""

    table: str
    row: int | None
    what: str
    seal: int


@dataclass
class Findings:
    """What was checked."""

    rows: Counter[str] = field(default_factory=Counter)  # checked, by table
    pruned: Counter[str] = field(default_factory=Counter)  # rows that retention let go, as their links say
    gaps: Counter[str] = field(default_factory=Counter)  # ids of transactions that were rolled back
    unsealed: Counter[str] = field(default_factory=Counter)  # rows written since the last seal: not proven yet
    seals: int = 0
    signed: int = 0  # with the key that was asked for
    keys: set[str] = field(default_factory=set)  # that seals say they are signed with
    faults: int = 0
    head: str = ""  # NUMBER:LINK of the newest seal; one that was noted elsewhere proves that the end is not cut off

    @property
    def intact(self) -> bool:
        """Nothing is other than it was sealed."""
        return not self.faults


class _Verifier:
    def __init__(
        self, ledger: Sessions, keys: tuple[PublicKey, ...], noted: str, told: Callable[[Fault], None]
    ) -> None:
        self._ledger, self._keys, self._noted, self._told = ledger, {key.name: key for key in keys}, noted, told
        self.findings = Findings()
        self._pruned: dict[tuple[str, int, int], str] = {}  # table, first and last id → digest
        self._next = dict.fromkeys(TABLES, 1)

    def run(self) -> Findings:
        with self._ledger() as session:
            cut = select(Seal.covers, Seal.first_id, Seal.last_id, Seal.digest).where(Seal.kind == "pruned")
            for covers, first, last, digest in session.execute(cut):
                self._pruned[covers, first, last] = digest
        previous, number, found = START, 0, not self._noted
        for seal in self._seals():
            self._chained(seal, previous, number + 1)
            found = found or f"{seal.number}:{seal.link}" == self._noted
            self._covered(seal)
            previous, number = seal.link, seal.number
            self.findings.seals += 1
            self.findings.head = f"{number}:{previous}"
        if not found:
            self._fault(
                CHAIN,
                None,
                "the seal that was noted is not in the chain: its end was cut off, or it was made anew",
                number,
            )
        self._outside(number)
        return self.findings

    def _seals(self) -> Iterator[Seal]:
        number = -(1 << 31)
        while True:
            with self._ledger() as session:
                seal = session.scalars(select(Seal).where(Seal.number > number).order_by(Seal.number).limit(1)).first()
            if seal is None:
                return
            yield seal
            number = seal.number

    def _chained(self, seal: Seal, previous: str, number: int) -> None:
        if seal.number != number:
            self._fault(CHAIN, number, "is missing", seal.number)
        elif seal.previous != previous:
            self._fault(CHAIN, seal.number, "does not follow the link before it", seal.number)
        columns = {column.key: getattr(seal, column.key) for column in Seal.__table__.columns}
        if canonical.link_of(columns) != seal.link:
            self._fault(CHAIN, seal.number, "was changed", seal.number)
        if seal.key:
            self.findings.keys.add(seal.key)
        if not self._keys:
            return
        key = self._keys.get(seal.key)
        if key is not None and key.signed(seal.link, seal.signature):
            self.findings.signed += 1
        elif key is not None:
            self._fault(CHAIN, seal.number, "has a signature that is not its key's", seal.number)
        elif seal.key or self.findings.signed:
            self._fault(CHAIN, seal.number, "is not signed with a key that was given", seal.number)

    def _covered(self, seal: Seal) -> None:
        if seal.covers not in TABLES or seal.kind not in ("rows", "pruned"):
            self._fault(CHAIN, seal.number, "covers nothing that is known", seal.number)
        elif seal.kind == "pruned":
            self.findings.pruned[seal.covers] += seal.row_count
        else:
            if seal.first_id != self._next[seal.covers]:
                self._fault(
                    CHAIN, seal.number, f"does not begin where the one before it ended ({seal.covers})", seal.number
                )
            self._next[seal.covers] = seal.last_id + 1
            self.findings.gaps[seal.covers] += seal.last_id - seal.first_id + 1 - seal.row_count
            if not self._is_pruned(seal):
                self._rows(seal)

    def _is_pruned(self, seal: Seal) -> bool:
        """Its rows may be gone: a later link says so, with the digest of what left."""
        return self._pruned.get((seal.covers, seal.first_id, seal.last_id)) == seal.digest

    def _rows(self, seal: Seal) -> None:
        """Rows and marks side by side, both in the order of ids."""
        table, whole, before = TABLES[seal.covers], hashlib.sha256(), self.findings.faults
        try:
            marks = canonical.marked(seal.first_id, seal.marks)
            expected = next(marks, None)
            with self._ledger() as session:
                for row in rows_between(session, table, seal.first_id, seal.last_id):
                    text = canonical.line(table.name, dict(row))
                    whole.update(text)
                    self.findings.rows[table.name] += 1
                    while expected is not None and expected[0] < row["id"]:
                        self._fault(table.name, expected[0], "was removed", seal.number)
                        expected = next(marks, None)
                    if expected is None or expected[0] != row["id"]:
                        self._fault(table.name, row["id"], "was added later", seal.number)
                        continue
                    if hashlib.sha256(text).digest()[:8] != expected[1]:
                        self._fault(table.name, row["id"], "was changed", seal.number)
                    expected = next(marks, None)
            while expected is not None:
                self._fault(table.name, expected[0], "was removed", seal.number)
                expected = next(marks, None)
        except struct.error:
            self._fault(CHAIN, seal.number, "has marks that cannot be read", seal.number)
        if whole.hexdigest() != seal.digest and self.findings.faults == before:
            self._fault(
                table.name, None, f"rows {seal.first_id} to {seal.last_id} are not those that were sealed", seal.number
            )

    def _outside(self, number: int) -> None:
        """What no seal covers: before the first id, and since the last seal."""
        with self._ledger() as session:
            for name, table in TABLES.items():
                for row in session.scalars(select(table.c.id).where(table.c.id < 1).limit(100)):
                    self._fault(name, row, "was added later", number)
                end = sealed_to(session, name)
                since = session.scalar(select(func.count()).select_from(table).where(table.c.id > end)) or 0
                self.findings.unsealed[name] = since

    def _fault(self, table: str, row: int | None, what: str, seal: int) -> None:
        self.findings.faults += 1
        self._told(Fault(table, row, what, seal))


def verify(
    ledger: Sessions,
    *,
    keys: tuple[PublicKey, ...] = (),
    noted: str = "",
    told: Callable[[Fault], None] = lambda _fault: None,
) -> Findings:
    """Check everything; each fault is told as it is found, in the order of the chain.

    ``keys``: whose signatures count; from the first seal that one of them signed, every one must be. ``noted``: NUMBER:LINK of a seal
    that was written down elsewhere.
    """
    with reading_only(ledger) as reading:
        return _Verifier(reading, keys, noted, told).run()
