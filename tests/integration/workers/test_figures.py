"""Further figures, each held against another program's or its own definition."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest

from common.recipes import Audio, Figure, Gate, Threshold
from workers.encode import encode
from workers.quality import judge, pool

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.integration.workers.conftest import Clip, Studio
    from workers.encode import Encoded

BARS = "testsrc2=s=256x192:r=25:d=1,format=yuv420p"
EVERY = {"ms_ssim", "vmaf_neg", "cambi", "cambi_source", "cambi_added", "psnr_rgb"}
FLOOR = Threshold(metric="vmaf", statistic="p1", minimum=1)


def encoded(studio: Studio, clip: Clip, gate: Gate, **recipe: object) -> Encoded:
    plan = studio.plan(audio=Audio.STRIP, **recipe).model_copy(update={"gate": gate})
    return encode(
        clip.media, clip.description, plan, studio.folder / "out.mp4", studio.scratch, settings=studio.settings
    )


def psnr(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the mean squared error over rows, columns and R, G, B of each frame."""
    error = np.square(before - after).mean(axis=(1, 2, 3))
    return np.asarray(10 * np.log10(255**2 / error))


def test_every_figure_comes_from_the_same_process_beside_the_usual_ones(studio: Studio) -> None:
    done = encoded(studio, studio.moving(BARS), Gate(thresholds=(FLOOR,), figures=tuple(Figure)))
    assert set(done.scores) == {"psnr_y", "psnr_cb", "psnr_cr", "ssim", "vmaf"} | EVERY
    assert {len(values) for values in done.scores.values()} == {25}
    assert list(studio.scratch.iterdir()) == []


def test_further_figures_leave_the_usual_ones_as_they_are(studio: Studio) -> None:
    clip = studio.moving(BARS)
    plain, full = (encoded(studio, clip, Gate(thresholds=(FLOOR,), figures=each)) for each in ((), tuple(Figure)))
    for metric, values in plain.scores.items():
        np.testing.assert_array_equal(values, full.scores[metric])
    assert plain.size_bytes == full.size_bytes


def test_psnr_in_rgb_is_that_of_the_mean_squared_error_of_the_three_planes(studio: Studio) -> None:
    clip = studio.moving(BARS)
    done = encoded(studio, clip, Gate(thresholds=(FLOOR,), figures=(Figure.PSNR_RGB,)), crf=30)
    before, after = (studio.rgb(studio.folder / name, 256, 192) for name in ("source.mp4", "out.mp4"))
    np.testing.assert_allclose(done.scores["psnr_rgb"], psnr(before, after), atol=0.01)


def test_what_chroma_lost_is_seen_in_rgb_alone(studio: Studio) -> None:
    rows, columns = np.mgrid[:192, :256]
    stripes = (rows // 1 + columns) % 2  # red and green take turns at every pixel: 4:2:0 cannot hold that
    frame = np.stack((stripes * 200, (1 - stripes) * 100, stripes * 0), axis=-1).astype(np.uint8)
    clip = studio.raw(np.repeat(frame[None], 5, axis=0), "rgb24")
    done = encoded(studio, clip, Gate(thresholds=(FLOOR,), figures=(Figure.PSNR_RGB,)), crf=1)
    assert done.scores["psnr_cb"].min() > 40
    assert done.scores["psnr_rgb"].max() < 20


@pytest.mark.parametrize(
    ("changes", "size", "steps"),
    [({"rotation": 90}, (192, 256), ("transpose=clock",)), ({"pixel_aspect": Fraction(4, 3)}, (342, 192), ())],
)
def test_rgb_is_measured_of_turned_and_stretched_pictures_against_their_own_chroma(
    studio: Studio, changes: dict[str, object], size: tuple[int, int], steps: tuple[str, ...]
) -> None:
    path = studio.make("source.mp4", BARS.replace("yuv420p", "yuv422p"), "-c:v", "libx264", "-qp", 4)
    done = encoded(studio, studio.file(path, **changes), Gate(thresholds=(FLOOR,), figures=(Figure.PSNR_RGB,)), crf=10)
    after = studio.rgb(studio.folder / "out.mp4", *size)
    if steps:
        before = studio.rgb(
            path,
            *size,
            "scale=in_chroma_loc=left:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp,format=gbrp",
            *steps,
        )
    else:
        data = studio.ffmpeg(
            *("-i", path, "-vf"),
            "scale=w=342:h=192:in_chroma_loc=left:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp,format=rgb24",
            *("-f", "rawvideo", "-"),
        )
        before = np.frombuffer(data, np.uint8).reshape(-1, 192, 342, 3).astype(np.float64)
    np.testing.assert_allclose(done.scores["psnr_rgb"], psnr(before, after), atol=0.1)


def test_at_a_stride_the_frames_in_between_are_left_out_and_the_others_score_the_same(studio: Studio) -> None:
    clip = studio.moving(BARS.replace("d=1", "d=1.04"))
    every, third = (
        encoded(studio, clip, Gate(thresholds=(FLOOR,), figures=(Figure.PSNR_RGB,), stride=stride))
        for stride in (None, 3)
    )
    assert (every.stride, third.stride) == (1, 3)
    for metric, values in third.scores.items():
        np.testing.assert_allclose(values, every.scores[metric][::3], atol=1e-5)


def test_banding_that_the_encoder_added_fails_a_gate_on_it_and_a_source_that_bands_itself_does_not(
    studio: Studio,
) -> None:
    gate = Gate(thresholds=(FLOOR, Threshold(metric="cambi_added", statistic="p99", maximum=3)))
    sky = "gradients=s=640x360:r=25:d=0.4:c0=0x404040:c1=0x606060:x0=0:y0=0:x1=640:y1=360:speed=0.00001"
    smooth = studio.make("smooth.mkv", f"{sky},format=gray16le,noise=alls=3:allf=t,format=yuv420p", "-c:v", "ffv1")
    banded = studio.make("banded.mkv", f"{sky},format=gray,lutyuv=y='8*floor(val/8)',format=yuv420p", "-c:v", "ffv1")
    for path, crf, passes in ((smooth, 40, False), (banded, 1, True)):
        done = encoded(studio, studio.file(path), gate, crf=crf)
        verdict = judge(pool(done.scores, Fraction(25)), gate)
        assert verdict.passed is passes, (
            path.name,
            verdict,
            done.scores["cambi"].mean(),
            done.scores["cambi_source"].mean(),
        )


def test_figures_that_small_pictures_do_not_have_are_left_out_and_a_threshold_on_one_fails(studio: Studio) -> None:
    gate = Gate(thresholds=(FLOOR, Threshold(metric="ms_ssim", statistic="p1", minimum=0.5)), figures=(Figure.CAMBI,))
    done = encoded(studio, studio.moving("testsrc2=s=160x120:r=25:d=0.4,format=yuv420p"), gate)
    assert not {"ms_ssim", "cambi"} & set(done.scores)
    assert judge(pool(done.scores, Fraction(25)), gate).misses == (
        "ms_ssim p1 was not measured (at least 0.5 is asked)",
    )
