"""Two files, one table of scores, or the reason why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.errors import UnreadableSource, UnsupportedSource
from workers.ffmpeg.parse import parse_scores
from workers.measure import NotComparable, measure

if TYPE_CHECKING:
    from tests.integration.workers.conftest import Studio

BARS = "testsrc2=s=160x120:r=25:d=1,format=yuv420p"
EXACT = ("-c:v", "libx264", "-qp", 0)
POOR = ("-c:v", "libx264", "-crf", 38)


def test_scores_are_those_of_ffmpegs_own_comparison(studio: Studio) -> None:
    good, poor = studio.make("good.mp4", BARS, *EXACT), studio.make("poor.mkv", BARS, *POOR)
    scores = measure(good, poor)
    log = studio.folder / "log.csv"
    metrics = f"libvmaf=feature='name=psnr|name=float_ssim':log_fmt=csv:log_path={log}"
    numbered = "[1:v]settb=1/1000,setpts=N[d];[0:v]settb=1/1000,setpts=N[r]"
    studio.ffmpeg("-i", good, "-i", poor, "-lavfi", f"{numbered};[d][r]{metrics}", "-f", "null", "-")
    expected = parse_scores(log, 25)
    assert set(scores) == set(expected)
    for metric, values in expected.items():
        assert scores[metric]["mean"] == pytest.approx(float(values.mean()), abs=1e-3)
        assert scores[metric]["min"] == pytest.approx(float(values.min()), abs=1e-3)
    assert set(scores["vmaf"]) == {"mean", "harmonic_mean", "min", "p1", "p5", "worst_second"}


def test_a_file_against_itself_is_nearly_perfect(studio: Studio) -> None:
    path = studio.make("a.mp4", BARS, *EXACT)
    scores = measure(path, path)
    assert scores["vmaf"]["min"] > 95
    assert scores["psnr_y"]["min"] == 60  # libvmaf's ceiling for 8 bits
    assert scores["ssim"]["min"] == pytest.approx(1)


def test_the_order_of_reference_and_distorted_matters(studio: Studio) -> None:
    good, poor = studio.make("good.mp4", BARS, *EXACT), studio.make("poor.mp4", BARS, *POOR)
    assert measure(good, poor)["vmaf"] != measure(poor, good)["vmaf"]


def test_rgb_is_compared_in_the_form_an_encoder_is_given(studio: Studio) -> None:
    lossless = studio.make("a.mkv", BARS + ",format=rgb24", "-c:v", "ffv1", "-pix_fmt", "gbrp")
    same = studio.make("b.mkv", BARS + ",format=rgb24", "-c:v", "ffv1", "-pix_fmt", "gbrp")
    assert measure(lossless, same)["psnr_cb"]["min"] == 60


@pytest.mark.parametrize(
    ("other", "words", "reason"),
    [
        (BARS.replace("d=1", "d=0.8"), EXACT, "frame count is 25 and the other's is 20"),
        (BARS.replace("160x120", "160x128"), EXACT, "size is 160×120 and the other's is 160×128"),
        (BARS.replace("r=25", "r=30"), EXACT, "frame rate is 25 and the other's is 30"),
        (BARS, (*EXACT, "-colorspace", "bt709"), "colour matrix is bt470bg and the other's is bt709"),
    ],
)
def test_unequal_files_are_refused_with_the_reason(
    studio: Studio, other: str, words: tuple[object, ...], reason: str
) -> None:
    with pytest.raises(NotComparable, match=reason):
        measure(studio.make("a.mp4", BARS, *EXACT), studio.make("b.mp4", other, *words))


def test_a_picture_too_small_for_vmaf_is_refused(studio: Studio) -> None:
    path = studio.make("small.mp4", BARS.replace("160x120", "16x16"), *EXACT)
    with pytest.raises(UnsupportedSource, match="too small"):
        measure(path, path)


def test_a_file_that_is_no_video_is_unreadable(studio: Studio) -> None:
    path = studio.folder / "text.mp4"
    path.write_text("not a video")
    with pytest.raises(UnreadableSource):
        measure(path, path)


def test_a_file_with_sound_alone_is_unreadable(studio: Studio) -> None:
    path = studio.make("tone.m4a", "sine=d=1", "-c:a", "aac")
    with pytest.raises(UnreadableSource):
        measure(path, path)
