"""QIDO-RS (PS3.18 10.6): questions to a DICOMweb server, page by page; answers in the DICOM JSON model (PS3.18 F)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from common.errors import DestinationRefused
from common.network.web import Answer, WebPeer, instance_path

WHAT = "QIDO-RS"

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
"""Study, Series and SOP Instance UID."""

PAGE = 500
"""Matches asked for at a time: about a megabyte of JSON."""

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


def search(
    peer: WebPeer, path: str, query: Sequence[tuple[str, str]], key: str, *, page: int = PAGE
) -> Iterator[Match]:
    """All matches of a query, each once by its UID ``key``. An unknown study has none.

    A server may give fewer matches a page than asked for, and says so in a Warning (PS3.18 8.3.4.4); one that knows no offset
    would give the first page for ever.

    Raises:
        DestinationUnavailable, DestinationRefused: no answer, or none of use.
        CappedAnswer: there are more, and they cannot be asked for.
    """
    seen: set[str] = set()
    offset = 0
    while True:
        paging = [("limit", str(page)), ("offset", str(offset))]
        answer = peer.get(path, [*query, *paging], what=WHAT, allow=frozenset({404}))
        matches = _matches(answer)
        new = 0
        for match in matches:
            uid = text(match, key)
            if uid and uid not in seen:
                seen.add(uid)
                new += 1
                yield match
        offset += len(matches)
        if not matches or (len(matches) < page and not says_more(answer)):
            return
        if not new:
            raise CappedAnswer(f"the DICOMweb server gives no more than {offset - len(matches)} matches ({WHAT})")


class CappedAnswer(DestinationRefused):
    """There are more matches than the server gives: the question is to be made narrower."""

    default_hint = "Ask for less at a time: a shorter range of StudyDate."


def says_more(answer: Answer) -> bool:
    """Whether a Warning says that there are more results (PS3.18 8.3.4.4: code 299)."""
    warning = answer.headers.get("warning", "").lower()
    return "299" in warning and any(word in warning for word in ("additional", "remaining", "exceed", "maximum"))


def is_there(peer: WebPeer, study_uid: str, series_uid: str, sop_instance_uid: str) -> bool | None:
    """Whether the server has an instance, in this study and series; None: it cannot be asked.

    Raises:
        DestinationUnavailable, DestinationRefused: no answer, or none of use.
    """
    query = [("SOPInstanceUID", sop_instance_uid), ("SeriesInstanceUID", series_uid)]
    answer = peer.get(f"{instance_path(study_uid)}/instances", query, what=WHAT, allow=_SILENT | {404})
    if answer.status in _SILENT:
        return None
    matches = _matches(answer)  # a server that knows no such key gives all of the study
    return any(text(match, INSTANCE) == sop_instance_uid for match in matches)


def _matches(answer: Answer) -> list[Match]:
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
