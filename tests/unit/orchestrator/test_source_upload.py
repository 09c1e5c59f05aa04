"""Sources on their way to a store that lies elsewhere: nobody waits for a long film, nothing is brought twice at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import CinefarmError, InternalFault, StoreFault, UnreadableSource
from common.store.folder import FolderStore
from orchestrator.sources import Sources


class Elsewhere(FolderStore):
    """A folder store without local paths, whose uploads wait for a sign."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.go = threading.Event()
        self.fault: Exception | None = None
        self.adopted: list[str] = []

    def local_path(self, key: str) -> Path | None:
        return None

    def adopt(self, key: str, path: Path) -> None:
        self.go.wait(30)
        self.adopted.append(key)
        if self.fault:
            raise self.fault


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Elsewhere]:
    store = Elsewhere(tmp_path / "objects")
    yield store
    store.go.set()


@pytest.fixture
def sources(store: Elsewhere) -> Iterator[Sources]:
    sources = Sources(store)
    yield sources
    store.go.set()
    sources.close()


def arrived(sources: Sources, wanted: dict[str, str]) -> dict[str, CinefarmError | None]:
    """Ask until all have an outcome."""
    outcomes: dict[str, CinefarmError | None] = {}
    for _ in range(100):
        outcomes |= sources.bring({key: path for key, path in wanted.items() if key not in outcomes})
        if len(outcomes) == len(wanted):
            return outcomes
    raise AssertionError(f"still on their way: {wanted.keys() - outcomes.keys()}")


def test_a_folder_takes_a_source_at_once(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "objects")
    (tmp_path / "clip").write_bytes(b"x")
    assert Sources(store).bring({"sources/1": str(tmp_path / "clip")}) == {"sources/1": None}
    assert store.get("sources/1") == b"x"


def test_a_source_on_its_way_has_no_outcome_yet(sources: Sources, store: Elsewhere) -> None:
    wanted = {"sources/1": "a", "sources/2": "b"}
    assert sources.bring(wanted) == {}
    store.go.set()
    assert arrived(sources, wanted) == {"sources/1": None, "sources/2": None}


def test_asking_again_does_not_bring_it_twice(sources: Sources, store: Elsewhere) -> None:
    for _ in range(3):
        sources.bring({"sources/1": "a"})
    store.go.set()
    arrived(sources, {"sources/1": "a"})
    assert store.adopted == ["sources/1"]


@pytest.mark.parametrize("fault", [UnreadableSource("gone"), StoreFault("away")])
def test_what_stopped_a_source_is_told_once(sources: Sources, store: Elsewhere, fault: CinefarmError) -> None:
    store.fault = fault
    store.go.set()
    assert arrived(sources, {"sources/1": "a"}) == {"sources/1": fault}
    store.fault = None
    assert arrived(sources, {"sources/1": "a"}) == {"sources/1": None}


def test_a_bug_on_the_way_costs_that_source_only(sources: Sources, store: Elsewhere) -> None:
    store.fault = ZeroDivisionError("Doe^Jane")
    store.go.set()
    outcome = arrived(sources, {"sources/1": "a"})["sources/1"]
    assert isinstance(outcome, InternalFault)
    assert "Doe" not in outcome.message
