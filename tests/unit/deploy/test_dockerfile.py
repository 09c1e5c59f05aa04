"""The Dockerfile: hadolint finds nothing, no image runs as root, and its install steps are those that are proven in a clean tree."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_hadolint_finds_nothing() -> None:
    program = Path(sys.executable).with_name("hadolint")
    if not program.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("hadolint is not installed, and CI must have it", pytrace=False)
        pytest.skip("hadolint is not installed")
    done = subprocess.run([program, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_image_that_is_run_ends_as_our_user() -> None:
    users: dict[str, str] = {}
    for stage in re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]:
        parent, _, name = stage.splitlines()[0].split()
        own = re.findall(r"^USER (\S+)", stage, flags=re.MULTILINE)
        users[name] = own[-1] if own else users.get(parent, "")
    assert {users[name] for name in ("orchestrator", "worker", "worker-nvidia", "worker-intel")} == {"10001:10001"}


def test_every_step_is_a_script_that_prove_runs_too() -> None:
    proof = (ROOT / "k8s/images/prove.sh").read_text(encoding="utf-8")
    steps = re.findall(r"^RUN \S*?(\w+\.sh)", DOCKERFILE, flags=re.MULTILINE)
    assert sorted(set(steps)) == ["application.sh", "intel.sh", "system.sh"]
    assert all(step in proof for step in steps)


def test_the_images_lock_is_the_projects() -> None:
    def pinned(file: str) -> dict[str, str]:
        text = (ROOT / file).read_text(encoding="utf-8")
        return dict(re.findall(r"^([\w.-]+)==([\w.]+)", text, flags=re.MULTILINE))

    everything = set(re.findall(r"^([\w.-]+==[\w.]+)", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE))
    image = {f"{name}=={version}" for name, version in pinned("k8s/images/requirements.lock").items()}
    assert image <= everything


def test_an_image_says_what_it_is_of_what_and_where_its_bill_of_materials_lies() -> None:
    runtime = next(stage for stage in re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE) if " AS runtime" in stage)
    labels = dict(re.findall(r'([\w.]+)="([^"]*)"', runtime))
    own = {name.removeprefix("org.opencontainers.image.") for name in labels}
    assert own >= {"title", "description", "licenses", "version", "revision", "created", "vendor", "base.name"}
    assert (
        (ROOT / "pyproject.toml")
        .read_text(encoding="utf-8")
        .count(f'license = "{labels["org.opencontainers.image.licenses"]}"')
    )
    application = (ROOT / "k8s/images/application.sh").read_text(encoding="utf-8")
    assert f"--output-file {labels['org.cyclonedx.sbom']}" in application
    arguments = set(re.findall(r"\$\{(\w+)\}", " ".join(labels.values())))
    assert arguments == {"VERSION", "REVISION", "CREATED", "DEBIAN"}
    assert all(re.search(rf"^ARG {name}", runtime, flags=re.MULTILINE) for name in arguments)


def test_the_base_is_pinned_to_a_day() -> None:
    assert re.search(r"^ARG DEBIAN=debian:\w+-20\d{6}-slim", DOCKERFILE, flags=re.MULTILINE)
    parents = {line.split()[1] for line in DOCKERFILE.splitlines() if line.startswith("FROM ")}
    assert parents == {"${DEBIAN}", "base", "runtime", "worker"}


def test_every_image_is_asked_for_its_health() -> None:
    assert re.search(r'^HEALTHCHECK .* CMD \["/opt/cinefarm/bin/cinefarm-alive"\]', DOCKERFILE, flags=re.MULTILINE)
    assert "install -m 0755 k8s/images/alive.sh /opt/cinefarm/bin/cinefarm-alive" in (
        ROOT / "k8s/images/application.sh"
    ).read_text(encoding="utf-8")
