"""Deliver to a DICOMweb server by STOW-RS (PS3.18 10.5): streamed from the store, one instance a request; then it is looked for.

The receipt alone is no proof: QIDO-RS must find the instance, and by policy, or where the receipt leaves a doubt, WADO-RS gives it
back and its digest is compared with that of what was sent.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator

from common.bandwidth import LONGEST_NAP_SECONDS, UNPACED, Pace
from common.destinations import WebDestination
from common.dicom.part10 import read_meta
from common.dicom.streamed import FileDigests, file_digests
from common.errors import DestinationRefused, DestinationUnavailable, InternalFault, StoreFault
from common.network.association import Timeouts
from common.network.multipart import Envelope
from common.network.qido import is_there
from common.network.wado import instance_bytes
from common.network.web import DICOM_JSON, WebPeer, instance_path
from common.orders import DeliverDone, DeliverOrder
from common.settings import Settings
from common.store import ObjectStore
from workers.deliver.store_receipt import ANSWERS, Receipt, read_receipt

WHAT = "STOW-RS"

LOOKS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits before each look for an instance that was just stored, s: some archives index after they have answered."""

_PIECE_BYTES = 256 << 10
_LEAST_PIECE_BYTES = 4_096
_META = (0x00020002, 0x00020003, 0x00020010)  # class, instance, transfer syntax


def deliver_to_web(
    order: DeliverOrder,
    server: WebDestination,
    store: ObjectStore,
    settings: Settings,
    *,
    timeouts: Timeouts | None = None,
    pace: Pace = UNPACED,
    sleep: Callable[[float], None] = time.sleep,
) -> DeliverDone:
    """Send the instance, unless the server has it already, with the same bytes or at least the same pixels.

    Raises:
        DestinationUnavailable: no connection, no answer, no room, or the instance cannot be found yet: try later.
        DestinationRefused: the server does not take this object, or us, or holds another one under this UID.
        StoreFault: our own copy is not what was stored; nothing complete was sent.
        InternalFault: the file names another class, instance or syntax than the order.
        UnsupportedSource: a UID cannot stand in an address.
        LeaseLost: the attempt was revoked.
    """
    timeouts = timeouts or Timeouts.for_size(order.instance_bytes)
    with WebPeer(server, settings, timeouts=timeouts, check=pace.check, sleep=sleep) as peer:
        delivery = _Delivery(order, peer, store, pace, sleep)
        return DeliverDone(location=order.sop_instance_uid, proof=delivery.proof())


