"""The self-check finds this machine fit, and says so of nothing that is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import ProgramMissing
from common.settings import Settings
from orchestrator.cli import doctor
from orchestrator.cli.doctor import Check, examine


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Check]:
    state = tmp_path_factory.mktemp("doctor") / "not" / "yet" / "there"
    return {check.name: check for check in examine(Settings(state_dir=state))}


@pytest.mark.parametrize(
    "name",
    ["Python", "pydicom", "PyAV", "FFmpeg", "FFmpeg encoder libx264", "encode and measure at once", "JPEG decoder",
     "JPEG-LS decoder", "JPEG 2000 decoder", "RLE decoder", "Redis-compatible server", "state directory", "links"],
)  # fmt: skip
def test_what_the_environment_installs_is_found(checks: dict[str, Check], name: str) -> None:
    assert checks[name].ok, checks[name]
    assert checks[name].remedy


def test_the_measured_encode_tells_its_score(checks: dict[str, Check]) -> None:
    assert float(checks["encode and measure at once"].found.removeprefix("VMAF ")) > 50


def test_the_machine_is_described(checks: dict[str, Check]) -> None:
    assert int(checks["processor cores"].found) >= 1
    assert checks["memory"].found.endswith(" GB")
    assert checks["free disk space"].found.endswith(" GB")


def test_examining_makes_no_state_directory(tmp_path: Path) -> None:
    list(doctor._state_folder(tmp_path / "a" / "b"))
    assert list(tmp_path.iterdir()) == []


def test_a_state_directory_that_is_not_there_yet_is_judged_by_the_nearest_folder(tmp_path: Path) -> None:
    found = [check.name for check in doctor._state_folder(tmp_path / "a")]
    assert found == ["state directory", "links", "free disk space"]


def test_a_state_directory_below_a_file_is_reported_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (check,) = doctor._state_folder(tmp_path / "file" / "state")
    assert not check.ok
    assert "--state" in check.remedy


def test_a_missing_server_is_reported_and_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_there() -> Path:
        raise ProgramMissing("no Redis-compatible server was found", hint="Install valkey-server.")

    monkeypatch.setattr(doctor, "server_program", none_there)
    (check,) = doctor._server()
    assert (check.ok, check.remedy) == (False, "Install valkey-server.")


def test_an_ffmpeg_without_the_loopback_decoder_is_reported(tmp_path: Path) -> None:
    old = tmp_path / "ffmpeg"
    old.write_text("#!/bin/sh\necho \"Unrecognized option 'dec'.\" >&2\nexit 1\n")
    old.chmod(0o755)
    check = doctor._measured_encode(str(old))
    assert not check.ok
    assert "Unrecognized option" in check.found


@pytest.mark.parametrize(("text", "numbers"), [("3.0.2", (3, 0, 2)), ("3.1.0.dev0", (3, 1, 0)), ("not installed", ())])
def test_versions_are_compared_as_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert doctor._numbers(text) == numbers
    assert (doctor._numbers(text) >= doctor.PYDICOM) == bool(numbers)


def test_an_object_store_that_was_asked_for_is_tried(tmp_path: Path) -> None:
    (check,) = doctor._store(Settings(store_url=str(tmp_path / "objects")))
    assert check.ok
    assert not list((tmp_path / "objects").rglob("checks/*"))
    assert list(doctor._store(Settings())) == []


def test_an_object_store_that_cannot_be_used_is_reported_with_a_remedy() -> None:
    (check,) = doctor._store(Settings(store_url="s3:///no-bucket"))
    assert not check.ok
    assert "s3://bucket/prefix" in check.remedy
