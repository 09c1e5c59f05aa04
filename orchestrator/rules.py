"""``[[rules]]`` of a job file: which items get another profile or another gate than the job's. Pure (docs/jobs.md)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.dicom.sop_classes import class_uid
from common.errors import PolicyError
from common.header_patterns import KEYWORDS, HeaderPatterns, Patterns
from common.recipes import Figure, Gate, Profile, Rule, Threshold

_THRESHOLD = re.compile(r"\s*(?P<metric>\w+)\s+(?P<statistic>\w+)\s*(?P<side>>=|<=)\s*(?P<limit>\d+(?:\.\d+)?)\s*")
_HINT = "Write e.g. 'vmaf p1 >= 90' or 'cambi_added p99 <= 2'; docs/quality.md lists metrics and statistics."


class RuleWords(BaseModel):
    """One rule as it is written. Lists that are left out fit everything; the first rule that fits counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=80)
    modality: tuple[str, ...] = ()
    sop_class: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    series_description: Patterns = ()
    study_description: Patterns = ()
    body_part: Patterns = ()
    protocol: Patterns = ()
    profile: str = ""
    thresholds: tuple[str, ...] = ()
    only: bool = Field(default=False, description="the thresholds are the whole gate, not changes to the profile's")
    figures: tuple[Figure, ...] = ()
    stride: int | None = Field(default=None, ge=2, le=10)


class _RulesFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: tuple[RuleWords, ...] = Field(min_length=1)


def load_rules(path: Path) -> tuple[RuleWords, ...]:
    """The ``[[rules]]`` of a TOML file. Raises: PolicyError: it cannot be read, or a key or value is wrong."""
    try:
        return _RulesFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).rules
    except OSError as error:
        raise PolicyError(f"the file of rules cannot be read: {error.strerror}", hint="Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(f"the file of rules is not TOML: {error}", hint=_DOCUMENTED) from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise PolicyError(f"the file of rules is wrong: {faults}", hint=_DOCUMENTED) from error


_DOCUMENTED = "docs/jobs.md describes every key of [[rules]]."


def rules_of(words: Sequence[RuleWords], named: Callable[[str], Profile]) -> tuple[Rule, ...]:
    """The rules with their profiles complete; ``named``: the profile of a name, and of none the job's own.

    Raises:
        PolicyError: a profile is unknown, a threshold is not understood, or a gate is none that a result may pass by.
    """
    return tuple(_rule(each, named(each.profile)) for each in words)


def _rule(words: RuleWords, profile: Profile) -> Rule:
    gate = _gate(words, profile.gate)
    if gate.fault:
        raise PolicyError(f"rule {words.name}: {gate.fault}", hint=_HINT)
    if gate.stride and profile.name.partition("-")[0] in {"archive", "diagnostic"}:
        raise PolicyError(
            f"rule {words.name}: profile {profile.name} measures every frame",
            hint="Leave out the stride, or name review.",
        )
    header = HeaderPatterns(**{name: getattr(words, name) for name in KEYWORDS})
    return Rule(
        name=words.name,
        modality=tuple(each.strip().upper() for each in words.modality),
        sop_class=tuple(class_uid(each) for each in words.sop_class),
        series=words.series,
        header=header if header != HeaderPatterns() else None,
        profile=profile.model_copy(update={"gate": gate, "rule": words.name}),
    )


def _gate(words: RuleWords, own: Gate) -> Gate:
    """The profile's gate with the rule's thresholds in place of those on the same figure."""
    changed = {(each.metric, each.statistic): each for each in map(parse_threshold, words.thresholds)}
    kept = {} if words.only else {(each.metric, each.statistic): each for each in own.thresholds}
    figures = tuple(dict.fromkeys((*own.figures, *words.figures)))
    thresholds = tuple((kept | changed).values())
    return own.model_copy(update={"thresholds": thresholds, "figures": figures, "stride": words.stride or own.stride})


def parse_threshold(text: str) -> Threshold:
    """``vmaf p1 >= 90``. Raises: PolicyError: it is not understood, or points the wrong way."""
    found = _THRESHOLD.fullmatch(text)
    if found is None:
        raise PolicyError(f"{text[:64]!r} is no threshold", hint=_HINT)
    side = "minimum" if found["side"] == ">=" else "maximum"
    try:
        return Threshold.model_validate(
            {"metric": found["metric"], "statistic": found["statistic"], side: float(found["limit"])}
        )
    except ValidationError as error:
        raise PolicyError(f"{text[:64]!r}: {error.errors()[0]['msg']}", hint=_HINT) from error
