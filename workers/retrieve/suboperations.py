"""What an archive's last answer to C-GET or C-MOVE means (PS3.4 tables C.4-2 and C.4-3): there, gone, later, or never."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import CinefarmError, DestinationRefused, DestinationUnavailable, RetrievalFailed, UnreadableSource

if TYPE_CHECKING:
    from pydicom import Dataset

PENDING = (0xFF00, 0xFF01)
SUCCESS, WARNING = 0x0000, 0xB000
_UNABLE = 0xA702
_OUT_OF_RESOURCES = (0xA700, 0xA701, _UNABLE)
_NO_SUCH_DESTINATION = 0xA801

LOG_HINT = "The archive's own log tells why."


@dataclass(frozen=True)
class Tally:
    """The last response: its status and the sub-operations that it counts."""

    status: int
    completed: int = 0
    failed: int = 0
    warnings: int = 0

    @classmethod
    def of(cls, response: Dataset) -> Tally:
        """Read a response; counts that it leaves out are 0."""
        names = ("Completed", "Failed", "Warning")
        counts = (int(response.get(f"NumberOf{name}Suboperations", 0) or 0) for name in names)
        return cls(int(response.Status), *counts)

    @property
    def sent(self) -> int:
        """Sub-operations that ended with the instance at its destination; warnings are for its values."""
        return self.completed + self.warnings


def gone() -> UnreadableSource:
    """The error of an instance that the archive has no longer."""
    return UnreadableSource(
        "the archive no longer has this instance, or does not let us have it",
        hint="Look for it in the archive; run the same command again once it is there.",
    )


def why_nothing_came(tally: Tally) -> CinefarmError:
    """The error of a retrieval that ended without the instance."""
    status = f"(status {tally.status:04X})"
    if tally.status in (SUCCESS, WARNING, _UNABLE) and tally.failed:
        return RetrievalFailed(
            f"the archive could not send the instance {status}: {tally.failed} sub-operation failed",
            hint="Perhaps it keeps it in a transfer syntax that it does not send, or has lost its file. " + LOG_HINT,
        )
    if tally.status in (SUCCESS, WARNING):
        return gone()
    if tally.status in _OUT_OF_RESOURCES:
        return DestinationUnavailable(f"the archive is out of resources {status}", hint=LOG_HINT)
    if tally.status == _NO_SUCH_DESTINATION:
        return DestinationRefused(
            f"the archive does not know where to send to {status}",
            hint="Register our listener there: its AE title (CINEFARM_DICOM_AE_TITLE), host and port; or use .retrieve=get.",
        )
    if tally.status >> 12 == 0xC or tally.status == 0x0110:
        return RetrievalFailed(f"the archive was unable to send the instance {status}", hint=LOG_HINT)
    return DestinationRefused(f"the archive refuses to send the instance {status}", hint=LOG_HINT)
