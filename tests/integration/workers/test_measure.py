"""Two files, one table of scores, or the reason why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.errors import PolicyError, UnreadableSource, UnsupportedSource
from workers.ffmpeg.parse import parse_scores
from workers.measure import NotComparable
from workers.measure import measure as compared

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.workers.conftest import Studio


def measure(reference: Path, distorted: Path, **options: object) -> dict[str, dict[str, float]]:
    """The scores alone."""
    found = compared(reference, distorted, **options).json()
    return {name: value for name, value in found.items() if name not in {"alignment", "identical"}}


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
    assert compared(path, path).identical
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


FILM = "testsrc2=s=160x120:r=25:d=2,format=yuv420p"


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ("loop=loop=1:size=1:start=0,trim=end_frame=50", "the result is one frame late: no score"),
        ("trim=start_frame=2,tpad=stop=2:stop_mode=clone", "the result is two frames early"),
        # FFmpeg counts from 1 here: frame 28 is shown twice
        ("loop=loop=1:size=1:start=29,trim=end_frame=50", "the result is one frame late from frame 29 on"),
        ("select='not(eq(n,20))',tpad=stop=1:stop_mode=clone", "the result is one frame early from frame 20 on"),
        ("select='not(eq(n,20))'", "is 50 and the other's is 49; the result is one frame early from frame 20 on"),
        ("trim=end_frame=45", "frame count is 50 and the other's is 45$"),
    ],
)
def test_frames_that_do_not_stand_side_by_side_are_named(studio: Studio, steps: str, reason: str) -> None:
    good = studio.make("good.mp4", FILM, *EXACT)
    moved = studio.make("moved.mp4", f"{FILM},{steps},setpts=N/25/TB", "-c:v", "libx264", "-crf", 26)
    with pytest.raises(NotComparable, match=reason):
        compared(good, moved)


def test_a_coarse_encode_in_its_place_is_proven_to_be_there(studio: Studio) -> None:
    good = studio.make("good.mp4", FILM, *EXACT)
    found = compared(good, studio.make("poor.mp4", FILM, "-c:v", "libx264", "-crf", 45))
    assert (found.alignment.shifts, found.identical) == ((), False)
    assert found.alignment.told > 10


def test_a_picture_that_stands_still_is_measured_and_the_answer_says_what_cannot_be_told(studio: Studio) -> None:
    still = "testsrc2=s=160x120:r=25:d=0.04,format=yuv420p,loop=loop=24:size=1,noise=alls=4:allf=t"
    good = studio.make("good.mp4", still, *EXACT)
    found = compared(good, studio.make("poor.mp4", still, *POOR))
    assert found.alignment.word.startswith("cannot be told")


def test_further_metrics_are_given_when_they_are_asked_for(studio: Studio) -> None:
    film = FILM.replace("160x120", "256x192").replace("d=2", "d=0.4")
    good, poor = studio.make("good.mp4", film, *EXACT), studio.make("poor.mp4", film, *POOR)
    assert set(measure(good, poor, metrics=("ssim", "psnr_rgb"), threads=1)) == {"ssim", "psnr_rgb"}
    every = measure(good, poor, metrics=("all",))
    assert set(every) == {
        *("vmaf", "psnr_y", "psnr_cb", "psnr_cr", "ssim", "ms_ssim", "vmaf_neg", "psnr_rgb"),
        *("cambi", "cambi_source", "cambi_added"),
    }
    assert every["vmaf_neg"]["mean"] < every["vmaf"]["mean"]
    assert every["cambi"]["max"] >= every["cambi"]["p99"]


def test_an_unknown_metric_and_one_that_small_pictures_do_not_have_are_refused(studio: Studio) -> None:
    path = studio.make("a.mp4", BARS, *EXACT)
    with pytest.raises(PolicyError, match="vif is no metric"):
        compared(path, path, metrics=("vif",))
    with pytest.raises(UnsupportedSource, match="MS-SSIM needs 176"):
        compared(path, path, metrics=("ms_ssim",))
