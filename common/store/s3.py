"""The object store in a bucket of an S3 server (MinIO, AWS, Ceph, SeaweedFS …), streamed both ways."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast
from uuid import uuid4

from common.errors import PolicyError, StoreFault, UnreadableSource
from common.settings import Settings
from common.store.base import Stored, check_by_use, checked_key, checked_prefix
from common.store.folder import disk_faults, sync_folder
from common.store.s3_client import Connection, faults, is_missing
from common.store.s3_reader import RangeReader
from common.store.s3_upload import SHA256, Address, S3Upload

if TYPE_CHECKING:
    from minio.datatypes import Object

SOURCE_TIME = "source-mtime-ns"
"""User metadata of an adopted source: when its file was last changed, ns since 1970."""

LONGEST_PRESIGNED_SECONDS = 7 * 24 * 3600
"""S3's own limit (Signature Version 4, X-Amz-Expires)."""

_COPY_BYTES = 1 << 20
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*)?")


class S3Store:
    """See ObjectStore. Safe for many processes at once; the last writer of a key wins as a whole."""

    def __init__(self, bucket: str, prefix: str, settings: Settings) -> None:
        """Keys lie below ``prefix``; nothing is opened yet.

        Raises:
            PolicyError: no bucket can have this name, no key this prefix, or the settings do not fit together.
        """
        if not _BUCKET.fullmatch(bucket) or not _PREFIX.fullmatch(prefix):
            raise PolicyError(
                "the object store's URL names no bucket and prefix",
                hint="Write it as s3://bucket/prefix, in letters, digits, '.', '_' and '-'.",
            )
        self.bucket = bucket
        self._root = f"{prefix}/" if prefix else ""
        self._part_bytes = settings.s3_part_bytes
        self._connection = Connection(settings)

    def adopt(self, key: str, path: Path) -> None:
        """Upload the source when it is not there yet: same size and time of change, or same size and SHA-256.

        It is read twice: the digest belongs into metadata that S3 wants before the first byte.

        Raises:
            UnreadableSource: the file cannot be read.
            StoreFault: it changed meanwhile, or the server failed.
        """
        address = self._address(key)
        with _source_faults():
            status = path.stat()
        present = self._look(address)
        same_size = present is not None and present.size == status.st_size
        mark = str(status.st_mtime_ns)
        if same_size and _noted(present, SOURCE_TIME) == mark:
            return
        with _source_faults(), path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if same_size and _noted(present, SHA256) == digest:
            return
        with (
            self._upload(key, {SHA256: digest, SOURCE_TIME: mark}) as upload,
            _source_faults(),
            path.open("rb") as stream,
        ):
            shutil.copyfileobj(stream, upload, _COPY_BYTES)

    def local_path(self, key: str) -> Path | None:
        """None: the bytes are on the server."""
        checked_key(key)
        return None

    def presigned(self, key: str, seconds: float) -> str | None:
        """A URL for reading the object with plain HTTP; ``seconds`` are cut to a week."""
        expires = timedelta(seconds=min(max(1, int(seconds)), LONGEST_PRESIGNED_SECONDS))
        with faults("sign a URL"):
            return str(self._connection.client.presigned_get_object(*self._address(key), expires=expires))

    def open(self, key: str) -> BinaryIO:
        """A buffered reader; see RangeReader."""
        reader = RangeReader(self._connection, *self._address(key))
        return cast(BinaryIO, io.BufferedReader(reader))

    def writer(self, key: str) -> contextlib.AbstractContextManager[S3Upload]:
        """A multipart upload from the second part on; see S3Upload."""
        return self._upload(key, {})

    def put(self, key: str, data: bytes) -> Stored:
        """Write a small object."""
        with self.writer(key) as writer:
            writer.write(data)
        return writer.stored

    def get(self, key: str) -> bytes:
        """Read a small object."""
        with self.open(key) as reader:
            return reader.read()

    def size(self, key: str) -> int | None:
        """Bytes; None when there is no such object."""
        present = self._look(self._address(key))
        return None if present is None else present.size or 0

    def delete(self, key: str) -> None:
        """Remove the object; in a versioned bucket its older versions stay."""
        address = self._address(key)
        with faults("delete an object"):
            self._connection.client.remove_object(*address)

    def keys(self, prefix: str) -> Iterator[str]:
        """In the order of the names, a thousand a request."""
        start = self._root + checked_prefix(prefix)
        with faults("list its objects"):
            for found in self._connection.client.list_objects(self.bucket, prefix=start, recursive=True):
                if found.object_name and not found.is_dir:
                    yield found.object_name.removeprefix(self._root)

    def export(self, key: str, path: Path) -> None:
        """A synced copy, written aside and renamed."""
        with self.open(key) as reader, disk_faults("export an object"):
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f".{uuid4().hex}")
            try:
                with aside.open("xb") as writer:
                    shutil.copyfileobj(reader, writer, _COPY_BYTES)
                    writer.flush()
                    os.fsync(writer.fileno())
                aside.replace(path)
                sync_folder(path.parent)
            finally:
                aside.unlink(missing_ok=True)

    def free_bytes(self) -> int | None:
        """None: a bucket grows."""
        return None

    def discard_abandoned(self, older_than_seconds: float) -> int:
        """Abort multipart uploads that began so long ago: their parts are stored, and paid for, but seen nowhere."""
        before = datetime.now(UTC) - timedelta(seconds=older_than_seconds)
        abandoned = [address for address, began in self.uploads() if began < before]
        for name, upload_id in abandoned:
            try:
                with faults("discard what was abandoned"):
                    self._connection.client._abort_multipart_upload(self.bucket, name, upload_id)
            except StoreFault as fault:
                if not is_missing(fault):  # its writer has just ended
                    raise
        return len(abandoned)

    def uploads(self) -> Iterator[tuple[tuple[str, str], datetime]]:
        """Multipart uploads that are not completed: object name and upload id, and when they began."""
        key_marker = id_marker = None
        while True:
            with faults("list its uploads"):  # the SDK has no public door to this
                page = self._connection.client._list_multipart_uploads(
                    self.bucket, prefix=self._root, key_marker=key_marker, upload_id_marker=id_marker
                )
            for upload in page.uploads:
                if upload.object_name and upload.upload_id and upload.initiated_time:
                    yield (upload.object_name, upload.upload_id), upload.initiated_time
            if not page.is_truncated:
                return
            key_marker, id_marker = page.next_key_marker, page.next_upload_id_marker

    def check(self) -> tuple[str, ...]:
        """The bucket exists, and can be written, read and emptied. Notes what makes deleted objects stay."""
        client = self._connection.client
        with faults("find its bucket"):
            exists = client.bucket_exists(self.bucket)
        if not exists:
            raise StoreFault("the bucket of the object store does not exist", hint="Create it, then start again.")
        check_by_use(self)
        return tuple(self._notes())

    def _notes(self) -> Iterator[str]:
        """Both questions need rights of their own, which a worker need not have."""
        with contextlib.suppress(StoreFault), faults("read its versioning"):
            if self._connection.client.get_bucket_versioning(self.bucket).status == "Enabled":
                yield "versioning is on: deleted results stay as old versions until a lifecycle rule removes them"
        with contextlib.suppress(StoreFault), faults("read its object lock"):
            if self._connection.client.get_object_lock_config(self.bucket).mode:
                yield "object lock is on: results cannot be removed before their retention ends"

    def _address(self, key: str) -> Address:
        return Address(self.bucket, self._root + checked_key(key))

    def _look(self, address: Address) -> Object | None:
        try:
            with faults("look at an object"):
                return self._connection.client.stat_object(*address)
        except StoreFault as fault:
            if is_missing(fault):
                return None
            raise

    @contextmanager
    def _upload(self, key: str, metadata: dict[str, str]) -> Iterator[S3Upload]:
        upload = S3Upload(self._connection, self._address(key), key, first_part=self._part_bytes, metadata=metadata)
        try:
            yield upload
            upload.finish()
        finally:
            upload.close()


def _noted(present: Object | None, name: str) -> str | None:
    """A value of the object's user metadata."""
    metadata = present.metadata if present is not None else None
    return metadata.get(f"x-amz-meta-{name}") if metadata is not None else None


@contextmanager
def _source_faults() -> Iterator[None]:
    """An OSError names its path: only the system's own words go on."""
    try:
        yield
    except OSError as error:
        raise UnreadableSource(f"the file cannot be opened: {error.strerror}") from error
