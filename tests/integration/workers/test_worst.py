"""Pictures of the worst frames: the right ones, from every kind of source, and never a reason to fail."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.loops import colour, loop, save

from common.orders import Path as Way
from common.orders import Plan, Pooled
from common.process import Limits
from common.recipes import ARCHIVE, Gate, Threshold
from workers.describe import describe
from workers.encode import encode
from workers.quality import pool
from workers.sources import open_source
from workers.worst import COUNTED_FRAMES, Compared, Drawn, deciding, draw_worst, panel_of

if TYPE_CHECKING:
    from tests.integration.workers.conftest import Clip, Studio

MOVING = "testsrc2=s=320x240:r=25:d=2"
COARSE = ARCHIVE.ladder[0].model_copy(update={"crf": 34, "search": None})


def compared(studio: Studio, clip: Clip, **changes: Any) -> Compared:
    studio.scratch.mkdir(exist_ok=True)
    plan = Plan(
        path=Way.ENCODE, reason="", sop_class_uid="1", transfer_syntax_uid=COARSE.transfer_syntax_uid,
        recipe=COARSE, gate=ARCHIVE.gate,
    )  # fmt: skip
    output = studio.folder / "out.mp4"
    made = encode(clip.media, clip.description, plan, output, studio.scratch, settings=studio.settings)
    pooled = pool(made.scores, clip.description.video.frame_rate)
    work = Compared(clip.media, clip.description, plan, output, made.scores, pooled, passed=False)
    return replace(work, **changes)


def drawn(studio: Studio, work: Compared) -> Drawn:
    return draw_worst(work, studio.scratch, studio.settings, limits=Limits(seconds=60))


def panels(drawing: Path, width: int) -> list[np.ndarray[Any, Any]]:
    with av.open(str(drawing)) as container:
        whole = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(float)
    return [whole[:, left : left + width] for left in (0, width, 2 * width)]


def test_each_picture_shows_the_frame_it_names_its_result_and_what_they_differ_by(studio: Studio) -> None:
    clip = studio.file(studio.make("clip.mp4", f"{MOVING},format=yuv420p", "-c:v", "libx264", "-qp", 5))
    found = drawn(studio, compared(studio, clip))
    assert found.why_not == ""
    assert (found.panel, len(found.files)) == ((320, 240), 5)
    with av.open(str(studio.folder / "clip.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24").astype(float) for frame in container.decode(video=0)]
    for number, file in zip(found.frames, found.files, strict=True):
        source, result, difference = panels(file, 320)
        apart = [np.abs(source - frame).mean() for frame in frames]
        assert int(np.argmin(apart)) == number
        assert np.abs(difference - np.minimum(8 * np.abs(source - result), 255)).mean() < 12  # JPEG's own noise, 8-fold


@pytest.mark.parametrize("long", [False, True])
def test_a_long_source_is_sought_and_shows_the_same_frames(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, long: bool
) -> None:
    clip = studio.file(studio.make("clip.mp4", f"{MOVING},format=yuv420p", "-c:v", "libx264", "-g", 30))
    monkeypatch.setattr("workers.worst.COUNTED_FRAMES", 10 if long else COUNTED_FRAMES)
    found = drawn(studio, compared(studio, clip, passed=True))
    assert found.how == ("sought" if long else "counted")
    assert len(found.files) == 5


def test_what_cannot_be_found_again_is_counted_where_it_was_quarantined_and_left_out_where_it_passed(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = studio.file(studio.make("clip.mp4", f"{MOVING},format=yuv420p", "-c:v", "libx264", "-g", 30))
    monkeypatch.setattr("workers.worst.COUNTED_FRAMES", 10)
    shifted = clip.description.video.model_copy(update={"frame_rate": Fraction(20)})  # its clock leads to other frames
    description = clip.description.model_copy(update={"video": shifted})
    work = replace(compared(studio, clip), description=description)
    assert drawn(studio, work).how == "counted"
    passed = drawn(studio, replace(work, passed=True))
    assert (passed.files, passed.why_not) == ((), "the frames that were measured could not be found again by seeking")
    assert passed.json()["pictures"] == []


def test_of_frames_in_a_dicom_file_the_worst_alone_are_read(studio: Studio, tmp_path: Path) -> None:
    path = save(loop(colour(frames=12, rows=240, columns=320), "RGB"), tmp_path / "loop.dcm")
    description = describe(path, ".dcm")
    clip = replace(studio.moving(), media=open_source(path, description, tmp_path), description=description)
    found = drawn(studio, compared(studio, clip))
    assert found.how == "picked"
    assert len(found.files) == 5


def test_full_range_sources_are_found_too(studio: Studio) -> None:
    graph = f"{MOVING},scale=out_range=full,format=yuvj420p"
    clip = studio.file(studio.make("clip.mp4", graph, "-c:v", "libx264", "-color_range", "pc"))
    assert len(drawn(studio, compared(studio, clip)).files) == 5


def test_pictures_can_be_turned_off_and_a_failure_is_told_not_raised(studio: Studio) -> None:
    clip = studio.file(studio.make("clip.mp4", f"{MOVING},format=yuv420p", "-c:v", "libx264"))
    work = compared(studio, clip)
    off = studio.settings.model_copy(update={"worst_frames": "off"})
    assert draw_worst(work, studio.scratch, off, limits=Limits()).files == ()
    passed_only = studio.settings.model_copy(update={"worst_frames": "quarantined"})
    assert draw_worst(replace(work, passed=True), studio.scratch, passed_only, limits=Limits()).files == ()
    work.result.unlink()
    assert "ProgramFailed" in drawn(studio, work).why_not


def figures(**values: float) -> dict[str, Pooled]:
    return {
        name: Pooled(mean=value, harmonic_mean=value, min=value, p1=value, p5=value, max=value)
        for name, value in values.items()
    }


def test_the_threshold_that_is_furthest_below_decides_whatever_its_unit() -> None:
    gate = Gate(
        thresholds=(
            Threshold(metric="psnr_y", statistic="p1", minimum=40),
            Threshold(metric="vmaf", statistic="p1", minimum=90),
            Threshold(metric="cambi", statistic="max", maximum=5),
        )
    )
    chosen = deciding(figures(psnr_y=40.3, vmaf=90.2, cambi=1), gate)
    assert chosen is not None
    assert chosen.metric == "vmaf"
    worse = deciding(figures(psnr_y=40.3, vmaf=90.2, cambi=9), gate)
    assert worse is not None
    assert worse.metric == "cambi"
    assert deciding({}, gate) is None


@given(st.integers(2, 8192), st.integers(2, 8192), st.fractions(Fraction(1, 4), Fraction(4)))
def test_a_panel_keeps_its_shape_within_bounds(width: int, height: int, aspect: Fraction) -> None:
    panel = panel_of(width, height, aspect)
    assert all(2 <= side <= 480 and side % 2 == 0 for side in panel)
