"""C-GET (PS3.4 C.4.3): an instance comes on the association that asks for it, whatever stands between us and the archive."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from common.bandwidth import Pace
from common.destinations import DicomDestination, parse_destination
from common.dicom.sop_classes import LOOP_CLASSES
from common.dicom.transfer_syntaxes import VIDEO_SYNTAXES
from common.errors import DestinationRefused, DestinationUnavailable, PolicyError, RetrievalFailed
from common.network.association import Caller, Timeouts, associate
from common.orders import Retrieval
from common.settings import Settings
from workers.retrieve.incoming import Incoming
from workers.retrieve.suboperations import PENDING, Tally, why_nothing_came

if TYPE_CHECKING:
    from pydicom import Dataset
    from pynetdicom.association import Association

MODELS = ("1.2.840.10008.5.1.4.1.2.2.3", "1.2.840.10008.5.1.4.1.2.1.3")
"""Study Root and Patient Root Query/Retrieve Information Model – GET."""

SILENCE_SECONDS = 600.0
"""How long an archive may say and send nothing: what lies on tape takes minutes to come."""

LOW_PRIORITY = 2  # PS3.7 9.1.3.1.5
_LITTLE_ENDIAN = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")


def fetch_by_get(
    retrieval: Retrieval,
    write: Callable[[bytes], object],
    settings: Settings,
    pace: Pace,
    *,
    silence: float = SILENCE_SECONDS,
) -> None:
    """Hand the DICOM file to ``write`` piece by piece. What was written before an error is worth nothing.

    Raises:
        DestinationUnavailable: the archive is away, busy, or ended the connection: try again.
        DestinationRefused: it does not send this class by C-GET, or sent another instance.
        RetrievalFailed: it tried and failed.
        UnreadableSource: it has no such instance (any more).
        LeaseLost: the attempt was revoked.
    """
    archive = parse_destination(retrieval.place)
    if not isinstance(archive, DicomDestination):
        raise PolicyError("only a DICOM archive gives instances by C-GET")
    caller = Caller.of(settings, Timeouts(answer=silence))
    guesses = candidates(retrieval)
    for classes in guesses:
        try:
            _get(
                retrieval, classes, archive, caller, Incoming(retrieval.sop_instance_uid, write, pace, silence=silence)
            )
        except RetrievalFailed:
            if classes is guesses[-1]:
                raise
        else:
            return


def candidates(retrieval: Retrieval) -> list[tuple[str, ...]]:
    """The instance's class; should the archive not have named it (dcmqrscp does not), those that it may have, some at a time.

    A presentation context holds one class in one syntax, so that the archive can send what it has as it is; an association
    holds 128 (PS3.8 9.3.2.2).
    """
    if retrieval.sop_class_uid:
        return [(retrieval.sop_class_uid,)]
    at_a_time = (128 - len(MODELS) * len(_LITTLE_ENDIAN)) // len(known_syntaxes())
    return [LOOP_CLASSES[n : n + at_a_time] for n in range(0, len(LOOP_CLASSES), at_a_time)]


def _get(
    retrieval: Retrieval, classes: tuple[str, ...], archive: DicomDestination, caller: Caller, incoming: Incoming
) -> None:
    from pynetdicom import build_role, evt

    with associate(
        dict.fromkeys(MODELS, _LITTLE_ENDIAN) | dict.fromkeys(classes, known_syntaxes()),
        archive,
        caller,
        roles=[build_role(uid, scp_role=True) for uid in classes],
        handlers=[(evt.EVT_C_STORE, incoming.answer)],
    ) as association:
        model = _model(association, classes)
        incoming.attach(association)
        _take(association, model, retrieval, incoming)


def known_syntaxes() -> tuple[str, ...]:
    """Every transfer syntax that can be described, so that no archive has to transcode; native ones last."""
    from workers.describe_dicom import CODECS

    native = [uid for uid, codec in CODECS.items() if codec == "rawvideo"]
    return (*(row.uid for row in VIDEO_SYNTAXES), *(uid for uid in CODECS if uid not in native), *native)


def identifier(retrieval: Retrieval) -> Dataset:
    """The question for one instance (PS3.4 C.4.2.1.4)."""
    from pydicom import Dataset

    question = Dataset()
    question.QueryRetrieveLevel = "IMAGE"
    question.StudyInstanceUID = retrieval.study_uid
    question.SeriesInstanceUID = retrieval.series_uid
    question.SOPInstanceUID = retrieval.sop_instance_uid
    return question


def _model(association: Association, classes: tuple[str, ...]) -> str:
    accepted = association.accepted_contexts
    model = next((uid for uid in MODELS if any(context.abstract_syntax == uid for context in accepted)), None)
    if model is None:
        raise DestinationRefused(
            "the archive does not send by C-GET", hint="Use .retrieve=move, and allow C-GET for our AE title if it can."
        )
    if not any(context.abstract_syntax in classes and context.as_scp for context in accepted):
        raise RetrievalFailed(
            f"the archive does not send SOP class {', '.join(classes)} by C-GET", hint="Use .retrieve=move."
        )
    return model


def _take(association: Association, model: str, retrieval: Retrieval, incoming: Incoming) -> None:
    tally: Tally | None = None
    try:
        for response, _ in association.send_c_get(identifier(retrieval), model, priority=LOW_PRIORITY):
            incoming.require()
            if "Status" not in response:
                break
            tally = Tally.of(response)
            if tally.status not in PENDING:
                break
    except (ConnectionError, RuntimeError):
        tally = None
    incoming.require()
    if incoming.complete:
        return
    if incoming.others:
        raise DestinationRefused("the archive sent another instance than the one that was asked for (C-GET)")
    if tally is None or tally.status in PENDING:
        raise DestinationUnavailable(
            "the archive ended the connection, or fell silent, before it had sent the instance"
        )
    raise why_nothing_came(tally)
