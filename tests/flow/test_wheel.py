"""The wheel alone, in an environment of its own: it carries all that a farm needs, and nothing of it comes from the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from support.desk import Desk

from common import __version__

pytestmark = [pytest.mark.farm, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
PACKAGES = ("common", "orchestrator", "workers")
BUILD = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run([sys.executable, "-c", BUILD, folder], cwd=ROOT, capture_output=True, text=True, check=True)
    return folder / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel installed by pip; what it depends on is the tests' own, which a path file that is read for plain folders brings."""
    folder = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    install = [sys.executable, "-m", "pip", "--python", folder, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, capture_output=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder


def run(environment: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    argv = [environment / "bin" / words[0], *words[1:]]
    return subprocess.run(argv, cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=200)


def test_every_file_of_the_packages_is_in_it_and_nothing_else(wheel: Path) -> None:
    listed = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=False)
    tracked = set(listed.stdout.split()) or {
        str(path.relative_to(ROOT)) for each in PACKAGES for path in (ROOT / each).rglob("*") if path.is_file()
    }
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.startswith("cinefarm-")}
    assert {name for name in tracked if "__pycache__" not in name} == names


def test_the_repository_is_not_on_its_path(environment: Path, tmp_path: Path) -> None:
    code = "import common, orchestrator, workers; print(common.__file__, orchestrator.__file__, workers.__file__)"
    found = run(environment, tmp_path, "python", "-c", code).stdout.split()
    assert len(found) == 3
    assert all(Path(file).is_relative_to(environment) for file in found), found


def test_it_says_its_version_and_finds_the_machine_fit(environment: Path, tmp_path: Path) -> None:
    assert run(environment, tmp_path, "cinefarm", "--version").stdout == f"cinefarm {__version__}\n"
    doctor = run(environment, tmp_path, "cinefarm", "doctor", "--json")
    lacking = [line for line in map(json.loads, doctor.stdout.splitlines()) if line.get("ok") is False]
    assert {line["name"] for line in lacking} <= {"free disk space", "memory", "processor cores"}, doctor.stdout


def test_its_worker_gives_the_known_answer(environment: Path, tmp_path: Path) -> None:
    tested = run(environment, tmp_path, "python", "-m", "workers", "selftest")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_it_does_a_job_and_writes_its_report(environment: Path, desk: Desk) -> None:
    desk.ultrasound("loop.dcm")
    words = (
        "migrate",
        str(desk.sources),
        "--to",
        str(desk.out),
        "--state",
        str(desk.state),
        "--profile",
        "archive-fixed",
    )
    done = run(environment, desk.folder, "cinefarm", *words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(desk.results()) == 1
    wrote = run(
        environment, desk.folder, "cinefarm", "report", "--state", str(desk.state), "--out", str(desk.folder / "told")
    )
    assert wrote.returncode == 0, wrote.stderr
    assert list((desk.folder / "told").rglob("*.html"))
