"""Results of quality searches are deleted when nobody has used them for a whole month."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from common.searches import search_key
from common.store.folder import FolderStore
from orchestrator.reconciler import delete_searches


def test_entries_of_past_months_are_deleted_and_no_others(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    months = ("2025-10", "2025-11", "2025-12", "2026-01")
    keys = {month: search_key(month, "ab" * 32, "cd" * 32) for month in months}
    for key in keys.values():
        store.put(key, b"{}")
    store.put("results/ab/cd/evidence.json", b"{}")
    assert delete_searches(store, datetime(2026, 1, 2, tzinfo=UTC)) == 2
    assert sorted(store.keys("")) == sorted(["results/ab/cd/evidence.json", keys["2025-12"], keys["2026-01"]])
