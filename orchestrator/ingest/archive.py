"""Lists what an archive holds for a query: studies, their series, their instances; what holds no video is passed over.

Nothing is fetched here: each item says how a worker brings its source (common.orders.Retrieval).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common.destinations import DicomDestination, parse_destination
from common.errors import DestinationRefused, PolicyError, UnreadableSource
from common.logs import logger
from common.network.association import Caller, Timeouts
from common.network.query import Finder, FoundInstance, FoundSeries, FoundStudy, Level
from common.orders import Retrieval
from orchestrator.ingest.asked import Asked
from orchestrator.ingest.found import Found, Scope
from orchestrator.ingest.taken import why_left_out, why_series_left_out

log = logger(__name__)

SEARCH_SECONDS = 300.0
"""How long an archive may search for the next answer: large ones scan tables that have no index."""

_UID = re.compile(r"[0-9][0-9.]{0,63}")
_LEFT_HINT = "See the archive's own log, and run the same command again; or name the study in a source of its own."


@dataclass(frozen=True)
class ArchiveSource:
    """What matches a query in an archive that is asked by C-FIND. See Source."""

    archive: DicomDestination
    asked: Asked

    @classmethod
    def parse(cls, text: str) -> ArchiveSource:
        """Read ``dicom://AET@host:port?Keyword=value&…``.

        Raises:
            PolicyError: the address, a key or an option is not understood.
        """
        address, _, question = text.partition("?")
        archive = parse_destination(address)
        if not isinstance(archive, DicomDestination):
            raise PolicyError("this is no archive's address", hint="Write dicom://AET@host:port?Keyword=value&…")
        asked = Asked.parse(question)
        if asked.method == "web":
            raise PolicyError(
                ".retrieve=web is for dicomweb+https:// sources", hint="Write .retrieve=get or .retrieve=move."
            )
        return cls(archive, asked)

    @property
    def uri(self) -> str:
        """See Source."""
        return f"{self.archive.uri}?{self.asked.text()}".removesuffix("?")

    @property
    def shown(self) -> str:
        """See Source."""
        return f"{self.archive.uri}?{self.asked.shown()}".removesuffix("?")

    def require(self) -> None:
        """See Source: only asking would tell."""

    def find(self, scope: Scope) -> Iterator[Found]:
        """See Source."""
        from common.network.find import ArchiveFinder

        caller = Caller.of(scope.settings, Timeouts(answer=SEARCH_SECONDS))
        with ArchiveFinder(self.archive, caller, cap=self.asked.cap) as finder:
            yield from listed(finder, self.asked, self.archive.uri, scope)


def listed(finder: Finder, asked: Asked, place: str, scope: Scope) -> Iterator[Found]:
    """The instances that match, study by study; ``place``: the archive's URI.

    A study or series that the archive will not list is yielded with its problem.

    Raises:
        DestinationUnavailable: the archive does not answer.
        DestinationRefused: it refuses the query itself.
    """
    for study in finder.studies(asked.query):
        if scope.stopped():
            return
        if not _UID.fullmatch(study.study_uid):
            yield _problem(place, "", "the archive named a study by no UID")
            continue
        try:
            yield from _of_study(finder, study, asked, place, scope)
        except DestinationRefused as refusal:
            yield _problem(place, f"{study.study_uid}/", refusal.message, hint=refusal.hint)


def _of_study(finder: Finder, study: FoundStudy, asked: Asked, place: str, scope: Scope) -> Iterator[Found]:
    for series in finder.series(study.study_uid, asked.query):
        if not _UID.fullmatch(series.series_uid):
            yield _problem(place, f"{study.study_uid}/", "the archive named a series of this study by no UID")
            continue
        if why := why_series_left_out(series, asked.take, asked.query):
            scope.ignored[why] += 1 if series.instances is None else series.instances
            continue
        count = 0
        for instance in finder.instances(study.study_uid, series.series_uid, asked.query):
            count += 1
            found = _of_instance(instance, series, asked, place, scope)
            if found is not None:
                yield found
        if not asked.query.of_level(Level.IMAGE) and count < (series.instances or 0):
            yield _problem(
                place,
                f"{study.study_uid}/{series.series_uid}/",
                f"the archive counts {series.instances} instances in this series and lists {count}",
            )


def _of_instance(instance: FoundInstance, series: FoundSeries, asked: Asked, place: str, scope: Scope) -> Found | None:
    path = f"{instance.study_uid}/{instance.series_uid}/{instance.sop_instance_uid}"
    if not _UID.fullmatch(instance.sop_instance_uid):
        return _problem(
            place,
            f"{instance.study_uid}/{instance.series_uid}/",
            "the archive named an instance of this series by no UID",
        )
    if why := why_left_out(instance, asked.take, asked.query):
        scope.ignored[why] += 1
        return None
    return Found(
        Path(path),
        0,
        0,
        path,
        uri=f"{place}/{path}",
        retrieval=Retrieval(
            place=place,
            study_uid=instance.study_uid,
            series_uid=instance.series_uid,
            sop_instance_uid=instance.sop_instance_uid,
            sop_class_uid=instance.sop_class_uid if _UID.fullmatch(instance.sop_class_uid) else "",
            method=asked.method,
        ),
        note=_note(instance, series),
    )


def _name_of(uid: str) -> str:
    from pydicom.uid import UID

    return str(UID(uid).name)


def _note(instance: FoundInstance, series: FoundSeries) -> str:
    """What the archive says of an instance."""
    said = [
        _name_of(instance.sop_class_uid) if instance.sop_class_uid else "",
        f"modality {series.modality[:16]}" if series.modality else "",
        f"{instance.frames} frames" if instance.frames is not None else "",
        ", ".join(_name_of(uid) for uid in instance.transfer_syntaxes),
        instance.availability[:16].lower(),
    ]
    return "; ".join(filter(None, said))


def _problem(place: str, below: str, message: str, *, hint: str = "") -> Found:
    error = UnreadableSource(message, hint=hint or _LEFT_HINT)
    return Found(Path(below or "./"), 0, 0, below or "./", error, uri=f"{place}/{below}")
