"""The rules file of the listener, in TOML (docs/listen.md): whom to let in, what to take, and which jobs arrivals start."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from common.dicom.received import CLASSES, chosen_classes
from common.errors import PolicyError
from common.store import ObjectStore
from orchestrator.jobfile import JobFile, faults
from orchestrator.listener.rules import ANY, Rule, Rules

DOCUMENTED = "docs/listen.md describes every key."

_NOT_OF_RULES = ("sources", "map")
"""Keys of a job file that make no sense here: what arrives is the source, and has its own patient data."""


class _Matching(BaseModel):
    """The keys of a rule that say what it takes; all others are those of a job file."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str = Field(min_length=1, max_length=64)
    calling: tuple[str, ...] = ANY
    called: tuple[str, ...] = ANY
    classes: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    hold_seconds: float = Field(default=60.0, ge=0)
    job: Literal["study", "day"] = "study"

    @field_validator("calling", "called", "classes", "modalities", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    callers: tuple[str, ...] = ANY
    classes: tuple[str, ...] = ()
    rule: tuple[dict[str, Any], ...] = ()


def load_rules(path: Path, store: ObjectStore, *, patience_seconds: float = 0.0) -> Rules:
    """Read and check a rules file. Relative destinations are below its folder.

    ``patience_seconds``: how long items wait for an archive that is away, of a rule that does not say so itself.

    Raises:
        PolicyError: it cannot be read, is no TOML, or has unknown keys or wrong values; each is named.
    """
    try:
        file = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise PolicyError(f"the rules file cannot be read: {error.strerror}", hint="Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(f"the rules file is not TOML: {error}", hint=DOCUMENTED) from error
    except ValidationError as error:
        raise PolicyError(f"the rules file is wrong: {faults(error)}", hint=DOCUMENTED) from error
    folder = path.absolute().parent
    rules = tuple(
        _rule(number, values, folder, store, patience_seconds) for number, values in enumerate(file.rule, start=1)
    )
    if twice := [name for name, count in Counter(rule.name for rule in rules).items() if count > 1]:
        raise PolicyError(
            f"two rules are named {twice[0]!r}", hint="Jobs are named after their rule: choose another name."
        )
    classes = chosen_classes(file.classes) if file.classes else tuple(CLASSES.values())
    asked = tuple(dict.fromkeys(uid for rule in rules for uid in rule.classes))
    return Rules(rules, file.callers, tuple(dict.fromkeys((*classes, *asked))))


def _rule(number: int, values: Mapping[str, Any], folder: Path, store: ObjectStore, patience_seconds: float) -> Rule:
    where = f"rule {number}"
    try:
        matching = _Matching.model_validate(values)
        where = f"rule {number} ({matching.name})"
        if wrong := [key for key in _NOT_OF_RULES if key in values]:
            raise PolicyError(f"{where}: a rule has no {wrong[0]}", hint=DOCUMENTED)
        wishes = {key: value for key, value in values.items() if key not in _Matching.model_fields}
        job = JobFile.model_validate({"sources": ("arrivals",), **wishes})
        request = job.checked().request(folder, store, patience_seconds=patience_seconds)
        classes = chosen_classes(matching.classes)
    except ValidationError as error:
        raise PolicyError(f"{where} is wrong: {faults(error)}", hint=DOCUMENTED) from error
    except PolicyError as error:
        message = error.message if error.message.startswith(where) else f"{where}: {error.message}"
        raise PolicyError(message, hint=error.hint) from error
    return Rule(
        matching.name,
        request,
        hold_seconds=matching.hold_seconds,
        job=matching.job,
        calling=matching.calling,
        called=matching.called,
        classes=classes,
        modalities=matching.modalities,
    )
