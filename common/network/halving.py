"""Ask an archive that gives no more than so many answers in halves of the span of time, until every part is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from common.errors import DestinationRefused, DestinationUnavailable
from common.logs import logger
from common.network.query import FoundStudy
from common.network.spans import Span

log = logger(__name__)

MOST_ANSWERS = 5_000
"""Studies that one question may bring before it is cancelled and its span halved: what is held in memory at a time."""

LEAST_DOUBTED = 2
"""From so many answers on an archive is not believed when it says that they are all."""

_HINT_CAP = "Ask for less (more keys, a shorter span), or have the archive's limit on answers raised."


@dataclass(frozen=True)
class Answer:
    """What came back. ``capped``: there are more that did not; ``spent``: the archive was out of resources, which may be its way to
    say so; ``certain``: we know that there are no more, and not from the archive alone."""

    matches: list[Mapping[str, str]]
    capped: bool = False
    spent: bool = False
    certain: bool = False


Ask = Callable[[Span, "int | None"], "tuple[list[FoundStudy], Answer]"]


def search(span: Span, ask: Ask) -> Iterator[FoundStudy]:
    """Every study of a span once, oldest half first, however few answers the archive gives at a time.

    ``ask(span, most)`` cancels after ``most`` answers. A study without a date (or, within a day, a time) is found only among
    the answers that were given; should there be more, the log says so.

    Raises:
        DestinationRefused: studies of one second are more than the archive gives; it does not match by the key that is halved.
    """
    strays: set[str] = set()
    waiting = [span]
    while waiting:
        part = waiting.pop()
        halves = part.halves()
        found, answer = ask(part, MOST_ANSWERS if halves else None)
        if answer.capped and not halves:
            raise too_many(answer, "it does not list all studies of one second")
        smaller = (halves or ()) if answer.capped else _doubted(part, found, answer, ask)
        if smaller:
            _require_ranges(found, part, span)
            log.info("query_halved", answers=len(found))
        yield from _once(found, part, strays, whole=not smaller)
        waiting += reversed(smaller)


def _doubted(part: Span, found: list[FoundStudy], answer: Answer, ask: Ask) -> tuple[Span, ...]:
    """Parts to ask again when an answer that is said to be whole is not; empty: it is.

    Some archives cut an answer short and say nothing, at a number of rows that need not be a number of studies (Orthanc 1.10
    does, asked by ModalitiesInStudy). So the span is cut where answers lie on both sides: an archive that had more would give
    more of them now.
    """
    if answer.certain or len(found) < LEAST_DOUBTED:
        return ()
    dated = {one.study_uid for one in found if part.date.holds(one.date)}
    parts = part.parts([(one.date, one.time) for one in found if one.study_uid in dated])
    again: set[str] = set()
    for smaller in parts:
        more, given = ask(smaller, MOST_ANSWERS)
        again |= {one.study_uid for one in more if smaller.holds(one.date, one.time)}
        if given.capped or not again <= {one.study_uid for one in found}:
            return parts
    return ()


def _once(found: list[FoundStudy], part: Span, strays: set[str], *, whole: bool) -> Iterator[FoundStudy]:
    """Of a part's answers those that no other part brings; all that lie in it when it is ``whole``."""
    seen: set[str] = set()
    for study in found:
        if study.study_uid in seen or study.study_uid in strays or not part.holds(study.date, study.time):
            continue
        seen.add(study.study_uid)
        if part.date.holds(study.date) is None or (part.date.is_one_day and part.time.holds(study.time) is None):
            strays.add(study.study_uid)
            yield study
        elif whole:
            yield study
    if strays and not whole:
        log.warning("studies_without_date_may_be_missing", known=len(strays))


def _require_ranges(found: list[FoundStudy], part: Span, asked: Span) -> None:
    """An archive that answers outside the span it was asked for cannot be asked in parts.

    Raises:
        DestinationRefused: it does.
    """
    for study in found if part != asked else ():
        if not part.holds(study.date, study.time):
            key = "StudyDate" if part.date.holds(study.date) is False else "StudyTime"
            raise DestinationRefused(
                f"the archive does not keep to ranges of {key}, so that its answers cannot be had in parts",
                hint=_HINT_CAP,
            )


def too_many(answer: Answer, what: str) -> DestinationUnavailable | DestinationRefused:
    """The error of answers that are cut short where nothing parts them. ``what`` that means, in words."""
    if answer.spent and not answer.matches:
        return DestinationUnavailable("the archive is out of resources, and answers no query", hint=_HINT_CAP)
    return DestinationRefused(f"the archive gives no more than {len(answer.matches)} answers: {what}", hint=_HINT_CAP)
