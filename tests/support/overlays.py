"""The overlays of k8s/ as kubectl builds them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
OVERLAYS = sorted(path.parent.name for path in ROOT.glob("k8s/overlays/*/kustomization.yaml"))


def kubectl() -> str | None:
    """Beside this Python (make peers), or on PATH."""
    own = Path(sys.executable).with_name("kubectl")
    return str(own) if own.exists() else shutil.which("kubectl")


@cache
def build(overlay: str) -> tuple[dict[str, Any], ...]:
    """Every object of an overlay; anything that kustomize says against it is a failure."""
    program = kubectl()
    assert program is not None
    argv = [program, "kustomize", str(ROOT / "k8s/overlays" / overlay)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, *kinds: str) -> list[dict[str, Any]]:
    return [found for found in build(overlay) if found["kind"] in kinds]


def pods(overlay: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each workload with the specification of its pods."""
    found = [(one, one["spec"]["template"]["spec"]) for one in of_kind(overlay, "Deployment", "StatefulSet", "Job")]
    jobs = of_kind(overlay, "CronJob")
    return [*found, *((one, one["spec"]["jobTemplate"]["spec"]["template"]["spec"]) for one in jobs)]
