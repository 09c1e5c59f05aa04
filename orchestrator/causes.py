"""Under which name an item that was set aside is counted, so that a thousand alike are one line to act on. Pure."""

from __future__ import annotations

from common.orders import TranscodeDone

GATE = "gate."
"""Before a metric of the gate; what stands alone is an error's code (common.errors) or the id of a conformance rule."""

_CAUSE_LENGTH = 64
"""As the ledger's column."""


def cause_of(made: TranscodeDone) -> str:
    """Why a result is quarantined: the first conformance rule that it breaks, else the metric of its first miss."""
    broken = next((finding.rule for finding in made.findings if finding.severity == "error"), None)
    if broken is not None:
        return broken[:_CAUSE_LENGTH]
    word = next((miss.split()[0] for miss in made.verdict.misses if miss.split()), "")
    return f"{GATE}{word if word in made.scores or word == 'sound' else 'picture'}"


def can_be_accepted(made: TranscodeDone) -> bool:
    """A person may accept what missed its gate; what breaks the standard leaves on nobody's word."""
    return not made.verdict.passed and all(finding.severity != "error" for finding in made.findings)
