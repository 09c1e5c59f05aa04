"""A bucket of the settings' S3 server, by plain object names: what the object store, destinations and sources have in common."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from common.errors import EnvironmentFault
from common.settings import Settings
from common.store.s3_client import STORE, Connection, Role, faults, is_missing
from common.store.s3_reader import RangeReader
from common.store.s3_upload import Address, S3Upload

if TYPE_CHECKING:
    from minio.datatypes import Object


class Begun(NamedTuple):
    """A multipart upload that is not completed."""

    name: str
    upload_id: str
    since: datetime


class Bucket:
    """Safe for many processes at once. When the server cannot do it, every method raises the error of its role: the object store's is
    StoreFault.
    """

    def __init__(self, name: str, settings: Settings, role: Role = STORE) -> None:
        """Nothing is opened yet.

        Raises:
            PolicyError: the settings do not fit together.
        """
        self.name = name
        self.role = role
        self.connection = Connection(settings, role)
        self._part_bytes = settings.s3_part_bytes

    def exists(self) -> bool:
        """Whether there is such a bucket."""
        with faults("find its bucket", self.role):
            return bool(self.connection.client.bucket_exists(self.name))

    def look(self, name: str) -> Object | None:
        """What the server says of an object; None when there is none."""
        try:
            with faults("look at an object", self.role):
                return self.connection.client.stat_object(self.name, name)
        except EnvironmentFault as fault:
            if is_missing(fault):
                return None
            raise

    def objects(self, prefix: str) -> Iterator[Object]:
        """Objects whose names start so, in the order of the names, a thousand a request."""
        with faults("list its objects", self.role):
            for found in self.connection.client.list_objects(self.name, prefix=prefix, recursive=True):
                if found.object_name and not found.is_dir:
                    yield found

    def open(self, name: str) -> BinaryIO:
        """A buffered reader; see RangeReader."""
        return cast(BinaryIO, io.BufferedReader(RangeReader(self.connection, self.name, name)))

    @contextmanager
    def writer(self, name: str, metadata: dict[str, str], *, key: str = "") -> Iterator[S3Upload]:
        """A multipart upload from the second part on; see S3Upload. ``key``: what the object store calls it."""
        address = Address(self.name, name)
        upload = S3Upload(self.connection, address, key or name, first_part=self._part_bytes, metadata=metadata)
        try:
            yield upload
            upload.finish()
        finally:
            upload.close()

    def copy(self, source: Address, etag: str | None, name: str, metadata: dict[str, str]) -> None:
        """Have the server copy an object from a bucket of its own, as long as it is the one with this ETag."""
        from minio.commonconfig import ComposeSource

        with faults("copy an object", self.role):
            self.connection.client.compose_object(
                self.name,
                name,
                [ComposeSource(*source, match_etag=etag)],
                sse=self.connection.encryption,
                metadata=dict(metadata),
            )

    def uploads(self, prefix: str) -> Iterator[Begun]:
        """Multipart uploads that are not completed: their parts are stored, and paid for, but seen nowhere."""
        key_marker = id_marker = None
        while True:
            with faults("list its uploads", self.role):  # the SDK has no public door to this
                page = self.connection.client._list_multipart_uploads(
                    self.name, prefix=prefix, key_marker=key_marker, upload_id_marker=id_marker
                )
            for upload in page.uploads:
                if upload.object_name and upload.upload_id and upload.initiated_time:
                    yield Begun(upload.object_name, upload.upload_id, upload.initiated_time)
            if not page.is_truncated:
                return
            key_marker, id_marker = page.next_key_marker, page.next_upload_id_marker

    def abort(self, upload: Begun) -> None:
        """Forget an upload; no error when it has just ended."""
        try:
            with faults("discard what was abandoned", self.role):
                self.connection.client._abort_multipart_upload(self.name, upload.name, upload.upload_id)
        except EnvironmentFault as fault:
            if not is_missing(fault):
                raise

    def forget_uploads(self, name: str) -> None:
        """Abort what killed writers of this object left; one who may not list uploads leaves it to a lifecycle rule."""
        with contextlib.suppress(EnvironmentFault):
            for upload in [one for one in self.uploads(name) if one.name == name]:
                self.abort(upload)


def noted(present: Object | None, name: str) -> str | None:
    """A value of the object's user metadata."""
    metadata = present.metadata if present is not None else None
    return metadata.get(f"x-amz-meta-{name}") if metadata is not None else None
