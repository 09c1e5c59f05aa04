"""Whether an archive finds each instance that it took: C-FIND at IMAGE level (PS3.4 C.4.1), one question an instance."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from common.destinations import DicomDestination
from common.errors import DestinationRefused
from common.network.association import Caller
from common.network.find import ArchiveFinder, Unwanted
from common.network.query import Query
from common.orders import Awaited, VerifyDone

PROOF = "found by C-FIND"


def count(
    instances: Sequence[Awaited], archive: DicomDestination, caller: Caller, check: Callable[[], None]
) -> VerifyDone:
    """Which of these the archive finds under their study and series.

    Raises:
        DestinationUnavailable: no association, no answer, or it has no resources now.
        LeaseLost: the attempt was revoked.
    """
    found: list[str] = []
    missing: list[str] = []
    try:
        with ArchiveFinder(archive, caller, check=check) as finder:
            for instance in instances:
                check()
                (found if _finds(finder, instance) else missing).append(instance.sop_instance_uid)
    except (DestinationRefused, Unwanted) as refusal:
        return VerifyDone(unable=f"it answers no queries: {refusal.message}")
    return VerifyDone(found=tuple(found), missing=tuple(missing), proof=PROOF)


def _finds(finder: ArchiveFinder, instance: Awaited) -> bool:
    only = Query({"SOPInstanceUID": instance.sop_instance_uid})
    there = finder.instances(instance.study_uid, instance.series_uid, only)
    return any(one.sop_instance_uid == instance.sop_instance_uid for one in there)
