"""The bill of materials: legal by CycloneDX' own schema, and every package of the images' lock is in it with its digests."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from common import __version__

ROOT = Path(__file__).parents[3]
LOCK = (ROOT / "k8s/images/requirements.lock").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text() -> str:
    done = subprocess.run(
        ["make", "--no-print-directory", "sbom"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return (ROOT / done.stdout.split()[-1]).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def bill(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def test_it_is_legal_and_a_broken_one_is_not(text: str, bill: dict[str, Any]) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    bill["components"][0]["kind"] = "library"
    assert validator.validate_str(json.dumps(bill)) is not None
    del bill["components"][0]["kind"]


def test_it_is_about_this_version(bill: dict[str, Any]) -> None:
    about = bill["metadata"]["component"]
    assert (about["name"], about["version"], about["type"]) == ("cinefarm", __version__, "application")


def test_it_names_every_package_of_the_images_with_its_digests(bill: dict[str, Any]) -> None:
    locked = {
        name: set(re.findall(r"sha256:(\w+)", rest))
        for name, rest in re.findall(r"^([\w.-]+==[\w.+]+)(.*?)(?=^\S|\Z)", LOCK, flags=re.MULTILINE | re.DOTALL)
    }
    billed = {f"{each['name']}=={each['version']}": digests(each) for each in bill["components"]}
    assert len(locked) > 50
    assert billed == locked
    assert all(each["purl"].startswith("pkg:pypi/") for each in bill["components"])


def digests(component: dict[str, Any]) -> set[str]:
    return {digest["content"] for place in component["externalReferences"] for digest in place["hashes"]}
