"""Every kind of source, through describe, plan and transcode: what comes out is what was shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from support.passage import Result, passage
from support.zoo import MIRRORED, PLAIN, TURNED_RIGHT, UPSIDE_DOWN, Source
from support.zoo_dicom import LOOPS

from common.media import Scan


@dataclass(frozen=True)
class Passed:
    """A source and its result."""

    source: Source
    result: Result


@pytest.fixture(scope="module", params=(*PLAIN, *LOOPS), ids=lambda source: source.name)
def passed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Passed:
    source, folder = request.param, tmp_path_factory.mktemp(request.param.name)
    return Passed(source, passage(source.made(folder), folder, handling=source.handling, audio=source.audio))


def test_size_and_frames_are_those_that_were_shown(passed: Passed) -> None:
    header, frames = passed.result.instance, passed.result.frames
    assert {(frame.width, frame.height) for frame in frames} == {passed.source.size}
    assert (header.Columns, header.Rows) == passed.source.size
    assert len(frames) == header.NumberOfFrames == passed.source.frames


def test_scan_and_rate_are_as_the_policy_says(passed: Passed) -> None:
    source, header = passed.source, passed.result.instance
    assert {frame.interlaced_frame for frame in passed.result.frames} == {source.scan is not Scan.PROGRESSIVE}
    if "FrameTime" in header:
        assert float(header.FrameTime) == pytest.approx(float(1000 / source.rate), abs=0.01)
    else:
        assert len(header.FrameTimeVector) == source.frames


def test_colours_stand_where_they_stood(passed: Passed) -> None:
    if passed.source.quarters is None:
        pytest.skip("the policy or the kind changes its colours: see the tests of it")
    picture = passed.result.rgb()
    height, width, _ = picture.shape
    for colour, (across, down) in zip(passed.source.quarters, ((1, 1), (3, 1), (1, 3), (3, 3)), strict=True):
        row, column = down * height // 4, across * width // 4
        found = picture[row - 2 : row + 3, column - 2 : column + 3].mean((0, 1))
        assert np.abs(found - colour).max() <= passed.source.tolerance, f"{found} for {colour}"


def test_every_frame_is_there_once_and_in_order(passed: Passed) -> None:
    if passed.source.marks is None:
        pytest.skip("it shows no mark, or two of them")
    assert tuple(_mark(passed, number) for number in range(passed.source.frames)) == passed.source.marks


def test_the_target_is_one_that_holds_it(passed: Passed) -> None:
    assert passed.result.target in (passed.source.targets or (".100", ".102", ".104", ".107", ".108"))


def test_no_rule_is_broken(passed: Passed) -> None:
    assert passed.result.done.verdict.passed
    assert [finding for finding in passed.result.done.findings if finding.severity == "error"] == []


def _mark(passed: Passed, number: int) -> int:
    """In which sixteenth of the way the black mark of a frame stands."""
    luma = passed.result.rgb(number).mean(-1)
    if passed.source.quarters == TURNED_RIGHT:
        luma = luma.T
    middle, width = luma.shape[0] // 2, luma.shape[1]
    way = luma[middle - 2 : middle + 2].mean(0)
    block = width // 16
    darkness = np.convolve(way, np.ones(block) / block, "valid")
    place = int((darkness.argmin() + block / 2) * 16 / width)
    return 15 - place if passed.source.quarters in (UPSIDE_DOWN, MIRRORED) else place
