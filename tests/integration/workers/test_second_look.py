"""A device whose decoder is wrong: a real process in FFmpeg's place encodes by x265 and spoils the pictures that "the device" decodes.

What the device's part made miss is measured again from pictures that the CPU decoded, and only then something is decided.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.recipes import recipe
from support.transcoding import Bench

from common.errors import HardwareFailed
from common.ffmpeg import ffmpeg_program
from common.orders import Path as Way
from common.orders import TranscodeOrder
from common.recipes import ARCHIVE, Gate, Threshold

DEVICE = '''#!{python}
"""FFmpeg with a device: NVENC's options become x265's, and what it decodes there goes through SPOILT."""
import os, sys
words, given = [], sys.argv[1:]
dropped = {{"-cq", "-rc", "-rc-lookahead", "-tune", "-tier", "-level:v", "-b:v", "-no-scenecut", "-forced-idr", "-b_adapt"}}
dropped |= {{"-b_ref_mode", "-hwaccel", "-hwaccel_output_format", "-extra_hw_frames", "-preset"}}
spoilt = "-hwaccel" in given
while given:
    word = given.pop(0)
    if word in dropped:
        given.pop(0)
    elif word == "hevc_nvenc":
        params = "level-idc=5.1:high-tier=0:open-gop=0:info=0:log-level=none"
        words += ["libx265", "-preset", "ultrafast", "-crf", "{crf}", "-x265-params", params]
    else:
        words.append(word.replace("[1:V:0]", "[1:V:0]{chain},") if spoilt else word)
os.execv("{program}", ["{program}", *words])
'''
A_LITTLE_BRIGHTER = "lutyuv=y=val+3"
"""38.6 dB: below the mean that the archive asks for, above what it asks of its worst frames."""

ONE_FRAME_RUINED = "lutyuv=y=val+60:enable='eq(n,5)'"


@pytest.fixture
def program() -> Iterator[str]:
    yield ffmpeg_program()
    ffmpeg_program.cache_clear()


@pytest.fixture
def source(tmp_path: Path, program: str) -> Path:
    """Larger than level 4.1 of HEVC holds: only there a device decodes."""
    path = tmp_path / "source.mp4"
    words = ("-f", "lavfi", "-i", "testsrc2=s=2048x1152:r=25:d=0.24", "-pix_fmt", "yuv420p", "-c:v", "libx264")
    subprocess.run([program, "-y", "-v", "error", *words, "-preset", "ultrafast", "-crf", "12", path], check=True)
    return path


UNREACHED = Gate(
    thresholds=(
        Threshold(metric="psnr_y", statistic="mean", minimum=59),
        Threshold(metric="psnr_y", statistic="p1", minimum=30),
    )
)


def on_device(bench: Bench, source: Path, gate: Gate = ARCHIVE.gate) -> TranscodeOrder:
    order = bench.order(source)
    chosen = recipe("hevc_nvenc", 107).model_copy(update={"search": None})
    changes = {
        "path": Way.ENCODE,
        "recipe": chosen,
        "transfer_syntax_uid": chosen.transfer_syntax_uid,
        "gate": gate,
        "rungs": 4,
    }
    return order.model_copy(update={"plan": order.plan.model_copy(update=changes)})


def device(folder: Path, program: str, monkeypatch: pytest.MonkeyPatch, chain: str, crf: int = 12) -> None:
    place = folder / "ffmpeg-with-device"
    place.write_text(DEVICE.format(python=sys.executable, program=program, chain=chain, crf=crf))
    place.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(place))
    ffmpeg_program.cache_clear()


def test_what_a_wrong_decoder_made_miss_is_measured_again_and_passes(
    tmp_path: Path, source: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    device(tmp_path, program, monkeypatch, A_LITTLE_BRIGHTER)
    done = bench.run(on_device(bench, source))
    evidence = bench.evidence(done)
    assert done.verdict.passed
    assert any("psnr_y mean 38." in miss for miss in evidence["measured_again"]["first_misses"])
    assert done.scores["psnr_y"].mean > 40
    assert "-hwaccel" not in evidence["command"]


def test_a_score_that_misses_in_software_too_decides(
    tmp_path: Path, source: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    device(tmp_path, program, monkeypatch, A_LITTLE_BRIGHTER, crf=24)
    done = bench.run(on_device(bench, source, UNREACHED))
    assert not done.verdict.passed
    evidence = bench.evidence(done)
    assert evidence["measured_again"]["first_misses"] != list(done.verdict.misses)
    assert "-hwaccel" not in evidence["command"]


def test_a_ruined_frame_gives_the_item_back_to_the_cpu(
    tmp_path: Path, source: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    device(tmp_path, program, monkeypatch, ONE_FRAME_RUINED)
    with pytest.raises(HardwareFailed, match="ruined frame"):
        bench.run(on_device(bench, source))


def test_a_right_decoder_is_believed(
    tmp_path: Path, source: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    device(tmp_path, program, monkeypatch, "null")
    evidence = bench.evidence(bench.run(on_device(bench, source)))
    assert "measured_again" not in evidence
    assert "-hwaccel" in evidence["command"]
