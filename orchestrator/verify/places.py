"""What destinations hold of a study, each kind in its own way."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from common.destinations import (
    AnyDestination,
    DicomDestination,
    FolderDestination,
    S3Destination,
    WebDestination,
    parse_destination,
)
from common.errors import DestinationRefused, DestinationUnavailable
from common.settings import Settings
from orchestrator.verify.values import Expected, Held

if TYPE_CHECKING:
    from minio.datatypes import Object

    from common.network.query import Finder
    from common.store.s3_bucket import Bucket

Reading = Literal["none", "sample", "all"]
"""Which instances are read back."""

ONE_IN = 20
"""Instances of a sample, and at least one of each study."""

SUFFIX = ".dcm"
_PIECE_BYTES = 1 << 20


class Place(Protocol):
    """A destination that can be asked."""

    def study(self, study_uid: str, expected: Sequence[Expected]) -> Iterator[Held]:
        """What it holds of a study. Instances that are not expected may come as a count.

        Raises:
            DestinationUnavailable, DestinationRefused: it does not answer, or will not.
        """
        ...


def chosen(expected: Sequence[Expected], read: Reading) -> list[Expected]:
    """Those to read back; a sample is the same each time."""
    there = [each for each in expected if each.sop_instance_uid and not each.undelivered]
    if read == "sample":
        ranks = {each: zlib.crc32(each.sop_instance_uid.encode()) for each in there}
        return [each for each in there if ranks[each] % ONE_IN == 0] or sorted(there, key=ranks.__getitem__)[:1]
    return there if read == "all" else []


class FolderPlace:
    """A folder: every file of ours is read and hashed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def study(self, study_uid: str, expected: Sequence[Expected]) -> Iterator[Held]:
        """See Place."""
        ours = {each.location: each for each in expected if each.location}
        if not self._folder.is_dir():
            raise DestinationUnavailable("the folder is not there", hint="Mount it, and run the same command again.")
        for location, one in ours.items():
            path = self._folder / location
            if path.is_file():
                yield _hashed(path, one.sop_instance_uid)
        below = {Path(location).parts[0] for location in ours} or {study_uid}
        for name in below:
            for path in sorted(self._folder.joinpath(name).rglob(f"*{SUFFIX}")):
                place = path.relative_to(self._folder)
                if place.as_posix() not in ours and not any(part.startswith(".") for part in place.parts):
                    yield Held(path.name.removesuffix(SUFFIX))


def _hashed(path: Path, uid: str) -> Held:
    try:
        with path.open("rb") as stream:
            return Held(uid, digest=hashlib.file_digest(stream, "sha256").hexdigest())
    except OSError as error:
        return Held(uid, problem=str(error.strerror))


class BucketPlace:
    """A bucket: sizes and the digests that were noted when the objects were written; or every byte, ``read``."""

    def __init__(self, bucket: Bucket, prefix: str, *, read: Reading = "none") -> None:
        self._bucket, self._root, self._read = bucket, f"{prefix}/" if prefix else "", read

    def study(self, study_uid: str, expected: Sequence[Expected]) -> Iterator[Held]:
        """See Place."""
        ours = {f"{self._root}{each.location}": each for each in expected if each.location}
        to_read = {each.sop_instance_uid for each in chosen(expected, self._read)}
        for name, one in ours.items():
            present = self._bucket.look(name)
            if present is not None:
                yield self._held(name, one, present, read=one.sop_instance_uid in to_read)
        below = {each.location.partition("/")[0] for each in ours.values()} or {study_uid}
        for folder in below:
            for found in self._bucket.objects(f"{self._root}{folder}/"):
                name = found.object_name or ""
                if name.endswith(SUFFIX) and name not in ours:
                    yield Held(name.rpartition("/")[2].removesuffix(SUFFIX))

    def _held(self, name: str, one: Expected, present: Object, *, read: bool) -> Held:
        from common.store.s3_bucket import noted
        from common.store.s3_upload import SHA256

        if present.size != one.size_bytes:
            return Held(one.sop_instance_uid, same=False)
        if not read:
            return Held(one.sop_instance_uid, digest=noted(present, SHA256))
        digest = hashlib.sha256()
        with self._bucket.open(name) as stream:
            while piece := stream.read(_PIECE_BYTES):
                digest.update(piece)
        return Held(one.sop_instance_uid, digest=digest.hexdigest())


class ArchivePlace:
    """An archive, by C-FIND or QIDO-RS: our series instance by instance, other series by what the archive counts."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder

    def study(self, study_uid: str, expected: Sequence[Expected]) -> Iterator[Held]:
        """See Place."""
        missing = {each.sop_instance_uid for each in expected if each.sop_instance_uid}
        named = {each.series_uid for each in expected}
        others = []
        for series in list(self._finder.series(study_uid)):  # one question at a time on an association
            if series.series_uid not in named:
                others.append(series)
                continue
            for found in self._finder.instances(study_uid, series.series_uid):
                missing.discard(found.sop_instance_uid)
                yield Held(found.sop_instance_uid, found.frames)
        for series in others:
            if missing or series.instances is None:  # the archive may have moved them to another series
                for found in self._finder.instances(study_uid, series.series_uid):
                    missing.discard(found.sop_instance_uid)
                    yield Held(found.sop_instance_uid, found.frames)
            elif series.instances:
                yield Held("", count=series.instances)


@contextmanager
def open_place(uri: str, settings: Settings, *, read: Reading) -> Iterator[Place]:
    """A destination as it can be asked; ``read``: which instances are read back.

    Raises:
        PolicyError: the URI is not understood, or the settings for this kind do not fit together.
    """
    with ExitStack() as stack:
        yield _opened(parse_destination(uri), settings, stack, read=read)


def _opened(place: AnyDestination, settings: Settings, stack: ExitStack, *, read: Reading) -> Place:
    if isinstance(place, FolderDestination):
        return FolderPlace(place.path)
    if isinstance(place, S3Destination):
        from common.store.s3_bucket import Bucket
        from common.store.s3_client import Role

        role = Role("the destination bucket", DestinationUnavailable)
        return BucketPlace(Bucket(place.bucket, settings, role), place.prefix, read=read)
    return ArchivePlace(stack.enter_context(finder(place, settings)))


@contextmanager
def finder(place: DicomDestination | WebDestination, settings: Settings) -> Iterator[Finder]:
    """Asks an archive by C-FIND, or a DICOMweb server by QIDO-RS."""
    if isinstance(place, WebDestination):
        from common.network.find_web import WebFinder
        from common.network.web import WebPeer

        with WebFinder(WebPeer(place, settings)) as web:
            yield web
        return
    from common.network.association import Caller
    from common.network.find import ArchiveFinder

    with ArchiveFinder(place, Caller.of(settings)) as archive:
        yield archive


REFUSALS = (DestinationUnavailable, DestinationRefused)
"""How a place says that it does not answer."""
