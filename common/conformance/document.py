"""docs/conformance-rules.md, made from the rules: ``python -m common.conformance.document > docs/conformance-rules.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from common.conformance import (
    DESCRIPTION_RULES,
    ENCAPSULATION_RULES,
    FILE_RULES,
    FRAMES_RULES,
    VIDEO_HEADER_RULES,
)
from common.conformance.rules import VIDEO_CLAUSES, Rule
from common.dicom.transfer_syntaxes import short

_HEAD = """# Conformance rules

Made from the code by `python -m common.conformance.document`; do not edit.

What `cinefarm check` and the gate before delivery hold a DICOM video against. An *error* keeps a file from being kept,
rewrapped or delivered as it is; a *warning* is for a person to read; a *note* is for the record. The prefix of a rule
says what mends it: `audio.` new sound or none; `container.` a new container; `stream.` nothing but encoding;
`header.`, `encapsulation.` and `file.` a new DICOM file around the same stream; `frames.` coding the frames anew, or a header
that tells the truth about them. What it costs to check a file, and how it ends, stands in [checker.md](checker.md).

"8.2.5–8.2.11" stands for the one clause of the syntax at hand: {clauses}. Fragmentable twins (`.100.1` and so on) follow
the clause of their base syntax.

## Why lesser profiles are warnings

PS3.5 8.2.7 asks for what is "compliant with the High Profile / Level 4.1" and names no profile_idc. A High profile
decoder must decode Main and Constrained Baseline streams (ITU-T H.264 A.2.4: streams with profile_idc 77, or with
constraint_set1_flag equal to 1, belong to what it decodes), so every conforming viewer shows them. Encoding them anew
would lose quality and win nothing: they are kept, with a warning. Baseline without constraint_set1_flag and Extended may
use tools that a High profile decoder does not know (FMO, ASO, data partitioning): an error.
"""


def rules_page() -> str:
    """The whole page."""
    clauses = ", ".join(f"`{short(uid)}` {clause}" for uid, clause in VIDEO_CLAUSES.items())
    return "\n".join(
        [
            _HEAD.format(clauses=clauses),
            *_section("The stream, its container and its sound", DESCRIPTION_RULES),
            *_section("The header", VIDEO_HEADER_RULES),
            *_section("The encapsulation", ENCAPSULATION_RULES),
            *_section("The file around the data set", FILE_RULES),
            *_section("Frames that are images of their own", FRAMES_RULES),
        ]
    )


def _section(title: str, rules: Iterable[Rule[Any]]) -> Iterator[str]:
    yield f"## {title}\n\n| rule | severity | clause | demand |\n|---|---|---|---|"
    for rule in rules:
        yield f"| `{rule.id}` | {rule.severity} | {rule.clause} | {rule.demand} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(rules_page())
