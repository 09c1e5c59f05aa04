"""Lists a prefix of an S3 bucket, and brings its objects to where workers read them. Keys hold patients' names: they stay in the ledger."""

from __future__ import annotations

import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from common.destinations import S3Destination, parse_destination
from common.errors import EnvironmentFault, PolicyError, StoreFault, UnreadableSource
from common.settings import Settings
from common.store import ObjectStore
from orchestrator.ingest.found import Found, Scope

if TYPE_CHECKING:
    from minio.datatypes import Object

    from common.store.s3_bucket import Bucket

SCHEME = "s3://"

_COPY_BYTES = 1 << 20
_FINAL = {"AccessDenied", "InvalidObjectState", "NoSuchKey"}
"""What S3 says of one object for good: no right to it, in an archive tier, gone."""


@dataclass(frozen=True)
class BucketSource:
    """A bucket, a prefix in one, or one object, on the server of the settings. See Source."""

    place: S3Destination

    @classmethod
    def parse(cls, text: str) -> BucketSource:
        """Read ``s3://bucket/prefix``.

        Raises:
            PolicyError: it is none.
        """
        place = parse_destination(text)
        if not isinstance(place, S3Destination):
            raise PolicyError("the source is no bucket", hint="Write s3://bucket/prefix.")
        return cls(place)

    @property
    def uri(self) -> str:
        """``s3://bucket/prefix``."""
        return self.place.uri

    @property
    def shown(self) -> str:
        """The same: what lies below it is not in it."""
        return self.uri

    def require(self) -> None:
        """See Source: whether it is there is seen when it is listed."""

    def find(self, scope: Scope) -> Iterator[Found]:
        """See Source. A thousand objects a request; only these are held."""
        bucket, prefix = _bucket(self.place.bucket, scope.settings), self.place.prefix
        if not bucket.exists():
            raise PolicyError("the source bucket does not exist", hint="Check its name, and CINEFARM_S3_ENDPOINT.")
        if prefix and (single := bucket.look(prefix)) is not None:
            yield _found(self.place.bucket, prefix, PurePosixPath(prefix).name, single)
            return
        root, passed = f"{prefix}/" if prefix else "", _passed_over(self.place, scope)
        if root in passed:
            raise PolicyError("the source is also the destination or the store", hint="Choose another destination.")
        empty = True
        for each in bucket.objects(root):
            empty, name = False, str(each.object_name)
            if why := _why_ignored(name, root, passed):
                scope.ignored[why] += 1
            else:
                yield _found(self.place.bucket, name, name.removeprefix(root), each)
        if empty:
            raise PolicyError("nothing lies below the source's prefix", hint="Check the prefix; it ends at a '/'.")


def in_bucket(place: str) -> bool:
    """Whether a source of the ledger is an object of a bucket."""
    return place.startswith(SCHEME)


def bring(place: str, key: str, store: ObjectStore, settings: Settings) -> None:
    """Make an object readable under ``key`` of our store, unless it is. A store on the same server has it copied there.

    Raises:
        UnreadableSource: it is gone, or may not be read.
        StoreFault: a server does not answer.
    """
    from common.store.s3 import S3Store
    from common.store.s3_upload import Address

    bucket, name = _split(place, settings)
    with _one_object():
        status = bucket.look(name)
        if status is None:
            raise UnreadableSource("the object is no longer in its bucket")
        if store.size(key) == status.size:  # a key is one item's, and its source is deleted when the item ends
            return
        if isinstance(store, S3Store):  # the settings know one server
            store.adopt_object(key, Address(bucket.name, name), status.etag)
            return
        with bucket.open(name) as reader, store.writer(key) as writer:
            shutil.copyfileobj(reader, writer, _COPY_BYTES)


@contextmanager
def local_copy(found: Found, settings: Settings) -> Iterator[Path]:
    """A path to read a source at: its own, or of an object a copy that is gone afterwards.

    Raises:
        UnreadableSource: the object is gone, or may not be read.
        EnvironmentFault: the server does not answer, or there is no room for a copy.
    """
    if not in_bucket(found.uri):
        yield found.path
        return
    bucket, name = _split(found.uri, settings)
    with tempfile.TemporaryDirectory(prefix="cinefarm-plan-") as folder:  # for our eyes only (mode 700)
        path = Path(folder, f"source{found.path.suffix[:6]}")
        try:
            with _one_object(), bucket.open(name) as reader, path.open("xb") as writer:
                shutil.copyfileobj(reader, writer, _COPY_BYTES)
        except OSError as error:
            raise EnvironmentFault(
                f"the source cannot be copied here: {error.strerror}", hint="Make room in TMPDIR."
            ) from error
        yield path


def _bucket(name: str, settings: Settings) -> Bucket:
    from common.store.s3_bucket import Bucket
    from common.store.s3_client import Role

    return Bucket(name, settings, Role("the source bucket", StoreFault))


def _split(place: str, settings: Settings) -> tuple[Bucket, str]:
    bucket, _, name = place.removeprefix(SCHEME).partition("/")
    return _bucket(bucket, settings), name


def _found(bucket: str, name: str, relative: str, status: Object) -> Found:
    uri = f"{SCHEME}{bucket}/{name}"
    return Found(Path(uri), status.size or 0, _stamp(status), relative, uri=uri)


def _stamp(status: Object) -> int:
    """When the object was written, ns since 1970: S3 tells whole seconds, a digest of the ETag tells two writes in one second apart."""
    seconds = int(status.last_modified.timestamp()) if status.last_modified is not None else 0
    return seconds * 10**9 + zlib.crc32((status.etag or "").strip('"').encode()) % 10**9


def _passed_over(place: S3Destination, scope: Scope) -> tuple[str, ...]:
    """Beginnings of names that are no sources: of our destinations and of our own store."""
    ours = [one for one in scope.exclude if isinstance(one, S3Destination)]
    if in_bucket(scope.settings.store_url):
        store = parse_destination(scope.settings.store_url)
        ours += [store] if isinstance(store, S3Destination) else []
    return tuple(f"{one.prefix}/" if one.prefix else "" for one in ours if one.bucket == place.bucket)


def _why_ignored(name: str, root: str, passed: tuple[str, ...]) -> str:
    below = name.removeprefix(root)
    if any(len(prefix) > len(root) and name.startswith(prefix) for prefix in passed):
        return "destination or state folder"
    if any(part.startswith(".") for part in below.split("/")):
        return "hidden"
    return "DICOMDIR" if below.rpartition("/")[2].upper() == "DICOMDIR" else ""


@contextmanager
def _one_object() -> Iterator[None]:
    """What the server says of one object for good is the source's fault: trying again does not help."""
    try:
        yield
    except StoreFault as fault:
        code = getattr(fault.__cause__, "code", None)
        if code in _FINAL:
            raise UnreadableSource(fault.message, hint=fault.hint) from fault
        raise
