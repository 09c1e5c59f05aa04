"""QIDO-RS (PS3.18 10.6): questions to a DICOMweb server, page by page; answers in the DICOM JSON model (PS3.18 F)."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from common.errors import DestinationRefused
from common.network.web import Answer, WebPeer, instance_path

WHAT = "QIDO-RS"

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
"""Study, Series and SOP Instance UID."""

PAGE = 500
"""Matches asked for at a time: about a megabyte of JSON."""

_LEAST_SUSPECT = 100
_NO_CONTENT = 204
_SILENT = frozenset({400, 403, 405, 406, 501})
"""No service to ask, or not for us: a server may let us store and not search."""

Match = Mapping[str, Any]


def text(match: Match, tag: str) -> str:
    """First value of an attribute as text; empty where there is none."""
    values = texts(match, tag)
    return values[0] if values else ""


def texts(match: Match, tag: str) -> tuple[str, ...]:
    """All values of an attribute as text."""
    element = match.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return tuple(str(value) for value in values if value is not None) if isinstance(values, list) else ()


def matches(
    peer: WebPeer, path: str, query: Sequence[tuple[str, str]], key: str, *, page: int = PAGE
) -> Generator[Match, None, None]:
    """All matches of a query, each once by its UID ``key``. An unknown study has none.

    A server may give fewer matches a page than asked for. It says so in a Warning (PS3.18 8.3.4.4) or not at all: a round number
    is not believed to be the last page. One that knows no offset would give the first page for ever. An empty page is no proof:
    with ModalitiesInStudy Orthanc 1.10 takes the offset from within the limit, so that nothing follows the first full page.

    Raises:
        DestinationUnavailable, DestinationRefused: no answer, or none of use.
        CappedAnswer: there are more, or may be, and they cannot be asked for.
    """
    seen: set[str] = set()
    offset = 0
    gone = (
        frozenset[int]() if path == "/studies" else frozenset({404})
    )  # the service itself is there, or it is an error
    while True:
        paging = [("limit", str(page)), ("offset", str(offset))]
        answer = peer.get(path, [*query, *paging], what=WHAT, allow=gone)
        found = _read(answer)
        new = 0
        for match in found:
            uid = text(match, key)
            if uid and uid not in seen:
                seen.add(uid)
                new += 1
                yield match
        offset += len(found)
        if not found or (len(found) < page and not says_more(answer) and not _is_round(len(found))):
            return
        if not new:
            raise CappedAnswer(len(seen), said=says_more(answer))


class CappedAnswer(DestinationRefused):
    """There are more matches than the server gives, as it ``said``, or perhaps: the question is to be made narrower."""

    default_hint = "Ask for less at a time: a shorter range of StudyDate."

    def __init__(self, count: int, *, said: bool) -> None:
        super().__init__(f"the DICOMweb server gives no more than {count} matches ({WHAT})")
        self.said = said


def _is_round(count: int) -> bool:
    """Whether a number of matches looks like somebody's limit: a multiple of 100, or a power of two from there."""
    return count >= _LEAST_SUSPECT and (count % 100 == 0 or count & (count - 1) == 0)


def says_more(answer: Answer) -> bool:
    """Whether a Warning says that there are more results (PS3.18 8.3.4.4: code 299)."""
    warning = answer.headers.get("warning", "").lower()
    return "299" in warning and any(word in warning for word in ("additional", "remaining", "exceed", "maximum"))


def is_there(peer: WebPeer, study_uid: str, series_uid: str, sop_instance_uid: str) -> bool | None:
    """Whether the server has an instance, in this study and series; None: it cannot be asked.

    Raises:
        DestinationUnavailable, DestinationRefused: no answer, or none of use.
    """
    query = [("SOPInstanceUID", sop_instance_uid)]
    answer = peer.get(f"{instance_path(study_uid, series_uid)}/instances", query, what=WHAT, allow=_SILENT | {404})
    if answer.status in _SILENT:
        return None
    found = _read(answer)  # a server that knows no such key gives all of the series
    return any(text(match, INSTANCE) == sop_instance_uid for match in found)


def _read(answer: Answer) -> list[Match]:
    if answer.status in {_NO_CONTENT, 404} or not answer.content:
        return []
    try:
        found = json.loads(answer.content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(match, dict) for match in found):
        hint = "Check the path in the URI: a web page answers in place of the DICOMweb service, or a log-in form."
        raise DestinationRefused(f"the DICOMweb server's answer is no DICOM JSON ({WHAT})", hint=hint)
    return found
