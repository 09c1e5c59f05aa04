"""What searches found, kept in the object store: the same source, recipe, gate and tools are not looked at twice.

An entry holds scores and sizes, no picture and no header value. It is a hint: every result is still encoded and judged as
a whole, so a damaged, foreign or outdated entry costs time and never quality.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from common.errors import CinefarmError
from common.ffmpeg import ffmpeg_program
from common.logs import logger
from common.media import Description
from common.orders import Part, Plan
from common.recipes import Search, canonical_digest
from common.searches import month_before, month_of, search_key
from common.store import ObjectStore
from workers.encode import tool_versions
from workers.search import Curve

log = logger(__name__)

VERSION = 1
"""Of the entry and of what the search does with it; raised when either changes."""

_LARGEST_BYTES = 1 << 20  # of an entry; one of ours has a few thousand
_CURVE = TypeAdapter(Curve)


@dataclass(frozen=True)
class StoredMemory:
    """The memory of one video under one plan."""

    store: ObjectStore
    digest: str  # SHA-256 of the source
    address: str
    search: Search
    month: str  # YYYY-MM, in UTC

    def recall(self) -> Curve:
        """The curve that this month's or the month before's entry holds; empty when there is none that can be used."""
        for month in (self.month, month_before(self.month)):
            key = search_key(month, self.digest, self.address)
            try:
                size = self.store.size(key)
                if size is None:
                    continue
                return self._read(key, size)
            except (CinefarmError, ValidationError, ValueError, RecursionError) as error:
                log.warning("search_entry_ignored", key=key, error=type(error).__name__)
        return Curve()

    def keep(self, curve: Curve) -> None:
        """Write the entry; it appears at once or not at all."""
        entry = {"version": VERSION, "address": self.address, "curve": asdict(curve)}
        text = json.dumps(entry, default=lambda value: value.model_dump(mode="json"))
        try:
            self.store.put(search_key(self.month, self.digest, self.address), text.encode())
        except CinefarmError as error:
            log.warning("search_entry_not_kept", code=error.code)

    def _read(self, key: str, size: int) -> Curve:
        """Raises: CinefarmError, ValidationError, ValueError: it is no entry of ours."""
        if size > _LARGEST_BYTES:
            raise ValueError("too large")
        entry = json.loads(self.store.get(key))
        if not isinstance(entry, dict) or (entry.get("version"), entry.get("address")) != (VERSION, self.address):
            raise ValueError("another entry")
        curve = _CURVE.validate_python(entry.get("curve"))
        if not sound(curve, self.search):
            raise ValueError("no curve that this search could have made")
        return curve


def sound(curve: Curve, search: Search) -> bool:
    """Whether a search within these bounds can have made this curve."""
    every = (*curve.probes, *curve.wholes)
    numbers = [probe.crf for probe in curve.probes]
    finer = [whole.crf for whole in curve.wholes]
    figures = (value for probe in every for pooled in probe.pooled.values() for value in pooled.model_dump().values())
    return (
        len(set(numbers)) == len(numbers) <= search.probes
        and sorted(set(finer), reverse=True) == finer
        and all(search.finest <= probe.crf <= search.coarsest and probe.frames > 0 and probe.pooled for probe in every)
        and all(value is None or math.isfinite(value) for value in figures)
        and bool(numbers or not finer)
    )


def memory_of(
    store: ObjectStore, description: Description, plan: Plan, *, part: Part | None = None, now: datetime | None = None
) -> StoredMemory | None:
    """The memory of this video, or of a part of it; None where nothing is looked for, or its bytes have no digest."""
    recipe = plan.recipe
    if recipe is None or recipe.search is None or plan.gate is None or not description.digest:
        return None
    facts: dict[str, Any] = {
        "version": VERSION,
        "recipe": recipe.model_copy(update={"crf": 0}).digest,  # where there are samples, the given number is not used
        "gate": canonical_digest(plan.gate),
        "handling": canonical_digest(plan.handling),
        "video": canonical_digest(description.video),
        "part": [part.first, part.last] if part else None,
        "tools": tools(),
    }
    text = json.dumps(facts, sort_keys=True)
    address = hashlib.sha256(text.encode()).hexdigest()
    return StoredMemory(store, description.digest, address, recipe.search, month_of(now or datetime.now(UTC)))


@cache
def tools() -> dict[str, str]:
    """What shapes scores and bytes. Encoders and libvmaf lie inside FFmpeg's program, so its SHA-256 stands for their versions."""
    with Path(ffmpeg_program()).open("rb") as program:
        digest = hashlib.file_digest(program, "sha256").hexdigest()
    return tool_versions() | {"ffmpeg_sha256": digest}
