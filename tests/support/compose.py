"""compose.yaml as a test reads it: with its variables at their defaults, and its services as command lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "compose.yaml"
OURS = "cinefarm/"
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")


@dataclass(frozen=True)
class Service:
    """One service of ours: what its container runs, and with which settings and secrets."""

    name: str
    command: tuple[str, ...]  # behind the image's entrypoint
    environment: dict[str, str]
    secrets: tuple[str, ...]


def load() -> dict[str, Any]:
    """The file, as Compose reads it without an .env file."""
    text = _VARIABLE.sub(lambda found: found["default"] or "", FILE.read_text(encoding="utf-8"))
    return dict(yaml.safe_load(text))


def services() -> dict[str, Service]:
    """The services that run an image of ours."""
    return {
        name: Service(
            name, tuple(given.get("command", image_command(given))), given["environment"], tuple(given["secrets"])
        )
        for name, given in load()["services"].items()
        if given["image"].startswith(OURS)
    }


def image_command(given: dict[str, Any]) -> list[str]:
    """CMD of the Dockerfile's target that a service is built from."""
    stage = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    own = next(text for text in stage if text.splitlines()[0].endswith(f" AS {given['build']['target']}"))
    words = re.search(r"^CMD \[(.*)\]$", own, flags=re.MULTILINE)
    assert words, given
    return [word.strip().strip('"') for word in words[1].split(",")]
