"""compose.yaml: legal by the Compose Specification's own schema (Apache-2.0), and kept to the farm's rules."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support import compose

SCHEMA = json.loads((compose.ROOT / "tests/golden/compose-spec.json").read_text(encoding="utf-8"))
FILE = compose.load()
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = compose.services()
each = pytest.mark.parametrize("name", SERVICES)
each_of_ours = pytest.mark.parametrize("name", OURS)


def test_it_is_legal() -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(FILE)


def test_the_schema_would_find_a_fault() -> None:
    broken = FILE | {"services": SERVICES | {"worker": SERVICES["worker"] | {"comand": ["worker"]}}}
    assert not jsonschema.Draft7Validator(SCHEMA).is_valid(broken)


@each
def test_every_image_has_a_version(name: str) -> None:
    version = SERVICES[name]["image"].partition(":")[2]
    assert re.search(r"\d", version), SERVICES[name]["image"]


@each
def test_every_service_has_limits_and_bounded_logs(name: str) -> None:
    assert set(SERVICES[name]["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert SERVICES[name]["logging"]["options"]["max-size"]


@each
def test_every_service_gains_no_privileges_and_is_looked_after(name: str) -> None:
    given = SERVICES[name]
    assert name == "ledger" or "no-new-privileges:true" in given["security_opt"]
    # ours have their check in the image; what ends by itself needs none
    assert "healthcheck" in given or name in OURS or given["restart"].startswith("on-failure")


@each_of_ours
def test_ours_write_on_mounted_places_only(name: str) -> None:
    given = SERVICES[name]
    assert given["read_only"] is True
    assert given["cap_drop"] == ["ALL"]
    places = {str(place).split(":")[0] for place in given["tmpfs"]}
    places |= {str(volume).split(":")[1] for volume in given.get("volumes", ())}
    assert {"/tmp", "/scratch", "/var/lib/cinefarm"} <= places


@each
def test_no_secret_is_in_an_environment(name: str) -> None:
    for key, value in SERVICES[name].get("environment", {}).items():
        secret = re.search("PASSWORD|SECRET|TOKEN|KEY|BASIC_AUTH|BROKER_URL|LEDGER_URL", key)
        assert not secret or key.endswith("FILE"), (key, value)


@each
def test_whoever_waits_waits_for_health(name: str) -> None:
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        assert wait["condition"] in ("service_healthy", "service_completed_successfully")


@each
def test_nothing_but_dicom_is_published_beyond_this_machine(name: str) -> None:
    for port in SERVICES[name].get("ports", ()):
        assert str(port).startswith("127.0.0.1:") or str(port) == "11112:11112"


@each_of_ours
def test_stopping_leaves_time_to_drain(name: str) -> None:
    given = SERVICES[name]
    if given["command"][:1] == ["worker"] if "command" in given else False:
        drain = float(given["environment"].get("CINEFARM_DRAIN_SECONDS", 25))
        assert float(given["stop_grace_period"].rstrip("s")) >= drain + 5


def test_every_secret_is_made_by_the_script_and_the_same_again_changes_nothing(tmp_path: Path) -> None:
    script = compose.ROOT / "k8s/compose/secrets.sh"
    subprocess.run([script, tmp_path / "secrets"], check=True, capture_output=True)
    made = {file.name: file.read_bytes() for file in (tmp_path / "secrets").iterdir()}
    assert {Path(secret["file"]).name for secret in FILE["secrets"].values()} <= set(made)
    assert all(made.values())
    subprocess.run([script, tmp_path / "secrets"], check=True, capture_output=True)
    assert {file.name: file.read_bytes() for file in (tmp_path / "secrets").iterdir()} == made


def test_every_mounted_file_of_the_repository_is_there() -> None:
    for given in SERVICES.values():
        for volume in given.get("volumes", ()):
            place = str(volume).split(":")[0]
            if place.startswith("./k8s/"):
                assert (compose.ROOT / place).exists(), place


def test_the_stores_user_reaches_its_own_bucket_alone_and_what_lies_there_is_encrypted_and_tidied() -> None:
    script = (compose.ROOT / "k8s/compose/minio.sh").read_text(encoding="utf-8")
    policy = json.loads(re.search(r"<<'END'\n(.*?)\nEND", script, flags=re.DOTALL)[1])  # type: ignore[index]
    assert {resource for rule in policy["Statement"] for resource in rule["Resource"]} == {
        "arn:aws:s3:::cinefarm",
        "arn:aws:s3:::cinefarm/*",
    }
    assert not [action for rule in policy["Statement"] for action in rule["Action"] if "*" in action]
    for step in ("mb --ignore-existing", "anonymous set none", "encrypt set sse-s3", "ilm rule add", "admin user add"):
        assert f"mc {step} " in script, step
    assert subprocess.run(["sh", "-n", "-c", script], check=False).returncode == 0


def test_it_is_the_whole_farm() -> None:
    assert set(SERVICES) == {
        *("broker", "minio", "bucket", "ledger", "orchestrator", "listener", "worker", "io-worker", "gpu-worker"),
        *("flower", "prometheus", "grafana", "orthanc"),
    }
    assert SERVICES["orchestrator"]["deploy"]["replicas"] == 2
    assert {name for name, given in SERVICES.items() if "profiles" in given} == {
        *("gpu-worker", "prometheus", "grafana", "orthanc")
    }
    named = {str(volume).split(":")[0] for given in SERVICES.values() for volume in given.get("volumes", ())}
    assert set(FILE["volumes"]) <= named
