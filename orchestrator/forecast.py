"""What a migration would do: each source planned as the farm would plan it, and the sums. No ledger, no store; flat in items."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from common.dicom.transfer_syntaxes import short
from common.errors import CinefarmError
from common.media import Description
from common.orders import Coercion, Failure, Path, Plan
from common.recipes import Audio, Profile
from common.stages import State
from orchestrator.acceptance import Destinations
from orchestrator.coercing import coerced
from orchestrator.describing import Listed, Outcome
from orchestrator.estimates import evidence_bytes, scratch_bytes
from orchestrator.ingest.found import Found
from orchestrator.ingest.mapping import Mapping, header_json
from orchestrator.ingest.worklist import Supplier
from orchestrator.planner import plan
from orchestrator.profiles import by_header

MAX_STEPS = 50
"""Different pieces of advice that the sums keep; a tree of a million files has few, and must not fill memory with more."""


@dataclass(frozen=True)
class Prospect:
    """One source and what would become of it."""

    number: int
    name: str
    size_bytes: int
    state: (
        State  # planned, skipped or failed; found: it lies in an archive, and nothing can be said before it is fetched
    )
    reason: str
    plan: Plan | None = None
    description: Description | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Question:
    """What the plan is for: as the recorder would ask the planner."""

    profile: Profile
    destinations: Destinations
    audio: Audio = Audio.STRIP
    mapping: Mapping | None = None
    coercion: Coercion | None = None
    supplier: Supplier | None = None  # in place of the mapping, where a worklist is asked too

    @property
    def supply(self) -> Supplier:
        """Who says whose a plain video is."""
        return self.supplier or Supplier(self.mapping, None)


@dataclass
class Sum:
    """Of some items: bytes and seconds."""

    items: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    longest: float = 0.0  # s, of one item

    def add(self, size_bytes: int, made: Plan) -> None:
        """One more planned item."""
        self.items += 1
        self.bytes_in += size_bytes
        self.bytes_out += made.estimated_bytes
        self.seconds += made.estimated_seconds
        self.longest = max(self.longest, made.estimated_seconds)


@dataclass
class Totals:
    """The sums of a plan. Their size depends on the kinds of items, not on their number."""

    counts: Counter[State] = field(default_factory=Counter)
    bytes_total: int = 0
    whole: Sum = field(default_factory=Sum)
    paths: dict[Path, Sum] = field(default_factory=dict)
    targets: dict[str, Sum] = field(default_factory=dict)
    queues: dict[str, Sum] = field(default_factory=dict)
    rules: Counter[str] = field(default_factory=Counter)  # what closed the cheaper path that was nearest
    steps: Counter[str] = field(default_factory=Counter)
    split_items: int = 0
    evidence_bytes: int = 0
    largest_bytes: int = 0

    def add(self, item: Prospect) -> None:
        """One more item."""
        self.counts[item.state] += 1
        self.bytes_total += item.size_bytes
        if (
            item.failure is not None
            and item.failure.hint
            and (item.failure.hint in self.steps or len(self.steps) < MAX_STEPS)
        ):
            self.steps[item.failure.hint] += 1
        if item.plan is not None:
            self._planned(item, item.plan)

    def _planned(self, item: Prospect, made: Plan) -> None:
        for sums in (
            self.whole,
            self.paths.setdefault(made.path, Sum()),
            self.targets.setdefault(short(made.transfer_syntax_uid), Sum()),
            self.queues.setdefault(made.queue, Sum()),
        ):
            sums.add(item.size_bytes, made)
        if made.forced_by:
            self.rules[made.forced_by[-1].rule] += 1
        frames = item.description.video.frame_count if item.description and made.path is Path.ENCODE else 0
        self.split_items += made.split is not None
        self.evidence_bytes += evidence_bytes(frames)
        self.largest_bytes = max(self.largest_bytes, made.estimated_bytes)

    def scratch_bytes(self, slots: int) -> int:
        """Disk that the work needs besides its results."""
        return scratch_bytes(self.largest_bytes, slots)


class Twins:
    """Sources with the bytes of an earlier one. Digests lie in a file that SQLite deletes, not in memory."""

    def __init__(self) -> None:
        self._seen = sqlite3.connect("", isolation_level=None)
        self._seen.execute("PRAGMA journal_mode=OFF")
        self._seen.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY, name TEXT) WITHOUT ROWID")

    def close(self) -> None:
        """Forget all of them."""
        self._seen.close()

    def earlier(self, description: Description, header: bytes, name: str) -> str | None:
        """Name of an earlier item with the same bytes (plain video: and the same supplied header); None: this is the first."""
        if not description.digest:
            return None
        key = bytes.fromhex(description.digest) + (
            hashlib.sha256(header).digest() if description.dicom is None else b""
        )
        found = self._seen.execute("SELECT name FROM seen WHERE digest = ?", (key,)).fetchone()
        if found is None:
            self._seen.execute("INSERT INTO seen VALUES (?, ?)", (key, name))
        return found[0] if found else None


def forecast(described: Iterable[tuple[Found, Outcome]], question: Question) -> Iterator[Prospect]:
    """What would become of each source, in their order."""
    twins = Twins()
    try:
        for number, (found, outcome) in enumerate(described, 1):
            yield _prospect(number, found, outcome, question, twins)
    finally:
        twins.close()


def _prospect(number: int, found: Found, outcome: Outcome, question: Question, twins: Twins) -> Prospect:
    if isinstance(outcome, Failure):
        state = State.SKIPPED if outcome.code == "NotVideo" else State.FAILED
        failure = None if state is State.SKIPPED else outcome
        return Prospect(number, found.relative, found.size_bytes, state, outcome.message, failure=failure)
    if isinstance(outcome, Listed):
        reason = f"{outcome.note}; it is planned when it has been fetched".removeprefix("; ")
        return Prospect(number, found.relative, found.size_bytes, State.FOUND, reason)
    given = question.supply.of(found)
    row = None if isinstance(given, CinefarmError) else given
    header = header_json(row) if row is not None else b""
    if twin := twins.earlier(outcome, header, found.relative):
        reason = f"the same bytes as {twin}"
        return Prospect(number, found.relative, found.size_bytes, State.SKIPPED, reason, description=outcome)
    try:
        if outcome.dicom is None and row is None:
            raise given if isinstance(given, CinefarmError) else question.supply.nothing_known()
        if row is not None:
            outcome = by_header(outcome, question.profile.header_patterns, row.dataset())
        made = plan(
            outcome,
            question.profile,
            question.destinations,
            audio=question.audio,
            modality=row.modality if row else "",
            requested_class=row.requested_class if row else None,
        )
        made = coerced(made, outcome, question.coercion)
    except CinefarmError as error:
        failure = Failure.of(error)
        return Prospect(
            number, found.relative, found.size_bytes, State.FAILED, error.message, description=outcome, failure=failure
        )
    return Prospect(number, found.relative, found.size_bytes, State.PLANNED, made.reason, made, outcome)
