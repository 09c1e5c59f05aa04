"""Whether an archive finds each instance that it took: C-FIND at IMAGE level (PS3.4 C.4.1), one question an instance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from common.destinations import DicomDestination
from common.errors import DestinationRefused, DestinationUnavailable
from common.network.association import Caller, associate
from common.orders import Awaited, VerifyDone

if TYPE_CHECKING:
    from pynetdicom.association import Association

STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2.1"
_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
_PENDING, _SUCCESS, _OUT_OF_RESOURCES = (0xFF00, 0xFF01), 0x0000, 0xA7

PROOF = "found by C-FIND"


class QueryRefused(DestinationRefused):
    """The archive says that it cannot answer such questions."""


def count(
    instances: Sequence[Awaited], archive: DicomDestination, caller: Caller, check: Callable[[], None]
) -> VerifyDone:
    """Which of these the archive finds under their study and series.

    Raises:
        DestinationUnavailable: no association, no answer, or it has no resources now.
        DestinationRefused: the association was rejected for good.
    """
    found: list[str] = []
    missing: list[str] = []
    with associate({STUDY_ROOT: _SYNTAXES}, archive, caller) as association:
        if not association.accepted_contexts:
            return VerifyDone(unable="it answers no queries")
        for instance in instances:
            check()
            try:
                there = _finds(association, instance)
            except QueryRefused as refusal:
                return VerifyDone(unable=refusal.message)
            (found if there else missing).append(instance.sop_instance_uid)
    return VerifyDone(found=tuple(found), missing=tuple(missing), proof=PROOF)


def _finds(association: Association, instance: Awaited) -> bool:
    from pydicom.dataset import Dataset

    asked = Dataset()
    asked.QueryRetrieveLevel = "IMAGE"
    asked.StudyInstanceUID, asked.SeriesInstanceUID = instance.study_uid, instance.series_uid
    asked.SOPInstanceUID = instance.sop_instance_uid
    found = False
    try:
        for answer, match in association.send_c_find(asked, STUDY_ROOT):
            status = int(answer.Status) if "Status" in answer else None
            if status is None:
                raise _silent()
            if status in _PENDING:
                found |= match is not None and match.get("SOPInstanceUID") == instance.sop_instance_uid
            elif status >> 8 == _OUT_OF_RESOURCES:
                raise DestinationUnavailable(f"the archive is out of resources (C-FIND status {status:04X})")
            elif status != _SUCCESS:
                raise QueryRefused(f"it refused the query (C-FIND status {status:04X})")
    except (ConnectionError, RuntimeError) as error:
        raise _silent() from error
    return found


def _silent() -> DestinationUnavailable:
    return DestinationUnavailable("the archive ended the connection, or fell silent, while it was asked what it holds")
