"""The one tree of errors. The first split says who must act; ``retryable`` says whether trying again can help.

CinefarmError
├── InputError            the source: mend or replace the file
│   ├── NotVideo          readable, but nothing for us (a still image, a document): the item is skipped, not failed
│   ├── UnreadableSource  cannot be opened or understood
│   ├── TruncatedSource   says it is longer than it is
│   └── UnsupportedSource understood, but no decoder or rule covers it
├── PolicyError           the job: change the mapping, the profile or the destination
│   ├── MissingMetadata   plain video without the patient and study data DICOM demands
│   ├── BadMapping        the mapping CSV itself is wrong
│   ├── BadIdentifiers    the rules for identifiers are wrong, or refuse this object
│   ├── UnknownName       no job, item or other thing of ours is named so
│   ├── ConflictingRequest  what is asked does not fit to what is there
│   ├── TooLarge          more than is taken at once
│   └── NoLegalPath       nothing legal leads from this source to this destination
├── EnvironmentFault      the machine or a peer: repair it; trying again can help
│   ├── ProgramFailed     a child program ended badly (name, command, exit code, last words)
│   ├── ProgramMissing    a program or one of its features is not installed
│   ├── StoreFault        the object store did not do what it was asked
│   ├── DestinationUnavailable  the archive did not answer or had no room: try later
│   │   └── NotAnswered             it took the association and ended it instead of answering
│   ├── DestinationRefused      the archive said no, for good
│   ├── RetrievalFailed         the archive tried to send a source and failed
│   ├── PeerFault         a peer that called us broke the protocol, fell silent or went away
│   ├── NotProven               the archive took the object and does not prove that it keeps it
│   ├── HardwareFailed    a device for encoding failed or lacks what was asked: the CPU takes over
│   ├── ResourceLimit     a limit on time, memory or output size was met
│   └── LeaseLost         this attempt was given to somebody else: stop, do not report a failure
└── InternalFault         us: a bug; the item is kept for inspection
    └── ConformanceBroken our own output failed our own check
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Actor(StrEnum):
    """Who must act to clear an error."""

    INPUT = "input"
    POLICY = "policy"
    ENVIRONMENT = "environment"
    US = "us"


class CinefarmError(Exception):
    """Base of all errors. ``str(error)`` is safe to show anywhere: it never holds patient data or a source path.

    ``code`` is the stable class name; ``hint`` tells the user what to do next.
    """

    actor: ClassVar[Actor] = Actor.US
    retryable: ClassVar[bool] = False
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.default_hint

    @property
    def code(self) -> str:
        """The class name, stable across releases: what reports group by."""
        return type(self).__name__


class InputError(CinefarmError):
    """The source file is at fault."""

    actor = Actor.INPUT


class NotVideo(InputError):
    """A readable file that holds no video: skipped, not failed."""


class UnreadableSource(InputError):
    """The file cannot be opened or is not what it claims to be."""

    default_hint = "Check the file by hand, fetch it again from where it came, and run the same command again."


class TruncatedSource(InputError):
    """The file ends before its own header says it should."""

    default_hint = "Copy the file again from where it came, and run the same command again."


class UnsupportedSource(InputError):
    """No decoder or rule covers this source."""


class Uncuttable(InputError):
    """A stream that must become several instances has no place where a part could begin: its pictures are to be coded anew."""

    default_hint = "Choose a profile that encodes, or a destination that takes a fragmentable syntax or larger objects."


class PolicyError(CinefarmError):
    """The job's settings do not allow a result."""

    actor = Actor.POLICY


class MissingMetadata(PolicyError):
    """Plain video without the patient and study data that a DICOM object needs."""

    default_hint = "Add a row for this file to the CSV given with --map (columns: PatientID, PatientName, ...)."


class BadMapping(PolicyError):
    """The mapping CSV cannot be used as it is. ``faults``: each with its line and column."""

    def __init__(self, message: str, *, hint: str = "", faults: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.faults = faults


class BadIdentifiers(PolicyError):
    """The site's rules for identifiers cannot be used as they are, or give no legal value for this object."""


class UnknownName(PolicyError):
    """No job, item, destination or other thing of ours is named so."""


class ConflictingRequest(PolicyError):
    """What is asked does not fit to what is there: a name that two bear, a key used for something else."""


class TooLarge(PolicyError):
    """More bytes than are taken at once."""


class NoLegalPath(PolicyError):
    """Nothing legal leads from this source to this destination under this profile. ``rule``: id of what closed the last path."""

    default_hint = "Choose another profile or another destination; docs/plan.md says how the path is chosen."

    def __init__(self, message: str, *, hint: str = "", rule: str = "") -> None:
        super().__init__(message, hint=hint)
        self.rule = rule


class EnvironmentFault(CinefarmError):
    """The machine, a program or a peer is at fault; another try may succeed."""

    actor = Actor.ENVIRONMENT
    retryable = True


class ProgramMissing(EnvironmentFault):
    """A needed program, or a feature of it, is not installed."""

    retryable = False
    default_hint = "Run `cinefarm doctor`: it names what is missing and how to get it."


class ProgramFailed(EnvironmentFault):
    """A child program ended badly. Carries its name, command, exit code and the tail of its stderr."""

    def __init__(self, name: str, argv: list[str], code: int, stderr_tail: str) -> None:
        last = stderr_tail.strip().splitlines()[-1] if stderr_tail.strip() else "no message"
        super().__init__(f"{name} ended with exit code {code}: {last}")
        self.name = name
        self.argv = argv
        self.exit_code = code
        self.stderr_tail = stderr_tail

    def __reduce__(self) -> tuple[type[ProgramFailed], tuple[str, list[str], int, str]]:
        return type(self), (self.name, self.argv, self.exit_code, self.stderr_tail)


class StoreFault(EnvironmentFault):
    """The object store failed to read or write."""


class DestinationUnavailable(EnvironmentFault):
    """The destination did not answer, or has no room now."""


class NotAnswered(DestinationUnavailable):
    """The archive took the association and ended it, or fell silent, instead of answering: many refuse in this way."""


class DestinationRefused(EnvironmentFault):
    """The destination refused the object for good."""

    retryable = False


class PeerFault(EnvironmentFault):
    """A peer that called us broke the protocol, fell silent or went away: its association ends, and it may call again."""


class RetrievalFailed(EnvironmentFault):
    """An archive tried to send an instance that is a source, and failed: once more may help, not for days."""


class NotProven(EnvironmentFault):
    """The destination took the object and does not prove that it keeps it as it was sent."""

    retryable = False


class HardwareFailed(EnvironmentFault):
    """A device for encoding failed, went away or lacks what was asked. ``stderr_tail`` holds FFmpeg's last words.

    The same device is not asked again: the item goes to the CPU, once and on the record.
    """

    retryable = False
    default_hint = "Look at the device and its driver; the item is made on the CPU."

    def __init__(self, message: str, *, hint: str = "", stderr_tail: str = "") -> None:
        super().__init__(message, hint=hint)
        self.stderr_tail = stderr_tail


class ResourceLimit(EnvironmentFault):
    """A child program met its limit on time, memory or output size. A busy node may be the reason: once more, no oftener."""


class LeaseLost(EnvironmentFault):
    """The lease of this attempt lapsed or was taken back: the work belongs to another attempt now."""


class InternalFault(CinefarmError):
    """Cinefarm broke its own promise."""

    actor = Actor.US
    default_hint = "This is a bug: please report it with the evidence file."


class ConformanceBroken(InternalFault):
    """An output failed the conformance check and was not delivered."""
