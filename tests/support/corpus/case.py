"""What a case is: one file, the rule it breaks, and what cannot be broken without breaking something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from support.corpus.instances import Instance, PixelData
from support.corpus.streams import Edit, Stream, Workshop

UNREADABLE = "refused"
"""Stands for a rule: the checker must refuse the file as unreadable (exit 2), not judge it."""

Weight = Literal["error", "warning"]


@dataclass(frozen=True)
class Case:
    """One file of the corpus. ``rule``: the finding that must come, None for a legal file.

    ``companions``: rules that the same fault breaks unavoidably. ``unknown``: why the checker does not yet give ``rule``.
    """

    name: str
    about: str
    instance: Instance
    rule: str | None = None
    weight: Weight = "error"
    companions: tuple[str, ...] = ()
    unknown: str = ""

    def build(self, workshop: Workshop) -> bytes:
        """The whole file."""
        return self.instance.build(workshop.bytes(self.instance.stream))


@dataclass(frozen=True)
class Shelf:
    """Collects the cases of one area, so that each is one short call."""

    cases: list[Case] = field(default_factory=list)

    def add(
        self,
        name: str,
        about: str,
        stream: Stream,
        syntax: str,
        rules: str = "",
        *,
        weight: Weight = "error",
        unknown: str = "",
        meta: Mapping[str, object] | None = None,
        pixels: PixelData | None = None,
        edit: Edit | None = None,
        **changes: object,
    ) -> None:
        """One more case. ``rules``: the rule and its companions, joined by " + "; ``changes``: keyword → value of the header."""
        rule, *companions = rules.split(" + ")
        instance = Instance(stream, syntax, changes, meta or {}, pixels or PixelData(), edit)
        self.cases.append(Case(name, about, instance, rule or None, weight, tuple(companions), unknown))

    def warn(self, *parts: object, **more: object) -> None:
        """One more case whose rule is a warning; arguments as of ``add``."""
        self.add(*parts, weight="warning", **more)