class _Delivery:
    """One instance and one server."""

    def __init__(
        self,
        order: DeliverOrder,
        peer: WebPeer,
        store: ObjectStore,
        pace: Pace,
        sleep: Callable[[float], None],
    ) -> None:
        self._order, self._peer, self._store, self._pace, self._sleep = order, peer, store, pace, sleep
        self._uids = (order.study_uid, order.series_uid, order.sop_instance_uid)
        self._path = instance_path(*self._uids)

    def proof(self) -> str:
        """Bring the instance, and say how that was proven."""
        if is_there(self._peer, *self._uids) and (compared := self._read_back()) is not None:
            return f"already there, {compared}"
        receipt = self._send()
        if receipt.already:
            return f"{receipt.proof}, {self._compared_or_refused()}"
        proofs = (
            [receipt.proof, self._found(receipt)]
            if self._order.verify != "none" or receipt.doubtful
            else [receipt.proof]
        )
        if self._order.reads_back:
            proofs.append(self._compared_or_refused())
        elif receipt.doubtful:
            proofs.append(self._read_back() or "not given by WADO-RS: not read back")
        return ", ".join(proofs)

    def _send(self) -> Receipt:
        envelope = Envelope()
        body = _Instance(self._order, self._store, self._pace, envelope)
        headers = {"Content-Type": envelope.content_type, "Accept": DICOM_JSON}
        answer = self._peer.post("/studies", body, headers, what=WHAT, allow=ANSWERS)
        receipt = read_receipt(answer, self._order.sop_instance_uid)
        if not body.complete:
            raise DestinationUnavailable(f"the DICOMweb server answered before it had the whole object ({WHAT})")
        return receipt

    def _found(self, receipt: Receipt) -> str:
        """Look until it is found.

        Raises:
            DestinationUnavailable: it is not there, whatever the receipt said.
        """
        for wait in LOOKS:
            self._nap(wait)
            there = is_there(self._peer, *self._uids)
            if there is None and self._order.verify in {"unknown", "none"}:
                return "QIDO-RS not offered: not looked for"
            if there is None:
                raise DestinationRefused(
                    f"the archive confirmed the object ({receipt.proof}), but cannot be asked for it: it offers us no QIDO-RS",
                    hint="Let this user search, or do without: --accepts 'DEST verify=none'.",
                )
            if there:
                return "found by QIDO-RS"
        raise DestinationUnavailable(
            f"the archive confirmed the object ({receipt.proof}), but QIDO-RS does not find it in its study and series",
            hint="If the archive keeps what it receives in quarantine, or changes UIDs, switch that off for this sender.",
        )

    def _compared_or_refused(self) -> str:
        if (compared := self._read_back()) is None:
            raise DestinationRefused(
                "the archive has an object under this SOP Instance UID, and does not give it to be compared (WADO-RS)",
                hint="Let this user read by WADO-RS, or compare the two objects by hand.",
            )
        return compared

    def _read_back(self) -> str | None:
        """Compare what the server gives with what is sent; None: it gives nothing.

        Raises:
            DestinationRefused: it is another object.
        """
        try:
            theirs = file_digests(instance_bytes(self._peer, self._path))
        except DestinationRefused:
            return None
        order = self._order
        if (theirs.whole, theirs.size_bytes) == (order.instance_digest, order.instance_bytes):
            return "read back by WADO-RS: same sha256"
        if theirs.pixels and theirs.pixels == self._ours().pixels:
            return "read back by WADO-RS: same sha256 of Pixel Data, header changed by the archive"
        raise DestinationRefused(
            "the archive gives another object under this SOP Instance UID than the one that is sent; it was left as it is",
            hint="Compare the two objects. Delete the one in the archive if this one is to take its place.",
        )

    def _ours(self) -> FileDigests:
        return file_digests(_pieces(self._order, self._store, self._pace, paced=False))

    def _nap(self, seconds: float) -> None:
        while seconds > 0:
            self._pace.check()
            self._sleep(min(seconds, LONGEST_NAP_SECONDS))
            seconds -= LONGEST_NAP_SECONDS


class _Instance:
    """The request's body. Our copy is read once: while it is sent; what is rotten never gets its last boundary."""

    def __init__(self, order: DeliverOrder, store: ObjectStore, pace: Pace, envelope: Envelope) -> None:
        self._order, self._store, self._pace, self._envelope = order, store, pace, envelope
        self.length = len(envelope.before) + order.instance_bytes + len(envelope.after)
        self.complete = False

    def pieces(self) -> Iterator[bytes]:
        """See Body.

        Raises:
            StoreFault: the object is not the one that was stored.
            InternalFault: it is not the one of the order.
            LeaseLost: the attempt was revoked.
        """
        self.complete = False
        yield self._envelope.before
        digest = hashlib.sha256()
        for piece in _pieces(self._order, self._store, self._pace, paced=True):
            digest.update(piece)
            yield piece
        if digest.hexdigest() != self._order.instance_digest:
            raise _rotten()
        self.complete = True
        yield self._envelope.after


def _pieces(order: DeliverOrder, store: ObjectStore, pace: Pace, *, paced: bool) -> Iterator[bytes]:
    """The bytes of our copy, exactly as many as the order says."""
    if store.size(order.instance_key) != order.instance_bytes:
        raise _rotten()
    left = order.instance_bytes
    try:
        with store.open(order.instance_key) as reader:
            meta = read_meta(reader)
            if [meta.text(tag) for tag in _META] != [
                order.sop_class_uid,
                order.sop_instance_uid,
                order.transfer_syntax_uid,
            ]:
                raise InternalFault("the instance's file meta names another class, instance or syntax than its order")
            reader.seek(0)
            while piece := reader.read(min(left, pace.piece_bytes(_PIECE_BYTES, _LEAST_PIECE_BYTES))):
                pace(len(piece)) if paced else pace.check()
                left -= len(piece)
                yield piece
    except OSError as error:
        raise StoreFault(f"the instance cannot be read from the store: {error.strerror}") from error
    if left:
        raise _rotten()


def _rotten() -> StoreFault:
    return StoreFault(
        "the instance in the store is not the one that was checked: its size or SHA-256 differs",
        hint="Check the disk of the object store, then run `cinefarm retry` for this job.",
    )
