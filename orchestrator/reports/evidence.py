"""Read what a worker left beside a result: the evidence, the per-frame scores, the pictures of the worst frames."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import StoreFault
from common.store import ObjectStore

LARGEST_BYTES = 256 << 20
"""Of one object that is read whole: the scores of a day of video have 40 MB."""


@dataclass(frozen=True)
class Picture:
    """One of the worst frames: source, result and difference side by side, as JPEG."""

    frame: int  # from 0
    jpeg: bytes


@dataclass(frozen=True)
class ItemEvidence:
    """All that is known of one result beyond the ledger. ``document`` is evidence.json (workers.evidence)."""

    document: dict[str, Any]
    scores: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()

    @property
    def worst(self) -> dict[str, Any]:
        """What is said of the worst frames' pictures; empty: nothing."""
        found = self.document.get("worst_pictures")
        return found if isinstance(found, dict) else {}

    @property
    def rate(self) -> Fraction:
        """Measured frames per second of video: of a gate that measures at a stride fewer than there are."""
        video = self.document.get("source", {}).get("description", {}).get("video", {})
        gate = self.document.get("plan", {}).get("gate") or {}
        try:
            rate = Fraction(str(video.get("frame_rate", "25")))
        except (ValueError, ZeroDivisionError):
            return Fraction(25)
        return (rate if rate > 0 else Fraction(25)) / int(gate.get("stride") or 1)


def load_evidence(store: ObjectStore, keys: Sequence[str], *, pictures: bool = True) -> ItemEvidence | None:
    """What lies under these keys of an item, and the pictures beside it; None where the store no longer has it.

    What cannot be read is left out: a report is written all the same.
    """
    evidence = next((key for key in keys if key.endswith("evidence.json")), None)
    document = _json(_read(store, evidence)) if evidence else None
    if evidence is None or document is None:
        return None
    scores = next((key for key in keys if key.endswith("scores.npz")), None)
    loaded = ItemEvidence(document, _scores(_read(store, scores)) if scores else {})
    if not pictures:
        return loaded
    prefix = evidence.removesuffix("evidence.json")
    found = [
        Picture(int(each["frame"]), jpeg)
        for each in loaded.worst.get("pictures", ())
        if (jpeg := _read(store, f"{prefix}{each['name']}")) is not None
    ]
    return ItemEvidence(loaded.document, loaded.scores, tuple(found))


def _read(store: ObjectStore, key: str) -> bytes | None:
    try:
        size = store.size(key)
        return store.get(key) if size is not None and size <= LARGEST_BYTES else None
    except StoreFault:
        return None


def _json(text: bytes | None) -> dict[str, Any] | None:
    try:
        value = json.loads(text) if text is not None else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _scores(data: bytes | None) -> dict[str, NDArray[np.float32]]:
    if data is None:
        return {}
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as columns:
            return {name: columns[name].astype(np.float32) for name in columns.files}
    except (ValueError, OSError, zipfile.BadZipFile):
        return {}
