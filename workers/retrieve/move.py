"""C-MOVE (PS3.4 C.4.2) to our own listener (`cinefarm listen`): the archive opens an association of its own, and we wait.

The listener and the workers share the object store; common.network.arrivals says where it keeps what comes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from common.bandwidth import Pace
from common.destinations import DicomDestination, parse_destination
from common.errors import DestinationRefused, DestinationUnavailable, PolicyError
from common.logs import logger
from common.network.arrivals import expect, newest, settle
from common.network.association import Caller, Timeouts, associate
from common.orders import Retrieval
from common.settings import Settings
from common.store import ObjectStore
from workers.retrieve.get import LOW_PRIORITY, SILENCE_SECONDS, identifier
from workers.retrieve.suboperations import PENDING, Tally, why_nothing_came
from workers.retrieve.waiting import Waiting

if TYPE_CHECKING:
    from pynetdicom.association import Association

log = logger(__name__)

MODELS = ("1.2.840.10008.5.1.4.1.2.2.2", "1.2.840.10008.5.1.4.1.2.1.2")
"""Study Root and Patient Root Query/Retrieve Information Model – MOVE."""

ARRIVAL_SECONDS = 30.0
"""How long what the archive has counted as sent may take to lie in the store: the listener answers it only then."""

_LITTLE_ENDIAN = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
_POLL_SECONDS = 0.2
_PIECE_BYTES = 1 << 20


def fetch_by_move(
    retrieval: Retrieval,
    key: str,
    store: ObjectStore,
    settings: Settings,
    pace: Pace,
    *,
    silence: float = SILENCE_SECONDS,
    arrival_seconds: float = ARRIVAL_SECONDS,
) -> None:
    """Have the instance sent to our listener, and copy what arrived to ``key``. What arrived before, and was kept, is not asked for.

    Raises:
        DestinationUnavailable: the archive is away, busy, or ended the connection; or nothing arrived: try again.
        DestinationRefused: it does not move, or does not know our listener.
        RetrievalFailed: it tried and failed.
        UnreadableSource: it has no such instance (any more).
        StoreFault: the store cannot be read or written.
        LeaseLost: the attempt was revoked.
    """
    archive = parse_destination(retrieval.place)
    if not isinstance(archive, DicomDestination):
        raise PolicyError("only a DICOM archive sends instances by C-MOVE")
    uid = retrieval.sop_instance_uid
    expect(store, uid)
    try:
        arrival = newest(store, uid) or _moved(retrieval, archive, store, settings, pace, silence, arrival_seconds)
        _copy(store, arrival, key, pace)
    finally:
        settle(store, uid)


def _moved(
    retrieval: Retrieval,
    archive: DicomDestination,
    store: ObjectStore,
    settings: Settings,
    pace: Pace,
    silence: float,
    arrival_seconds: float,
) -> str:
    """Key of what has arrived."""
    caller, listener = Caller.of(settings, Timeouts(answer=silence)), settings.listen_aet or settings.dicom_ae_title
    with associate(dict.fromkeys(MODELS, _LITTLE_ENDIAN), archive, caller) as association:
        tally = _ask(association, retrieval, listener, pace, silence)
    if not tally.sent:
        raise why_nothing_came(tally)
    until = time.monotonic() + arrival_seconds
    while (arrival := newest(store, retrieval.sop_instance_uid)) is None:
        if time.monotonic() > until:
            raise DestinationUnavailable(
                "the archive says that it has sent the instance, and nothing arrived in our store",
                hint="Check that our AE title leads to a running `cinefarm listen` of this farm, with the same object store.",
            )
        pace.check()
        time.sleep(_POLL_SECONDS)
    return arrival


def _ask(association: Association, retrieval: Retrieval, to: str, pace: Pace, silence: float) -> Tally:
    """The archive's last word."""
    accepted = [str(context.abstract_syntax) for context in association.accepted_contexts]
    model = next((uid for uid in MODELS if uid in accepted), None)
    if model is None:
        raise DestinationRefused(
            "the archive does not send by C-MOVE", hint="Allow C-MOVE for our AE title there, or use .retrieve=get."
        )
    Waiting(association, pace.check, silence)
    try:
        for response, _ in association.send_c_move(identifier(retrieval), to, model, priority=LOW_PRIORITY):
            if "Status" not in response:
                break
            tally = Tally.of(response)
            if tally.status not in PENDING:
                return tally
    except (ConnectionError, RuntimeError):
        log.warning("move_ended")
    raise DestinationUnavailable("the archive ended the connection, or fell silent, while it sent to our listener")


def _copy(store: ObjectStore, arrival: str, key: str, pace: Pace) -> None:
    """The listener counted the bytes' way over the line; from store to store they go as fast as they can."""
    with store.open(arrival) as reader, store.writer(key) as writer:
        while piece := reader.read(_PIECE_BYTES):
            pace.check()
            writer.write(piece)
