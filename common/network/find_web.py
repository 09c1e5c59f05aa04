"""QIDO-RS (PS3.18 10.6) as a Finder: a DICOMweb server asked level by level, page by page, in the very terms of C-FIND."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from common.network.halving import Answer, search, too_many
from common.network.identifiers import number
from common.network.qido import INSTANCE, PAGE, SERIES, STUDY, CappedAnswer, Match, matches, text, texts
from common.network.query import EVERYTHING, FoundInstance, FoundSeries, FoundStudy, Level, Query
from common.network.spans import Span
from common.network.web import WebPeer, instance_path

_DATE, _TIME, _MODALITIES, _CLASSES, _IN_STUDY = "00080020", "00080030", "00080061", "00080062", "00201208"
_MODALITY, _IN_SERIES = "00080060", "00201209"
_CLASS, _FRAMES, _SYNTAXES, _AVAILABILITY = "00080016", "00280008", "00083002", "00080056"

_STUDY_FIELDS = (_DATE, _TIME, _MODALITIES, _CLASSES, _IN_STUDY)
_SERIES_FIELDS = (_MODALITY, _IN_SERIES)
_INSTANCE_FIELDS = (_CLASS, _FRAMES, _SYNTAXES, _AVAILABILITY)


class WebFinder:
    """A Finder (common.network.query) over a server; use it as a context manager: it closes its connections at the end."""

    def __init__(self, peer: WebPeer, *, page: int = PAGE) -> None:
        """``page``: matches to ask for at a time."""
        self._peer, self._page = peer, page

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._peer.__exit__(kind, error, trace)

    def studies(self, query: Query = EVERYTHING) -> Iterator[FoundStudy]:
        """See Finder."""
        keys = query.of_level(Level.STUDY)
        span = Span.parse(keys.pop("StudyDate", ""), keys.pop("StudyTime", ""))
        yield from search(span, lambda part, most: self._studies(keys, part, most))

    def series(self, study_uid: str, query: Query = EVERYTHING) -> Iterator[FoundSeries]:
        """See Finder."""
        path = f"{instance_path(study_uid)}/series"
        for match in self._whole(path, query.of_level(Level.SERIES), _SERIES_FIELDS, SERIES, "the series of a study"):
            yield FoundSeries(study_uid, text(match, SERIES), text(match, _MODALITY), number(text(match, _IN_SERIES)))

    def instances(self, study_uid: str, series_uid: str, query: Query = EVERYTHING) -> Iterator[FoundInstance]:
        """See Finder."""
        path, keys = f"{instance_path(study_uid, series_uid)}/instances", query.of_level(Level.IMAGE)
        for match in self._whole(path, keys, _INSTANCE_FIELDS, INSTANCE, "the instances of a series"):
            yield FoundInstance(
                study_uid,
                series_uid,
                text(match, INSTANCE),
                text(match, _CLASS),
                number(text(match, _FRAMES)),
                texts(match, _SYNTAXES),
                text(match, _AVAILABILITY),
            )

    def _studies(self, keys: Mapping[str, str], span: Span, most: int | None) -> tuple[list[FoundStudy], Answer]:
        asked = {**keys, "StudyDate": span.date.text, "StudyTime": span.time.text}
        answer = self._ask("/studies", asked, _STUDY_FIELDS, STUDY, most)
        found = [
            FoundStudy(
                text(match, STUDY),
                text(match, _DATE),
                text(match, _TIME),
                texts(match, _MODALITIES),
                texts(match, _CLASSES),
                number(text(match, _IN_STUDY)),
            )
            for match in answer.matches
        ]
        return found, answer

    def _whole(self, path: str, keys: Mapping[str, str], fields: Sequence[str], key: str, what: str) -> Iterator[Match]:
        """Every match, each once, of what no date parts.

        Raises:
            DestinationRefused: the server does not give all of them.
        """
        answer = self._ask(path, keys, fields, key, None)
        if answer.capped:
            raise too_many(answer, f"it does not list {what} in full")
        yield from answer.matches

    def _ask(self, path: str, keys: Mapping[str, str], fields: Sequence[str], key: str, most: int | None) -> Answer:
        """All pages of a question, or ``most`` matches: then there are more."""
        # a list of UIDs has commas here where C-FIND has backslashes (PS3.18 8.3.4.1)
        query = [(name, value.replace("\\", ",")) for name, value in keys.items() if value]
        query += [("includefield", field) for field in fields]
        found: list[Match] = []
        try:
            for match in matches(self._peer, path, query, key, page=self._page):
                if most is not None and len(found) == most:
                    return Answer(found, capped=True)
                found.append(match)
        except CappedAnswer as cap:
            return Answer(found, capped=cap.said)
        return Answer(found)
