"""One object on its way to S3: small ones in a single request, others part by part beside the writing."""

from __future__ import annotations

import contextlib
import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple, cast

from common.errors import EnvironmentFault, InternalFault, StoreFault
from common.store.base import Stored
from common.store.s3_client import Connection, faults, is_missing

if TYPE_CHECKING:
    from minio.datatypes import Part

SHA256 = "sha256"
"""User metadata (x-amz-meta-sha256), hexadecimal. An S3 ETag is no digest of a multipart or encrypted object."""

SMALLEST_PART_BYTES = 5 << 20
LARGEST_PART_BYTES = 64 << 20
_PARTS_PER_SIZE = 1000

WRITE = "write an object"


class Address(NamedTuple):
    """Where an object lies."""

    bucket: str
    name: str


def part_bytes(number: int, first: int) -> int:
    """Size of part ``number`` (from 1), bytes. It doubles every thousand parts, up to 64 MiB.

    Small objects so cost little memory, and the 10,000 parts that S3 allows hold more than 500 GB (from 8 MiB).
    """
    return int(min(first << min((number - 1) // _PARTS_PER_SIZE, 10), LARGEST_PART_BYTES))


class S3Upload:
    """See ObjectWriter. At most two parts are in memory: one that fills, one that travels."""

    def __init__(
        self, connection: Connection, address: Address, key: str, *, first_part: int, metadata: dict[str, str]
    ) -> None:
        """``metadata`` may name the SHA-256 when it is known before; bytes that differ from it are then refused."""
        self._connection, self._address, self._key = connection, address, key
        self._first_part, self._metadata = first_part, metadata
        self._digest = hashlib.sha256()
        self._size = 0
        self._part = bytearray()
        self._upload_id: str | None = None
        self._sent: list[Part] = []
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="s3-upload")
        self._travelling: Future[str] | None = None
        self._stored: Stored | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Append all of ``data``; a full part is sent while the next one fills.

        Raises:
            StoreFault: a part could not be sent.
        """
        view = memoryview(data).cast("B")
        taken = 0
        while taken < len(view):
            room = part_bytes(len(self._sent) + 1 + (self._travelling is not None), self._first_part) - len(self._part)
            piece = view[taken : taken + room]
            self._part += piece
            self._digest.update(piece)
            taken += len(piece)
            if len(piece) == room:
                self._send()
        self._size += taken
        return taken

    def finish(self) -> None:
        """Make the object appear under its key, whole and with its digest.

        Raises:
            StoreFault: it did not.
        """
        digest = self._digest.hexdigest()
        if self._metadata.get(SHA256, digest) != digest:
            raise StoreFault("the source changed while it was brought to the store", hint="Try again when it rests.")
        if self._upload_id is None:
            self._put_at_once(digest)
        else:
            if self._part:
                self._send()
            self._arrived()
            self._note_digest(digest, self._complete(self._upload_id))
        self._stored = Stored(self._key, self._size, digest)

    def close(self) -> None:
        """End the sending thread; of an upload that was not finished nothing is left behind."""
        self._sender.shutdown()
        if self._upload_id is None or self._stored is not None:
            return
        with (
            contextlib.suppress(EnvironmentFault),
            faults("abort an upload", self._connection.role),
        ):  # discard_abandoned comes by later
            self._connection.client._abort_multipart_upload(*self._address, self._upload_id)

    @property
    def written(self) -> tuple[int, str]:
        """Bytes so far, and their SHA-256, hexadecimal."""
        return self._size, self._digest.hexdigest()

    @property
    def stored(self) -> Stored:
        """Size and digest; only after the block has ended well."""
        if self._stored is None:
            raise InternalFault("an object that is still being written has no digest")
        return self._stored

    def _put_at_once(self, digest: str) -> None:
        with faults(WRITE, self._connection.role):
            written = self._connection.client.put_object(
                *self._address,
                BytesIO(self._part),
                len(self._part),
                metadata={**self._metadata, SHA256: digest},
                sse=self._connection.encryption,
                part_size=max(len(self._part), SMALLEST_PART_BYTES),
            )
        self._tagged(written.etag)

    # The SDK's public put_object pulls from a stream and cannot wait for a writer: its steps are called one by one.

    def _send(self) -> None:
        self._arrived()
        if self._upload_id is None:
            from minio.helpers import genheaders

            headers = genheaders(dict(self._metadata), self._connection.encryption, None, None, legal_hold=False)
            with faults(WRITE, self._connection.role):
                self._upload_id = self._connection.client._create_multipart_upload(*self._address, headers)
        part, self._part = self._part, bytearray()
        self._travelling = self._sender.submit(self._carry, part, self._upload_id, len(self._sent) + 1)

    def _carry(self, part: bytearray, upload_id: str, number: int) -> str:
        """Runs in the sending thread; returns the part's ETag."""
        data = cast(bytes, part)  # the SDK asks for bytes and only reads them: no copy
        return self._tagged(self._connection.client._upload_part(*self._address, data, None, upload_id, number))

    def _arrived(self) -> None:
        """Wait for the part that travels."""
        from minio.datatypes import Part

        if self._travelling is None:
            return
        travelling, self._travelling = self._travelling, None
        with faults(WRITE, self._connection.role):
            self._sent.append(Part(len(self._sent) + 1, travelling.result()))

    def _complete(self, upload_id: str) -> str:
        """Join the parts; returns the ETag of the object.

        An answer that was lost makes the SDK ask again, and then the upload is no longer known: the object is there.
        """
        client = self._connection.client
        try:
            with faults(WRITE, self._connection.role):
                etag = client._complete_multipart_upload(*self._address, upload_id, self._sent).etag
        except EnvironmentFault as fault:
            if not is_missing(fault):
                raise
            with faults(WRITE, self._connection.role):
                status = client.stat_object(*self._address)
            if status.size != self._size:
                raise
            etag = status.etag
        return self._tagged(etag)  # S3 may answer 200 and report the failure in the body (API, CompleteMultipartUpload)

    def _note_digest(self, digest: str, etag: str) -> None:
        """The digest is known only now, and metadata is set at the start: the server copies the object onto itself.

        Only while it is still ours: another writer's object must not get our digest.
        """
        from minio.commonconfig import ComposeSource

        if SHA256 in self._metadata:
            return
        try:
            with faults(WRITE, self._connection.role):
                self._connection.client.compose_object(
                    *self._address,
                    [ComposeSource(*self._address, match_etag=etag)],
                    sse=self._connection.encryption,
                    metadata={**self._metadata, SHA256: digest},
                )
        except EnvironmentFault as fault:
            if getattr(fault.__cause__, "code", None) != "PreconditionFailed":
                raise

    def _tagged(self, etag: str | None) -> str:
        """The ETag with which S3 confirms what it stored; a proxy's friendly page has none."""
        if not etag:
            role = self._connection.role
            raise role.fault(f"{role.called} could not {WRITE}: it did not confirm it")
        return etag
