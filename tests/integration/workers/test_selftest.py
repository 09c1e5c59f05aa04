"""Machines that cannot be trusted are refused in words; those that can pass in a second."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import imageio_ffmpeg
import pytest

from common.errors import EnvironmentFault
from common.settings import Settings
from orchestrator.embedded import EmbeddedFarm
from workers import selftest
from workers.capabilities import HARDWARE, Capabilities, listed, probe

REAL = imageio_ffmpeg.get_ffmpeg_exe()
OTHER_QUALITY = """words=()
for word in "$@"; do [ "$word" = 20 ] && word=31; words+=("$word"); done
exec "$ffmpeg" "${words[@]}"
"""


def wrapper(folder: Path, body: str) -> dict[str, str]:
    """The environment of a process whose FFmpeg is a shell script around the real one, ``$ffmpeg``."""
    program = folder / "ffmpeg"
    program.write_text(f'#!/bin/bash\nffmpeg="{REAL}"\n{body}\n')
    program.chmod(0o755)
    return {"IMAGEIO_FFMPEG_EXE": str(program)}


def worker(folder: Path, environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """``cinefarm worker`` on a broker that is not there: a machine that is not fit must be refused before it is asked."""
    argv = [str(Path(sys.executable).with_name("cinefarm")), "worker", *words]
    mine = {"CINEFARM_STATE_DIR": str(folder / "state"), "CINEFARM_BROKER_URL": "redis+socket:///nonexistent/s"}
    env = os.environ | mine | environment
    return subprocess.run(argv, check=False, env=env, capture_output=True, text=True, timeout=60)


def refusal(run: subprocess.CompletedProcess[str]) -> list[str]:
    """The operator's lines: what is wrong, and what to do."""
    assert run.returncode == os.EX_UNAVAILABLE
    lines = [line for line in run.stderr.splitlines() if not line.startswith("{")]
    assert lines[0].startswith("error: ")
    assert len(lines) == 2
    return lines


@pytest.mark.parametrize(("feature", "listing"), [("libvmaf", "-filters"), ("libx264", "-encoders")])
def test_an_ffmpeg_without_what_an_encode_needs_is_refused(tmp_path: Path, feature: str, listing: str) -> None:
    body = (
        f'if [[ " $* " == *" {listing} "* ]]; then "$ffmpeg" "$@" | grep -v " {feature} "; else exec "$ffmpeg" "$@"; fi'
    )
    assert feature in refusal(worker(tmp_path, wrapper(tmp_path, body)))[0]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (OTHER_QUALITY, "result's pictures"),
        ('exec "$ffmpeg" "${@/testsrc2/testsrc}"', "source's pictures"),
        ('exec "$ffmpeg" "${@/duration=1.0/duration=0.9}"', "25 frames"),
    ],
)
def test_an_ffmpeg_that_gives_a_wrong_answer_is_refused(tmp_path: Path, body: str, complaint: str) -> None:
    words = refusal(worker(tmp_path, wrapper(tmp_path, body), "--queue", "cpu"))
    assert complaint in words[0]


def test_an_ffmpeg_of_a_known_version_passes() -> None:
    assert listed().ffmpeg in selftest.known_answers()
    selftest.check(listed(), Settings())


def test_an_ffmpeg_of_an_unknown_version_passes_by_what_must_hold_for_any() -> None:
    built = listed()
    selftest.check(type(built)("n99.0", built.names), Settings())


def test_an_ffmpeg_of_an_unknown_version_that_ignores_the_quality_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = listed()
    program = wrapper(tmp_path, 'exec "$ffmpeg" "${@/#44/20}"')["IMAGEIO_FFMPEG_EXE"]
    monkeypatch.setattr("workers.capabilities.ffmpeg_program", lambda: program)
    monkeypatch.setattr("workers.encode.ffmpeg_program", lambda: program)
    with pytest.raises(EnvironmentFault, match="a poor encode has VMAF"):
        selftest.check(type(built)("n99.0", built.names), Settings())


def test_the_real_probes_of_a_machine_without_a_gpu_say_so_quickly_and_are_remembered(tmp_path: Path) -> None:
    if list(Path("/dev").glob("nvidia*")) + list(Path("/dev").glob("dri/renderD*")):
        pytest.skip("this machine has a GPU")
    settings = Settings(state_dir=tmp_path)
    began = time.monotonic()
    found = probe(settings)
    assert time.monotonic() - began < 5  # the bound of the issue
    assert {trial.name for trial in found.encoders} == set(HARDWARE)
    assert [trial for trial in (*found.encoders, *found.decoders) if trial.works or not trial.reason] == []
    assert found.served == ("describe", "cpu", "deliver")
    assert (tmp_path / "capabilities.json").exists()
    assert probe(settings) == found


def test_a_decoder_that_gives_other_pictures_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that decodes: the software decoder under the device's name, right for H.264 and wrong for HEVC."""
    body = """words=()
for word in "$@"; do case "$word" in
  h264_cuvid) word=h264;;
  hevc_cuvid) word=hevc; spoil=1;;
  format=yuv420p) [ -n "$spoil" ] && word="negate,format=yuv420p";;
esac; words+=("$word"); done
exec "$ffmpeg" "${words[@]}"
"""
    program = wrapper(tmp_path, body)["IMAGEIO_FFMPEG_EXE"]
    monkeypatch.setattr("workers.capabilities.ffmpeg_program", lambda: program)
    found = probe(Settings(state_dir=tmp_path))
    assert found.working_decoders == ("h264_cuvid",)
    (spoilt,) = [trial for trial in found.decoders if trial.name == "hevc_cuvid"]
    assert spoilt.reason == "its pictures differ from the software decoder's"
    assert found.served == ("describe", "cpu", "deliver")


def test_an_encoder_that_works_opens_its_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = wrapper(tmp_path, 'exec "$ffmpeg" "${@/#h264_nvenc/libx264}"')["IMAGEIO_FFMPEG_EXE"]
    monkeypatch.setattr("workers.capabilities.ffmpeg_program", lambda: program)
    found: Capabilities = probe(Settings(state_dir=tmp_path))
    assert "h264_nvenc" in found.working_encoders
    assert found.served == ("describe", "cpu", "deliver", "gpu.nvenc")


def keep_alive(farm: EmbeddedFarm, *, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        farm.keep_alive()
        time.sleep(0.05)


def test_an_embedded_farm_stops_with_the_workers_words_when_the_machine_is_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = 'if [[ " $* " == *" -filters "* ]]; then "$ffmpeg" "$@" | grep -v " libvmaf "; else exec "$ffmpeg" "$@"; fi'
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", wrapper(tmp_path, body)["IMAGEIO_FFMPEG_EXE"])
    farm = EmbeddedFarm(Settings(state_dir=tmp_path / "state"), cpu_slots=1)
    with farm, pytest.raises(EnvironmentFault, match="no libvmaf"):
        keep_alive(farm, seconds=30)
