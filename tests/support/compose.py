"""compose.yaml as a test reads it: with its variables at their defaults, and its services as command lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "compose.yaml"
TLS = ROOT / "k8s" / "compose" / "tls.yaml"
OURS = "cinefarm/"
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")


@dataclass(frozen=True)
class Service:
    """One service of ours: what its container runs, and with which settings and secrets."""

    name: str
    command: tuple[str, ...]  # behind the image's entrypoint
    environment: dict[str, str]
    secrets: tuple[str, ...]


def load(*overrides: Path) -> dict[str, Any]:
    """The file, as Compose reads it without an .env file; with files that are laid over it (``-f``)."""
    merged = _read(FILE)
    for override in overrides:
        merged = _over(merged, _read(override))
    return merged


def _read(file: Path) -> dict[str, Any]:
    text = _VARIABLE.sub(lambda found: found["default"] or "", file.read_text(encoding="utf-8"))
    return dict(yaml.safe_load(text))


def _over(base: Any, more: Any, name: str = "") -> Any:
    """Compose's rules (Compose Specification 13): mappings by key, volumes by their target, other lists one after the other;
    ``command``, ``entrypoint`` and a health check's ``test`` are replaced."""
    if isinstance(base, dict) and isinstance(more, dict):
        return base | {key: _over(base[key], value, key) if key in base else value for key, value in more.items()}
    if name == "volumes" and isinstance(base, list):
        there = {str(volume).split(":")[1]: volume for volume in (*base, *more)}
        return list(there.values())
    if isinstance(base, list) and isinstance(more, list) and name not in ("command", "entrypoint", "test"):
        return [*base, *(each for each in more if each not in base)]
    return more


def services(*overrides: Path) -> dict[str, Service]:
    """The services that run an image of ours."""
    return {
        name: Service(
            name, tuple(given.get("command", image_command(given))), given["environment"], tuple(given["secrets"])
        )
        for name, given in load(*overrides)["services"].items()
        if given["image"].startswith(OURS)
    }


def image_command(given: dict[str, Any]) -> list[str]:
    """CMD of the Dockerfile's target that a service is built from."""
    stage = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    own = next(text for text in stage if text.splitlines()[0].endswith(f" AS {given['build']['target']}"))
    words = re.search(r"^CMD \[(.*)\]$", own, flags=re.MULTILINE)
    assert words, given
    return [word.strip().strip('"') for word in words[1].split(",")]
