"""The corpus held against `cinefarm check`: each illegal file gives its one rule, each legal one nothing."""

from __future__ import annotations

import io
import re
from pathlib import Path

import av
import pydicom
import pytest
from pydicom.encaps import generate_fragments
from support.corpus.case import UNREADABLE, Case
from support.corpus.cases import CASES, ILLEGAL, LEGAL_CASES
from support.corpus.judges import Verdict, cinefarm, dciodvfy, rules
from support.corpus.streams import Workshop

from common.errors import InputError
from workers.check import check_file

PAGE = Path(__file__).parents[3] / "docs" / "confusion.md"
GREY_ERRORS = {
    "Unrecognized enumerated value <MONOCHROME2> for value 1 of attribute <Photometric Interpretation>",
    "May only be 3 for MPEG Transfer Syntax - attribute <SamplesPerPixel>",
}
"""dciodvfy is wrong here: PS3.5 8.2.5 has MONOCHROME2 for single-component data."""

pytestmark = [
    pytest.mark.xdist_group("corpus"),  # one worker makes each stream once
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom.*"),  # its words on the values that we broke
]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("streams"))


@pytest.fixture(scope="module")
def legal_files(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("legal")
    return {case.name: written(case, workshop, folder) for case in LEGAL_CASES}


def written(case: Case, workshop: Workshop, folder: Path) -> Path:
    path = folder / f"{case.name}.dcm"
    path.write_bytes(case.build(workshop))
    return path


def judged(path: Path) -> Verdict:
    try:
        return rules((finding.severity, finding.rule) for finding in check_file(path))
    except InputError:
        return Verdict("unread")


def parameters(cases: tuple[Case, ...]) -> list[object]:
    """A rule that the checker does not know yet is a strict xfail: the day it comes, the mark must go."""
    return [
        pytest.param(case, id=case.name, marks=pytest.mark.xfail(reason=case.unknown) if case.unknown else ())
        for case in cases
    ]


@pytest.mark.parametrize("case", parameters(ILLEGAL))
def test_an_illegal_file_gives_its_rule_and_no_other(case: Case, workshop: Workshop, tmp_path: Path) -> None:
    verdict = judged(written(case, workshop, tmp_path))
    assert verdict.exact(case), f"{case.rule} and {case.companions} are broken, and found was: {verdict}"


@pytest.mark.parametrize("case", parameters(LEGAL_CASES))
def test_a_legal_file_is_clean(case: Case, workshop: Workshop, tmp_path: Path) -> None:
    assert judged(written(case, workshop, tmp_path)) == Verdict("clean")


def test_the_command_over_all_legal_files_exits_0_and_names_no_error(legal_files: dict[str, Path]) -> None:
    verdicts, code = cinefarm([legal_files[case.name] for case in LEGAL_CASES if not case.unknown])
    assert {verdict.state for verdict in verdicts} == {"clean"}
    assert code == 0


@pytest.mark.parametrize(("name", "code"), [("planar", 1), ("container-moov-last", 1), ("stream-cut-off", 2)])
def test_the_command_exits_1_on_an_error_or_a_warning_and_2_on_what_it_cannot_read(
    name: str, code: int, workshop: Workshop, tmp_path: Path
) -> None:
    case = next(case for case in CASES if case.name == name)
    verdicts, found = cinefarm([written(case, workshop, tmp_path)])
    assert verdicts[0].exact(case)
    assert found == code


@pytest.mark.peer("dciodvfy")
def test_dciodvfy_has_no_error_of_its_own_on_the_legal_files_that_it_reads(legal_files: dict[str, Path]) -> None:
    verdicts = {case.name: dciodvfy(legal_files[case.name], case.instance.syntax) for case in LEGAL_CASES}
    errors = {name: set(verdict.rules) for name, verdict in verdicts.items() if verdict.state == "findings"}
    assert errors == {"100-grey": GREY_ERRORS}


def test_the_legal_files_hold_as_many_frames_as_their_headers_say(legal_files: dict[str, Path]) -> None:
    """By PyAV and pydicom: the corpus must not be judged by the checker alone."""
    for name, path in legal_files.items():
        dataset = pydicom.dcmread(path)
        stream = b"".join(generate_fragments(dataset.PixelData))
        with av.open(io.BytesIO(stream)) as container:
            assert sum(1 for _ in container.decode(video=0)) == dataset.NumberOfFrames, name


def test_there_are_60_illegal_files_and_30_legal_ones_and_each_has_a_name() -> None:
    errors = [case for case in ILLEGAL if case.weight == "error" and case.rule != UNREADABLE]
    assert len(errors) >= 60
    assert len(LEGAL_CASES) >= 30
    assert len({case.name for case in CASES}) == len(CASES)


def test_the_page_shows_every_case_and_no_other() -> None:
    shown = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert shown == [case.name for case in CASES]
