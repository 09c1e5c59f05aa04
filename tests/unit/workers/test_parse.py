"""FFmpeg's text, captured from real runs and damaged in the ways that matter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InternalFault
from workers.ffmpeg.parse import Progress, ProgressReader, parse_scores

GOLDEN = Path(__file__).parents[2] / "golden"
LOG = (GOLDEN / "libvmaf.csv").read_text()
FRAMES = 100


def damaged(tmp_path: Path, old: str, new: str, count: int = -1) -> Path:
    assert old in LOG
    path = tmp_path / "scores.csv"
    path.write_text(LOG.replace(old, new, count))
    return path


def test_a_captured_log_gives_every_metric_of_every_frame() -> None:
    scores = parse_scores(GOLDEN / "libvmaf.csv", FRAMES)
    assert {name: len(values) for name, values in scores.items()} == dict.fromkeys(
        ("psnr_y", "psnr_cb", "psnr_cr", "ssim", "vmaf"), FRAMES
    )
    first = LOG.splitlines()[1].split(",")
    assert [scores["psnr_y"][0], scores["vmaf"][0]] == pytest.approx([float(first[1]), float(first[-2])])
    assert all(values.dtype == np.float32 for values in scores.values())


@pytest.mark.parametrize("metric", ["psnr_y", "psnr_cb", "psnr_cr", "float_ssim", "vmaf", "Frame"])
def test_a_missing_column_is_an_error(tmp_path: Path, metric: str) -> None:
    path = damaged(tmp_path, f"{metric},", "other,", 1)
    with pytest.raises(InternalFault, match=f"lacks {metric}"):
        parse_scores(path, FRAMES)


@pytest.mark.parametrize("expected", [99, 101])
def test_another_number_of_frames_is_an_error(expected: int) -> None:
    with pytest.raises(InternalFault, match=f"100 frames were measured and {expected} were expected"):
        parse_scores(GOLDEN / "libvmaf.csv", expected)


def test_a_skipped_frame_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InternalFault, match="skipped frame 7"):
        parse_scores(damaged(tmp_path, "\n7,", "\n8,"), FRAMES)


@pytest.mark.parametrize("value", ["nan", "-nan", "inf", "-inf"])
def test_a_value_that_is_no_number_is_an_error(tmp_path: Path, value: str) -> None:
    first = LOG.splitlines()[1].split(",")[1]
    with pytest.raises(InternalFault, match="psnr_y of frame 0 is no number"):
        parse_scores(damaged(tmp_path, first, value, 1), FRAMES)


def test_a_log_that_breaks_off_in_a_row_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(LOG[: LOG.index("\n50,") + 12])
    with pytest.raises(InternalFault, match="cannot be read"):
        parse_scores(path, FRAMES)


def test_a_log_that_was_never_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InternalFault, match="wrote no log"):
        parse_scores(tmp_path / "nowhere.csv", 1)


@pytest.mark.parametrize("text", ["", "\n", "Frame,\n", "\0" * 100])
def test_an_empty_log_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(InternalFault):
        parse_scores(path, 0)


@given(st.text(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_text_is_either_a_log_or_our_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "scores.csv"
    path.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(InternalFault):
        parse_scores(path, 1)


def test_a_captured_transcript_gives_a_report_per_block() -> None:
    reports: list[Progress] = []
    reader = ProgressReader(reports.append)
    for line in (GOLDEN / "progress.txt").read_text().splitlines():
        reader.line(line)
    assert [report.frame for report in reports] == [32, 74, 100]
    assert reports[1] == Progress(frame=74, fps=73.89, size_bytes=262192)
    assert reader.last == reports[-1]


def test_what_ffmpeg_does_not_know_yet_counts_as_nothing() -> None:
    reader = ProgressReader()
    for line in ("frame=3", "fps=N/A", "out_time_us=N/A", "speed=N/A", "total_size=N/A", "progress=continue"):
        reader.line(line)
    assert reader.last == Progress(frame=3, fps=0, size_bytes=0)


def test_a_block_without_its_end_is_no_report() -> None:
    reader = ProgressReader()
    reader.line("frame=3")
    assert reader.last is None


@given(st.lists(st.text(max_size=30), max_size=20))
@settings(max_examples=60, deadline=None)
def test_no_line_stops_the_reader(lines: list[str]) -> None:
    reader = ProgressReader()
    for line in (*lines, "frame=5", "progress=end"):
        reader.line(line)
    assert reader.last is not None
    assert reader.last.frame == 5
