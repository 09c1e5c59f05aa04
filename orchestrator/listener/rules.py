"""Which job an arrival starts: ordered rules, the first that fits counts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, Protocol

from common.dicom.received import CLASSES
from orchestrator.jobs import JobRequest

ANY = ("*",)


class Received(Protocol):
    """What rules look at: a row of the ledger's arrivals."""

    @property
    def calling_aet(self) -> str: ...  # noqa: D102
    @property
    def called_aet(self) -> str: ...  # noqa: D102
    @property
    def sop_class_uid(self) -> str: ...  # noqa: D102
    @property
    def modality(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Rule:
    """What becomes of which arrivals. AE titles are patterns of the shell (``ENDO*``); capitals count (PS3.5 6.2)."""

    name: str
    request: JobRequest  # without sources: they are what arrives
    hold_seconds: float = 60.0  # a study is complete when nothing of it came for so long
    job: Literal["study", "day"] = "study"  # a job for every study, or one for all of a day (UTC)
    calling: Sequence[str] = ANY
    called: Sequence[str] = ANY
    classes: Sequence[str] = ()  # SOP Class UIDs; none: all
    modalities: Sequence[str] = ()  # none: all

    def takes(self, arrival: Received) -> bool:
        """True when all that the rule names fits."""
        return (
            fits(arrival.calling_aet, self.calling)
            and fits(arrival.called_aet, self.called)
            and (not self.classes or arrival.sop_class_uid in self.classes)
            and (not self.modalities or arrival.modality in self.modalities)
        )


@dataclass(frozen=True)
class Rules:
    """All that a rules file says. Without any rule arrivals are kept, and that is all."""

    rules: tuple[Rule, ...] = ()
    callers: Sequence[str] = ANY  # AE titles that are let in
    classes: Sequence[str] = tuple(CLASSES.values())  # that are taken

    def rule_for(self, arrival: Received) -> Rule | None:
        """The first rule that takes it."""
        return next((rule for rule in self.rules if rule.takes(arrival)), None)

    def lets_in(self, calling_aet: str) -> bool:
        """Whether somebody with this AE title may call."""
        return fits(calling_aet, self.callers)

    def names(self, called_aet: str) -> bool:
        """Whether a rule names this AE title as one of ours."""
        return fits(called_aet, [pattern for rule in self.rules if rule.called != ANY for pattern in rule.called])


def fits(text: str, patterns: Sequence[str]) -> bool:
    """True when one of the patterns fits."""
    return any(fnmatchcase(text, pattern) for pattern in patterns)
