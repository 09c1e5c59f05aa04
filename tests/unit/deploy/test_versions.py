"""One version: the package's. Labels, tags and the built wheel say the same; `make version` writes them all."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from support import compose

from common import __version__

ROOT = Path(__file__).parents[3]


def tags(root: Path) -> dict[str, set[str]]:
    """File → versions of our own images in it."""
    found = {"Dockerfile": set(re.findall(r"^ARG VERSION=(\S+)", (root / "Dockerfile").read_text(), re.MULTILINE))}
    found["compose.yaml"] = set(re.findall(r"image: cinefarm/[\w-]+:(\S+)", (root / "compose.yaml").read_text()))
    for file in sorted((root / "k8s").rglob("kustomization.yaml")):
        images = yaml.safe_load(file.read_text(encoding="utf-8")).get("images", ())
        if own := {image["newTag"] for image in images if image["name"].startswith(compose.OURS)}:
            found[str(file.relative_to(root))] = own
    return found


def test_images_tags_and_labels_have_the_packages_version() -> None:
    found = tags(ROOT)
    assert {"k8s/base/kustomization.yaml", "k8s/overlays/gpu-nvidia/kustomization.yaml"} <= set(found)
    assert found == {file: {__version__} for file in found}


def test_the_package_takes_its_version_from_the_code_alone() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in project["project"]
    assert project["tool"]["hatch"]["version"]["path"] == "common/__init__.py"
    assert version("cinefarm") == __version__


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("Makefile", "Dockerfile", "compose.yaml", "CHANGELOG.md", "pyproject.toml", "requirements.lock"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "k8s", tmp_path / "k8s", ignore=shutil.ignore_patterns("*.whl", "secrets"))
    (tmp_path / "common").mkdir()
    shutil.copyfile(ROOT / "common/__init__.py", tmp_path / "common/__init__.py")
    return tmp_path


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *words], cwd=folder, capture_output=True, text=True, check=False
    )


def test_one_command_writes_a_version_wherever_it_has_to_stand(copy: Path) -> None:
    assert make(copy, "version", "VERSION=1.20.3rc1").returncode == 0
    assert tags(copy) == {file: {"1.20.3rc1"} for file in tags(ROOT)}
    assert '__version__ = "1.20.3rc1"' in (copy / "common/__init__.py").read_text(encoding="utf-8")
    other = (copy / "compose.yaml").read_text(encoding="utf-8").replace("1.20.3rc1", __version__)
    assert other == (ROOT / "compose.yaml").read_text(encoding="utf-8"), "other images are left alone"


def test_a_word_that_is_no_version_is_refused(copy: Path) -> None:
    assert make(copy, "version", "VERSION=latest").returncode != 0
    assert tags(copy) == tags(ROOT)


def test_release_notes_are_the_changelogs_words_about_one_release(copy: Path) -> None:
    (copy / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [Unreleased]\n\n- c\n\n## [1.2.0] - 2026-11-24\n\n- b\n\n## [1.1.0]\n\n- a\n"
    )
    done = make(copy, "release-notes", "VERSION=1.2.0")
    assert (done.returncode, done.stdout) == (0, "## [1.2.0] - 2026-11-24\n\n- b\n\n")
    assert make(copy, "release-notes").stdout == "## [Unreleased]\n\n- c\n\n"
    assert make(copy, "release-notes", "VERSION=3.0.0").returncode != 0
