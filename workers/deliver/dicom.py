"""Deliver to an archive by C-STORE (PS3.4 B): our copy is checked, sent as it is, and the archive's answer is the proof."""

from __future__ import annotations

from pathlib import Path

from common.bandwidth import UNPACED, Pace
from common.destinations import DicomDestination
from common.dicom.frame_syntaxes import FRAME_SYNTAXES, is_frame_syntax
from common.dicom.transfer_syntaxes import VIDEO_SYNTAXES
from common.errors import DestinationRefused, EnvironmentFault, InternalFault
from common.network.association import DEFAULT_PDU_BYTES, Caller, Timeouts, associate
from common.network.tls import Credentials
from common.orders import DeliverDone, DeliverOrder
from common.settings import Settings
from common.store import ObjectStore
from workers.deliver.associations import ASSOCIATIONS
from workers.deliver.custody import require_instance
from workers.deliver.data_set import EXPLICIT_LITTLE, IMPLICIT_LITTLE, AsImplicit, AsStored, open_data_set
from workers.deliver.storage_scu import LEAST_PDU_BYTES, Context, ContextRefused, StorageAssociation
from workers.deliver.store_status import judge
from workers.local import local_source


def deliver_to_archive(
    order: DeliverOrder,
    archive: DicomDestination,
    store: ObjectStore,
    settings: Settings,
    *,
    timeouts: Timeouts | None = None,
    pace: Pace = UNPACED,
) -> DeliverDone:
    """Send the instance over one association. An archive has it already: that counts as arrived.

    Raises:
        DestinationUnavailable: no connection, no answer, or no room: try later.
        DestinationRefused: the archive does not take this class, this syntax, this object, or us.
        StoreFault: our own copy is not what was stored.
        InternalFault: the file names another class, instance or syntax than the order.
        LeaseLost: the attempt was revoked; the association was aborted.
    """
    longest_pdu = order.pdu_bytes or settings.dicom_max_pdu_bytes or DEFAULT_PDU_BYTES
    caller = Caller(
        settings.dicom_ae_title,
        pace.piece_bytes(longest_pdu, LEAST_PDU_BYTES),
        timeouts or Timeouts.for_size(order.instance_bytes),
        pace,
        Credentials.of(settings),
    )
    with local_source(store, order.instance_key, settings.scratch, pace.check) as path:
        require_instance(path, order)
        _require_identity(path, order)
        context = (order.sop_class_uid, order.transfer_syntax_uid)
        try:
            status, syntax = store_file(
                path, context, order.sop_instance_uid, archive, caller, keep_open=order.keep_open
            )
        except ContextRefused as refusal:
            raise DestinationRefused(refusal.message, hint=_what_it_takes(order, archive, caller)) from None
    said = judge(status)
    as_implicit = "" if syntax == order.transfer_syntax_uid else ", sent in Implicit VR Little Endian"
    return DeliverDone(location=order.sop_instance_uid, proof=said.proof + as_implicit, warning=said.warning)


def store_file(
    path: Path,
    context: Context,
    sop_instance_uid: str,
    peer: DicomDestination,
    caller: Caller,
    *,
    keep_open: bool = True,
) -> tuple[int, str]:
    """Send the data set of a DICOM file (its preamble and file meta stay here); returns the C-STORE status, and its syntax.

    Raises:
        DestinationUnavailable: no connection, a transient rejection, or the connection ended before the answer.
        DestinationRefused: the association or its presentation context was rejected for good.
        StoreFault: the file cannot be read to its end.
        UnsupportedSource: the archive takes Implicit VR only, and the data set cannot be sent in it.
        LeaseLost: the attempt was revoked.
    """
    sop_class_uid, syntax_uid = context
    contexts = [context]
    if syntax_uid == EXPLICIT_LITTLE:  # the default transfer syntax stands for it
        contexts.append((sop_class_uid, IMPLICIT_LITTLE))
    sent: list[str] = []
    with open_data_set(path) as (stream, offset):

        def send(association: StorageAssociation, chosen: Context) -> int:
            sent.append(chosen[1])
            data = AsStored(stream, offset) if chosen[1] == syntax_uid else AsImplicit(stream, offset)
            return association.store(data, chosen, sop_instance_uid, caller)

        status = ASSOCIATIONS.use(contexts, peer, caller, send, keep=keep_open)
    return status, sent[-1]


def _require_identity(path: Path, order: DeliverOrder) -> None:
    """What the C-STORE request will say comes from the file meta; it must be what was ordered.

    Raises:
        InternalFault: it is not.
    """
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import read_file_meta_info

    try:
        meta = read_file_meta_info(path)
    except InvalidDicomError as error:
        raise InternalFault("the instance has no DICOM file meta information") from error
    names = ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")
    if [meta.get(name) for name in names] != [order.sop_class_uid, order.sop_instance_uid, order.transfer_syntax_uid]:
        raise InternalFault("the instance's file meta names another class, instance or syntax than its order")


def _what_it_takes(order: DeliverOrder, archive: DicomDestination, caller: Caller) -> str:
    """A hint that names the syntaxes of this kind that the archive accepts for this class. Asked only after a refusal."""
    kind, rows = "video", [syntax.uid for syntax in VIDEO_SYNTAXES]
    if is_frame_syntax(order.transfer_syntax_uid):
        kind, rows = "compressed image", [syntax.uid for syntax in FRAME_SYNTAXES]
    try:
        taken = accepted_syntaxes(order.sop_class_uid, rows, archive, caller)
    except EnvironmentFault:
        return f"Ask the archive's operator which {kind} transfer syntaxes it takes."
    if not taken:
        return f"It takes no {kind} transfer syntax for this class: enable {kind} storage in the archive."
    return f"For this class it takes {', '.join(taken)}: choose a profile that makes one of these."


def accepted_syntaxes(
    sop_class_uid: str, syntax_uids: list[str], peer: DicomDestination, caller: Caller
) -> tuple[str, ...]:
    """Which of these transfer syntaxes the archive takes for a class: an association that is opened and closed again.

    Raises:
        DestinationUnavailable, DestinationRefused: no association at all.
    """
    with associate({sop_class_uid: syntax_uids}, peer, caller) as association:
        return tuple(str(context.transfer_syntax[0]) for context in association.accepted_contexts)
