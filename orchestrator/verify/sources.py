"""Whether the sources of a study still are what was migrated."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from common.destinations import DicomDestination, WebDestination, parse_destination
from common.errors import UnreadableSource
from common.settings import Settings
from orchestrator.verify.expected import Source
from orchestrator.verify.places import REFUSALS, ArchivePlace, Place, finder
from orchestrator.verify.values import Cause, Difference, Expected


class SourceCheck:
    """Folders are read and hashed; archives are asked what they hold. Connections stay open until the block ends."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._places: dict[str, Place] = {}

    def __enter__(self) -> SourceCheck:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def differences(self, sources: Sequence[Source]) -> Iterator[Difference]:
        """What is gone or has changed of the sources of one study."""
        afar: dict[tuple[str, str], list[Source]] = {}
        for source in sources:
            if source.retrieval is not None:
                afar.setdefault((source.retrieval.place, source.retrieval.study_uid), []).append(source)
            elif "://" not in source.path:
                yield from _file(source)
        for (place, study_uid), some in afar.items():
            yield from self._archived(place, study_uid, some)

    def _archived(self, uri: str, study_uid: str, sources: Sequence[Source]) -> Iterator[Difference]:
        asked = {
            source.retrieval.sop_instance_uid: (source, source.retrieval.series_uid)
            for source in sources
            if source.retrieval is not None
        }
        expected = [Expected(source.item, uid, series, 0, "", 0, "") for uid, (source, series) in asked.items()]
        try:
            held = {each.sop_instance_uid: each for each in self._place(uri).study(study_uid, expected)}
        except REFUSALS as error:
            yield Difference(Cause.SOURCE_AWAY, words=error.message)
            return
        for uid, (source, _) in asked.items():
            there = held.get(uid)
            if there is None:
                yield Difference(Cause.SOURCE_GONE, source.item, uid)
            elif None not in (there.frames, source.frames) and there.frames != source.frames:
                words = f"{there.frames} frames there, {source.frames} when it was migrated"
                yield Difference(Cause.SOURCE_CHANGED, source.item, uid, words)

    def _place(self, uri: str) -> Place:
        if uri not in self._places:
            place = parse_destination(uri)
            if not isinstance(place, DicomDestination | WebDestination):
                raise UnreadableSource("sources of this kind cannot be asked")
            self._places[uri] = ArchivePlace(self._stack.enter_context(finder(place, self._settings)))
        return self._places[uri]


def _file(source: Source) -> Iterator[Difference]:
    """A file by its size, then its SHA-256; one that was never read by its size alone."""
    try:
        with Path(source.path).open("rb") as stream:
            size = Path(source.path).stat().st_size
            if size != source.size_bytes:
                words = f"{size} bytes, {source.size_bytes} when it was listed"
                yield Difference(Cause.SOURCE_CHANGED, source.item, words=words)
            elif source.digest and hashlib.file_digest(stream, "sha256").hexdigest() != source.digest:
                yield Difference(Cause.SOURCE_CHANGED, source.item, words="other bytes")
    except FileNotFoundError:
        yield Difference(Cause.SOURCE_GONE, source.item)
    except OSError as error:
        yield Difference(Cause.SOURCE_AWAY, source.item, words=str(error.strerror))
