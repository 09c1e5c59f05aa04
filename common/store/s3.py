"""The object store in a bucket of an S3 server (MinIO, AWS, Ceph, SeaweedFS …), streamed both ways."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from common.errors import PolicyError, StoreFault, UnreadableSource
from common.settings import Settings
from common.store.base import Stored, check_by_use, checked_key, checked_prefix
from common.store.folder import disk_faults, sync_folder
from common.store.s3_bucket import Begun, Bucket, noted
from common.store.s3_client import faults
from common.store.s3_upload import SHA256, Address, S3Upload

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
        self._objects = Bucket(bucket, settings)
        self._connection = self._objects.connection

    def adopt(self, key: str, path: Path) -> None:
        """Upload the source when it is not there yet: same size and time of change, or same size and SHA-256.

        It is read twice: the digest belongs into metadata that S3 wants before the first byte.

        Raises:
            UnreadableSource: the file cannot be read.
            StoreFault: it changed meanwhile, or the server failed.
        """
        with _source_faults():
            status = path.stat()
        present = self._objects.look(self._name(key))
        same_size = present is not None and present.size == status.st_size
        mark = str(status.st_mtime_ns)
        if same_size and noted(present, SOURCE_TIME) == mark:
            return
        with _source_faults(), path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if same_size and noted(present, SHA256) == digest:
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
            return str(self._connection.client.presigned_get_object(*self.address(key), expires=expires))

    def open(self, key: str) -> BinaryIO:
        """A buffered reader; see RangeReader."""
        return self._objects.open(self._name(key))

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
        present = self._objects.look(self._name(key))
        return None if present is None else present.size or 0

    def delete(self, key: str) -> None:
        """Remove the object; in a versioned bucket its older versions stay."""
        address = self.address(key)
        with faults("delete an object"):
            self._connection.client.remove_object(*address)

    def keys(self, prefix: str) -> Iterator[str]:
        """In the order of the names, a thousand a request."""
        start = self._root + checked_prefix(prefix)
        for found in self._objects.objects(start):
            yield str(found.object_name).removeprefix(self._root)

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
        abandoned = [upload for upload in self.uploads() if upload.since < before]
        for upload in abandoned:
            self._objects.abort(upload)
        return len(abandoned)

    def uploads(self) -> Iterator[Begun]:
        """Multipart uploads below our prefix that are not completed."""
        return self._objects.uploads(self._root)

    def address(self, key: str) -> Address:
        """Where an object lies on the server, for copies that it makes itself."""
        return Address(self.bucket, self._name(key))

    def check(self) -> tuple[str, ...]:
        """The bucket exists, and can be written, read and emptied. Notes what makes deleted objects stay."""
        if not self._objects.exists():
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

    def _name(self, key: str) -> str:
        return self._root + checked_key(key)

    def _upload(self, key: str, metadata: dict[str, str]) -> contextlib.AbstractContextManager[S3Upload]:
        return self._objects.writer(self._name(key), metadata, key=key)


@contextmanager
def _source_faults() -> Iterator[None]:
    """An OSError names its path: only the system's own words go on."""
    try:
        yield
    except OSError as error:
        raise UnreadableSource(f"the file cannot be opened: {error.strerror}") from error
