"""Pure: what a delivery that has arrived must still prove, when it is asked for, and what an archive's answer means.

delivered ──▶ READ, where the archive warned ──▶ COMMIT, or COUNT or READ where it does not commit ──▶ committed
    ▲                                                 │
    └── sent again ◀── pending ◀── the archive lacks it                    failed ◀── it refuses, differs, or never answers
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from common.destinations import DicomDestination, parse_destination
from common.settings import Settings
from orchestrator.acceptance import Acceptance
from orchestrator.ledger.schema import Delivery

SAMPLE = 20
"""With ``verify=sample`` one delivery in so many is read back, the first one of a ledger among them."""

RESENDS = 3
"""Times that an instance is sent again to an archive that says it does not have it."""

LOOKS = 4
"""Times that an archive is asked for an instance before it counts as lost: many index what they took some time later."""

FIRST_WAIT = timedelta(seconds=30)
"""Before the second look, or the next request after a failure that may pass; doubles each time."""

LONGEST_WAIT = timedelta(minutes=15)

REFUSAL_KEPT = timedelta(days=7)
"""An archive that refused storage commitment is asked again after so long: it may have been taught it."""

_WARNED = re.compile(r"status (?!0000)[0-9A-F]{4}")  # of C-STORE: a warning, or it had an object under this UID before


class Step(StrEnum):
    """What is asked next."""

    COMMIT = "commit"
    COUNT = "count"
    READ = "read"


class Verdict(StrEnum):
    """What follows from an archive's failure reason."""

    RESEND = "resend"  # it does not have the instance
    LATER = "later"  # it may commit another time
    WITHOUT = "without"  # it does not commit this class
    FAIL = "fail"  # for a person


_VERDICTS = {
    0x0112: Verdict.RESEND,  # no such object instance
    0x0110: Verdict.LATER,  # processing failure
    0x0213: Verdict.LATER,  # resource limitation
    0x0131: Verdict.LATER,  # duplicate transaction UID: the next request has another
    0x0122: Verdict.WITHOUT,  # referenced SOP class not supported
    0x0119: Verdict.FAIL,  # class/instance conflict: another object lies under this UID
}

REASONS = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class and instance conflict",
    0x0122: "SOP class not supported",
    0x0131: "duplicate transaction UID",
    0x0213: "resource limitation",
}
"""Failure Reason (0008,1197), PS3.3 C.14.1.1."""


def verdict(reason: int) -> Verdict:
    """Of a Failure Reason; one that the standard does not know may pass."""
    return _VERDICTS.get(reason, Verdict.LATER)


@dataclass(frozen=True)
class Patience:
    """How long what is waited for. ``listens``: archives can reach us with reports on associations of their own."""

    whole: timedelta = timedelta(hours=48)
    again: timedelta = timedelta(hours=6)
    gather: timedelta = timedelta(seconds=0)
    listens: bool = True

    @classmethod
    def of(cls, settings: Settings) -> Patience:
        """By the settings."""
        return cls(
            timedelta(hours=settings.commitment_hours),
            timedelta(hours=settings.commitment_again_hours),
            timedelta(seconds=settings.commit_gather_seconds),
            listens=settings.listen_port != 0,
        )

    def deadline(self, delivery: Delivery, moment: datetime) -> datetime:
        """When a delivery counts as never proven."""
        return (delivery.delivered_at or moment) + self.whole


def is_archive(uri: str) -> bool:
    """Whether a destination is one whose own word is asked for; all others have proven by digest what they hold."""
    return isinstance(parse_destination(uri), DicomDestination)


def commits(acceptance: Acceptance, refused_at: datetime | None, moment: datetime) -> bool:
    """Whether an archive is asked for storage commitment. ``refused_at``: when it last refused."""
    if acceptance.commitment != "unknown":
        return acceptance.commitment == "yes"
    return refused_at is None or moment - refused_at > REFUSAL_KEPT


def next_step(delivery: Delivery, acceptance: Acceptance, *, commits: bool) -> Step | None:
    """What a delivery that has arrived must prove next; None: nothing is left."""
    if not is_archive(delivery.destination):
        return None
    if not delivery.read_back and _WARNED.search(delivery.proof):
        return Step.READ  # the archive changed or doubted something (B000, B006, B007): what it keeps is looked at
    if commits and not delivery.uncommitted:
        return Step.COMMIT
    if delivery.read_back or acceptance.verify == "none":
        return None
    sampled = acceptance.verify == "sample" and delivery.id % SAMPLE == 1
    return Step.READ if acceptance.verify == "all" or sampled else Step.COUNT


def wait(attempts: int) -> timedelta:
    """Before the next try after so many (from 1)."""
    return min(FIRST_WAIT * (1 << min(max(attempts, 1) - 1, 10)), LONGEST_WAIT)
