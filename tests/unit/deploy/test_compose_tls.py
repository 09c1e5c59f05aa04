"""k8s/compose/tls.yaml over compose.yaml: legal, every way is encrypted, and every certificate is made by the script."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml
from support import compose

SCHEMA = jsonschema.Draft7Validator(
    json.loads((compose.ROOT / "tests/golden/compose-spec.json").read_text(encoding="utf-8"))
)
FILE = compose.load(compose.TLS)
SERVICES = FILE["services"]
SCRIPTS = compose.ROOT / "k8s" / "compose"


def test_it_is_legal_by_itself_and_over_the_other() -> None:
    SCHEMA.validate(yaml.safe_load(compose.TLS.read_text(encoding="utf-8")))
    SCHEMA.validate(FILE)


def test_it_changes_services_of_the_file_and_adds_none() -> None:
    assert set(SERVICES) == set(compose.load()["services"])


@pytest.mark.parametrize("name", compose.services())
def test_ours_verify_every_server_that_they_call(name: str) -> None:
    environment, secrets = SERVICES[name]["environment"], SERVICES[name]["secrets"]
    assert "tls_ca" in secrets
    assert environment["CINEFARM_BROKER_CA_FILE"] == environment["CINEFARM_S3_CA_FILE"] == "/run/secrets/tls_ca"
    assert not [value for value in environment.values() if str(value).startswith("http://")]
    plain = compose.services()[name]
    assert set(plain.secrets) <= set(secrets)
    assert set(plain.environment) <= set(environment)


def test_servers_refuse_whoever_speaks_no_tls() -> None:
    words = SERVICES["broker"]["command"]
    assert words[words.index("--port") + 1] == "0"
    doors = [
        line.split()
        for line in (SCRIPTS / "pg_hba.conf").read_text(encoding="utf-8").splitlines()
        if line[:1] not in ("#", "")
    ]
    assert {door[0] for door in doors} == {"local", "hostssl"}
    assert "hba_file=/etc/cinefarm/pg_hba.conf" in SERVICES["ledger"]["command"]
    assert "/certs" in SERVICES["minio"]["command"]


def test_no_container_gets_the_authoritys_key() -> None:
    assert not [name for name, secret in FILE["secrets"].items() if secret["file"].endswith("ca.key")]


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    subprocess.run([SCRIPTS / "secrets.sh", folder], check=True, capture_output=True)
    subprocess.run([SCRIPTS / "certificates.sh", folder, "farm.example", "10.0.0.5"], check=True, capture_output=True)
    return folder


def test_the_script_makes_what_the_file_names_and_the_same_again_changes_nothing(secrets: Path) -> None:
    for secret in FILE["secrets"].values():
        assert (secrets / Path(secret["file"]).relative_to("k8s/compose/secrets")).stat().st_size > 0, secret
    made = {path.name: path.read_bytes() for path in (secrets / "tls").iterdir()}
    subprocess.run([SCRIPTS / "certificates.sh", secrets, "farm.example", "10.0.0.5"], check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in (secrets / "tls").iterdir()} == made


def test_its_certificates_hold_for_the_names_that_the_services_have_and_no_others(secrets: Path) -> None:
    for name in ("broker", "ledger", "minio", "orchestrator"):
        assert verified(secrets / "tls", name, f"-verify_hostname {name}")
        assert not verified(secrets / "tls", name, "-verify_hostname elsewhere.example")
    assert verified(secrets / "tls", "orchestrator", "-verify_hostname farm.example")
    assert verified(secrets / "tls", "orchestrator", "-verify_ip 10.0.0.5")
    assert (secrets.stat().st_mode & 0o777, (secrets / "tls/ca.key").stat().st_mode & 0o777) == (0o700, 0o600)


def verified(folder: Path, name: str, asked: str) -> bool:
    argv = [
        "openssl",
        "verify",
        "-purpose",
        "sslserver",
        "-CAfile",
        folder / "ca.pem",
        *asked.split(),
        folder / f"{name}.pem",
    ]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
