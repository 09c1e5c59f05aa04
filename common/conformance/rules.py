"""What a rule is: a pure function from a case to its breaches, with an id, a clause and a severity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from common.dicom.transfer_syntaxes import ROOT, VideoSyntax
from common.media import Description, VideoStream
from common.orders import Finding

Severity = Literal["error", "warning", "note"]

VIDEO_CLAUSES: dict[str, str] = {
    f"{ROOT}.100": "8.2.5",
    f"{ROOT}.101": "8.2.6",
    f"{ROOT}.102": "8.2.7",
    f"{ROOT}.103": "8.2.7",
    f"{ROOT}.104": "8.2.8",
    f"{ROOT}.105": "8.2.8",
    f"{ROOT}.106": "8.2.9",
    f"{ROOT}.107": "8.2.10",
    f"{ROOT}.108": "8.2.11",
}
"""Clause of PS3.5 that constrains each syntax; fragmentable twins share it."""

OF_SYNTAX = "PS3.5 8.2.5–8.2.11"
"""Stands in the table for the one clause of the syntax at hand."""


REMEDIES: dict[str, str] = {
    "stream": "Encode the video anew: `cinefarm migrate FILE --to DEST` does it where nothing cheaper is legal.",
    "container": "Put the same stream into a new container, without encoding: `cinefarm migrate FILE --to DEST`.",
    "audio": "Encode the sound anew, or leave it out: `cinefarm migrate FILE --to DEST --audio keep` or `strip`.",
    "header": "Write a new header around the same stream: `cinefarm migrate FILE --to DEST`.",
    "encapsulation": "Write the same stream into a new DICOM file: `cinefarm migrate FILE --to DEST`.",
    "file": "Write a new DICOM file with the same data set: `cinefarm migrate FILE --to DEST`, or any writer of PS3.10.",
    "frames": "Encode the frames anew from their source, or correct the header where the frames are right.",
    "stream.profile.lesser": "Nothing has to be done: every decoder of the syntax shows it, and encoding anew would lose quality.",
    "stream.rate": "Store it as DICOM with a Frame Time Vector of its time stamps, or make its rate constant.",
    "header.grey_scale": "Take the attribute out of the header; the frames stay as they are.",
    "header.padding": "Take the attribute out of the header; the frames stay as they are.",
    "header.palette": "Take the palette out of the header; the frames stay as they are.",
}
"""What mends a breach, by its rule's id or the first part of it; a rule or a breach may know better."""


@dataclass(frozen=True)
class Breach:
    """One way in which a case breaks a rule: noun phrases for what was found and what is required."""

    found: str
    required: str
    remedy: str = ""


@dataclass(frozen=True)
class StreamCase:
    """A described stream held against a transfer syntax."""

    description: Description
    syntax: VideoSyntax

    @property
    def video(self) -> VideoStream:
        """The video stream."""
        return self.description.video

    @property
    def base_uid(self) -> str:
        """UID of the syntax whose bitstream rules hold."""
        return self.syntax.base_uid


Judged_contra = TypeVar("Judged_contra", contravariant=True)  # a rule on any header is a rule on that of a video


@dataclass(frozen=True)
class Rule(Generic[Judged_contra]):
    """One row of the table. The prefix of ``id`` says what mends a breach: see ``common.conformance``."""

    id: str
    clause: str
    severity: Severity
    check: Callable[[Judged_contra], Iterable[Breach]]
    remedy: str = ""  # what mends a breach, where the prefix of ``id`` does not say it all

    def mend(self, breach: Breach) -> str:
        """What to do about a breach: its own word, else the rule's, else what mends all of the rule's kind."""
        return breach.remedy or self.remedy or REMEDIES.get(self.id) or REMEDIES[self.id.partition(".")[0]]

    @property
    def demand(self) -> str:
        """What the rule demands, in the words of its function's docstring."""
        return " ".join((self.check.__doc__ or "").split())


def run(
    rules: Iterable[Rule[Judged_contra]], case: Judged_contra, syntax: VideoSyntax | None = None
) -> Iterator[Finding]:
    """Every breach of every rule as a finding, in the order of the table. ``syntax``: None for what is no video."""
    of_syntax = OF_SYNTAX if syntax is None else f"PS3.5 {VIDEO_CLAUSES[syntax.base_uid]}"
    for rule in rules:
        for breach in rule.check(case):
            yield Finding(
                severity=rule.severity,
                rule=rule.id,
                clause=of_syntax if rule.clause == OF_SYNTAX else rule.clause,
                found=breach.found,
                required=breach.required,
                remedy=rule.mend(breach),
            )
