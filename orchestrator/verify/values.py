"""What is compared, and what came of it. No patient data: UIDs, numbers, digests, and an item's number in its job."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Cause(StrEnum):
    """Why source and destination do not agree."""

    MISSING = "missing at the destination"
    FRAMES = "another number of frames"
    DIGEST = "other bytes"
    UNREADABLE = "cannot be read there"
    NOT_DELIVERED = "not delivered"
    AWAY = "the destination does not answer"
    SOURCE_GONE = "the source is no longer there"
    SOURCE_CHANGED = "the source is not what was migrated"
    SOURCE_AWAY = "the source does not answer"


@dataclass(frozen=True, slots=True)
class Expected:
    """One instance that a destination should hold, or one item that should have become one."""

    item: int  # number in the job
    sop_instance_uid: str  # empty: none was made
    series_uid: str
    frames: int
    digest: str  # SHA-256 of the file, hexadecimal
    size_bytes: int
    location: str  # path below a folder or bucket
    pixel_digest: str = ""  # SHA-256 of Pixel Data as it was sent; empty: not known
    stream_digest: str = ""  # SHA-256 of a copied video stream in its normal form; empty: not known
    sop_class_uid: str = ""
    undelivered: str = ""  # why it is not there: state and reason; empty: it was delivered


@dataclass(frozen=True, slots=True)
class Held:
    """One instance that a destination has."""

    sop_instance_uid: str
    frames: int | None = None  # None: the destination does not say
    digest: str | None = None  # None: not comparable
    same: bool | None = None  # read back and compared there; None: not done
    problem: str = ""  # why it could not be read
    count: int = 1  # of instances that are not ours, where they are not told apart


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that does not agree."""

    cause: Cause
    item: int | None = None
    sop_instance_uid: str = ""
    words: str = ""


@dataclass
class StudyResult:
    """One study at one destination."""

    destination: str
    study_uid: str  # empty: items that never came so far
    items: int = 0
    instances: int = 0  # that were delivered
    found: int = 0  # of these
    frames: int = 0
    frames_found: int = 0  # of those that the destination counts
    frames_unknown: int = 0  # instances whose frames it does not tell
    same: int = 0  # digests that agree
    not_comparable: int = 0
    others: int = 0  # instances of the study that are not this job's
    differences: list[Difference] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Nothing is missing and nothing is different."""
        return not self.differences


@dataclass
class Totals:
    """The sums over all studies; instances and what was found of them at every destination, studies and items once."""

    studies: int = 0
    items: int = 0
    skipped: int = 0
    instances: int = 0
    found: int = 0
    same: int = 0
    not_comparable: int = 0
    others: int = 0
    causes: dict[Cause, int] = field(default_factory=dict)

    def add(self, result: StudyResult) -> None:
        """One more study at one destination."""
        self.instances += result.instances
        self.found += result.found
        self.same += result.same
        self.not_comparable += result.not_comparable
        self.others += result.others
        for difference in result.differences:
            self.causes[difference.cause] = self.causes.get(difference.cause, 0) + 1
