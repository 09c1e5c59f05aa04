"""Every target from at least three different sources, and the page that shows it (docs/matrix.md, `make matrix`)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.matrix.cells import CHOSEN, MADE, TARGETS, TWINS, Shelf, by_name
from support.matrix.proofs import (
    UNKNOWN_TO_DCIODVFY,
    Cell,
    Maker,
    comes_back_from,
    dciodvfy_reads_it,
    decodes_in_full,
    is_clean,
    is_labelled,
)
from support.matrix.sources import SOURCES
from support.matrix.table import shown
from support.orthanc import Orthanc, serve

PAGE = Path(__file__).parents[3] / "docs" / "matrix.md"

pytestmark = [
    pytest.mark.xdist_group("matrix"),  # one worker makes each source and each cell once, and starts one Orthanc
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom.*"),
]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def maker(shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker(shelf, tmp_path_factory.mktemp("cells"))


@pytest.fixture
def cell(request: pytest.FixtureRequest, maker: Maker) -> Cell:
    return maker.cell(*request.param)


def cells(*left_out: str) -> pytest.MarkDecorator:
    """Every cell that is made, but for some targets."""
    chosen = [place for place in CHOSEN if place[1] not in left_out]
    return pytest.mark.parametrize("cell", chosen, indirect=True, ids=map("-to-".join, chosen))


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(int(probe.getsockname()[1]))
    with serve(tmp_path_factory.mktemp("orthanc"), *ports) as archive:
        yield archive


@cells()
def test_it_is_labelled_as_asked_and_clean_for_our_checker(cell: Cell) -> None:
    is_labelled(cell)
    is_clean(cell)


@cells()
def test_a_decoder_gives_every_frame_of_the_source(cell: Cell) -> None:
    decodes_in_full(cell)


@pytest.mark.peer("dciodvfy")
@cells(*UNKNOWN_TO_DCIODVFY)
def test_dciodvfy_finds_no_error(cell: Cell) -> None:
    dciodvfy_reads_it(cell)


@pytest.mark.peer("Orthanc")
@cells()
def test_an_archive_gives_back_the_very_data_set_or_refuses_what_it_is_known_to_refuse(
    cell: Cell, orthanc: Orthanc, tmp_path: Path
) -> None:
    comes_back_from(orthanc, cell, tmp_path)


def test_every_target_is_made_from_three_sources_that_differ_in_more_than_their_name(shelf: Shelf) -> None:
    for target, names in (*MADE.items(), *TWINS.items()):
        kinds = {_kind(shelf, name) for name in names}
        assert len(kinds) >= 3, target
    assert set(MADE) == set(TARGETS)


def _kind(shelf: Shelf, name: str) -> tuple[object, ...]:
    """What makes one source another than the next, to a person and to a planner."""
    _, description = shelf.of(by_name(name))
    video, facts = description.video, description.dicom
    photometric = facts.photometric if facts else None
    return description.kind, description.container, video.codec, video.scan, video.bit_depth, photometric, video.height


def test_the_page_shows_what_is_planned_now(shelf: Shelf) -> None:
    page = {place: words for place, (words, _) in shown(PAGE.read_text(encoding="utf-8")).items() if words}
    planned = {(source.name, target): shelf.step(source, target).words for source in SOURCES for target in TARGETS}
    twins = {
        (name, target): shelf.step(by_name(name), target).words for target, names in TWINS.items() for name in names
    }
    assert page == planned | twins


def test_the_page_has_the_proofs_of_every_cell_that_is_made_and_of_no_other() -> None:
    proofs = {place: letters for place, (_, letters) in shown(PAGE.read_text(encoding="utf-8")).items() if letters}
    assert proofs == {place: letters_of(place[1]) for place in CHOSEN}


def letters_of(target: str) -> str:
    """The proofs that a target can have."""
    read = "" if target in UNKNOWN_TO_DCIODVFY else "D"
    return f"C{read}P{'o' if target in TWINS or target == '.201' else 'O'}"
