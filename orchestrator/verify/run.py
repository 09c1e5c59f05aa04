"""A whole job against its destinations: one result a study and destination, in flat memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from common.settings import Settings
from orchestrator.ledger.database import Sessions
from orchestrator.verify.compare import compare, unanswered
from orchestrator.verify.expected import Study, studies
from orchestrator.verify.places import REFUSALS, ArchivePlace, Place, Reading, open_place
from orchestrator.verify.reading import ReadBack, Reader
from orchestrator.verify.sources import SourceCheck
from orchestrator.verify.values import StudyResult, Totals

GIVEN_UP_AFTER = 3
"""Studies in a row that a destination does not answer: it is not asked for the others, which would take its time-out each."""

SOURCE = "source"
"""Destination of a result that is about the sources."""


class Verification:
    """One run. ``totals`` are whole when ``results`` has ended."""

    def __init__(
        self,
        ledger: Sessions,
        job_id: str,
        destinations: Sequence[str],
        settings: Settings,
        *,
        read: Reading = "none",
        sources: bool = False,
    ) -> None:
        """``read``: which instances are read back and compared; ``sources``: they are looked at too."""
        self._ledger, self._job_id, self._destinations = ledger, job_id, destinations
        self._settings, self._read, self._sources = settings, read, sources
        self._silent = Counter[str]()
        self.totals = Totals()

    def results(self) -> Iterator[StudyResult]:
        """Every study at every destination, in the order of their UIDs.

        Raises:
            PolicyError: a destination cannot be asked with these settings.
        """
        with ExitStack() as stack:
            places: dict[str, Place] = {
                uri: stack.enter_context(open_place(uri, self._settings, read=self._read)) for uri in self._destinations
            }
            if self._read != "none":
                reader = stack.enter_context(Reader())
                for uri, place in places.items():
                    if isinstance(place, ArchivePlace):
                        places[uri] = ReadBack(place, uri, reader, self._read)
            check = stack.enter_context(SourceCheck(self._settings)) if self._sources else None
            for study in studies(self._ledger, self._job_id, self._destinations):
                self.totals.studies += bool(study.study_uid)
                self.totals.items += len(study.sources)
                self.totals.skipped += study.skipped
                for uri, place in places.items():
                    if study.expected[uri]:
                        yield self._added(self._asked(uri, place, study))
                if check is not None:
                    found = list(check.differences(study.sources))
                    if found:
                        yield self._added(StudyResult(SOURCE, study.study_uid, differences=found))

    def _asked(self, uri: str, place: Place, study: Study) -> StudyResult:
        expected = study.expected[uri]
        if not any(each.sop_instance_uid for each in expected):
            return compare(uri, study.study_uid, expected, ())
        if self._silent[uri] >= GIVEN_UP_AFTER:
            return unanswered(uri, study.study_uid, expected, "not asked: it did not answer before")
        try:
            result = compare(uri, study.study_uid, expected, place.study(study.study_uid, expected))
        except REFUSALS as error:
            self._silent[uri] += 1
            return unanswered(uri, study.study_uid, expected, error.message)
        self._silent[uri] = 0
        return result

    def _added(self, result: StudyResult) -> StudyResult:
        self.totals.add(result)
        return result
