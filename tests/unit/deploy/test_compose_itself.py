"""compose.yaml and its override as Docker Compose itself reads them (``make peers``), without any engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import compose

PROGRAM = Path(sys.executable).with_name("docker-compose")
WAYS = {"plain": (), "tls": (compose.TLS,)}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    if not PROGRAM.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("docker-compose is not installed (make peers), and CI must have it", pytrace=False)
        pytest.skip("docker-compose is not installed (make peers)")
    return str(request.param)


def read(*files: Path) -> dict[str, Any]:
    words = [word for file in (compose.FILE, *files) for word in ("--file", str(file))]
    argv = [PROGRAM, *words, "--profile", "*", "config", "--format", "json", "--no-path-resolution"]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    done = subprocess.run(argv, cwd=compose.ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_is_taken_without_a_word_and_means_what_our_tests_read_in_it(way: str) -> None:
    theirs, ours = read(*WAYS[way])["services"], compose.load(*WAYS[way])["services"]
    assert set(theirs) == set(ours)
    for name, service in theirs.items():
        own = ours[name]
        assert (service["command"], service["entrypoint"]) == (own.get("command"), own.get("entrypoint")), name
        assert environment(service) == environment(own), name
        assert secrets(service) == secrets(own), name
        assert len(service.get("volumes", ())) == len(own.get("volumes", ())), name
        assert service.get("healthcheck", {}).get("test") == own.get("healthcheck", {}).get("test"), name


def environment(service: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in (service.get("environment") or {}).items()}


def secrets(service: dict[str, Any]) -> set[str]:
    return {one if isinstance(one, str) else one["source"] for one in service.get("secrets", ())}


def test_profiles_hold_what_not_everybody_wants(way: str) -> None:
    services = read(*WAYS[way])["services"]
    held = {name: service["profiles"] for name, service in services.items() if service.get("profiles")}
    monitoring = {key: ["monitoring"] for key in ("prometheus", "grafana")}
    assert held == monitoring | {"gpu-worker": ["gpu"], "orthanc": ["test-pacs"]}
