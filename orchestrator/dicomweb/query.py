"""A search as its URL says it: attributes by keyword or tag, paging, fields. Pure; what we do not understand is refused by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from common.errors import PolicyError
from orchestrator.dicomweb.attributes import DATES, KEPT, MODALITIES, TIMES, UIDS, Level, Match

DEFAULT_LIMIT, MOST = 100, 1000
"""Answers to one search: unless it says otherwise, and at most. More are told of by a Warning (PS3.18 8.3.4.4)."""

MOST_SIGNS, MOST_PARAMETERS = 1024, 64
"""Of a value, and parameters of one search; no legal value of an attribute that is searched is longer."""

_RANGE_SIGNS = frozenset("0123456789-.:")


@dataclass(frozen=True)
class Query:
    """One search. ``fields``: tags to be added to each answer; ``everything``: all that there is of its level."""

    level: Level
    matches: tuple[Match, ...] = ()
    fields: frozenset[str] = frozenset()
    everything: bool = False
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    unsupported: tuple[str, ...] = ()  # tags that searches do not look at
    fuzzy: bool = False  # asked for, and not done


def parse(level: Level, given: Iterable[tuple[str, str]], path: dict[str, str]) -> Query:
    """The search of a query string; ``path``: UIDs of the path, by tag.

    Raises:
        PolicyError: a parameter that is none, or a value that is not understood; the message names no value.
    """
    matches = {tag: Match(tag, uid) for tag, uid in path.items()}
    fields: set[str] = set()
    unsupported: list[str] = []
    everything = fuzzy = False
    limit, offset = DEFAULT_LIMIT, 0
    given = list(given)
    if len(given) > MOST_PARAMETERS:
        raise PolicyError(f"a search has at most {MOST_PARAMETERS} parameters")
    for name, value in given:
        match name:
            case "limit":
                limit = min(_number(name, value), MOST)
            case "offset":
                offset = _number(name, value)
            case "fuzzymatching":
                fuzzy = _truth(name, value)
            case "includefield":
                everything = everything or value == "all"
                fields |= {tag_of(word) for word in value.split(",") if word and word != "all"}
            case _:
                tag = tag_of(name)
                if not value or value == "*":
                    fields.add(tag)  # universal matching: it is returned (PS3.4 C.2.2.2.3)
                elif tag in KEPT or tag == MODALITIES:
                    matches[tag] = _checked(Match(tag, value))
                else:
                    unsupported.append(tag)
    return Query(
        level, tuple(matches.values()), frozenset(fields), everything, limit, offset, tuple(unsupported), fuzzy
    )


def tag_of(name: str) -> str:
    """The tag, eight hexadecimal digits, of a keyword or a tag; of a path into a sequence that of the sequence.

    Raises:
        PolicyError: there is no such attribute.
    """
    from pydicom.datadict import tag_for_keyword

    first = name.partition(".")[0]
    if len(first) == 8 and all(sign in "0123456789abcdefABCDEF" for sign in first):
        return first.upper()
    tag = tag_for_keyword(first)
    if tag is None:
        raise PolicyError(
            f"{first[:64]!r} is no attribute and no parameter of a search",
            hint="Write keywords (PatientID) or tags (00100020); limit, offset, includefield and fuzzymatching are parameters.",
        )
    return f"{tag:08X}"


def _checked(match: Match) -> Match:
    """Raises: PolicyError: no UID, date or time; control characters; too long."""
    if len(match.wanted) > MOST_SIGNS or not match.wanted.isprintable():
        raise PolicyError(f"the value of {match.tag} is too long, or has control characters")
    hint = "Write UIDs, YYYYMMDD and HHMMSS; a range as first-last, and either may be left out."
    if match.tag in UIDS:
        if not match.alternatives or not all(set(uid) <= set("0123456789.") for uid in match.alternatives):
            raise PolicyError(f"the value of {match.tag} is no UID", hint=hint)
    elif match.tag in DATES | TIMES and (not set(match.wanted) <= _RANGE_SIGNS or match.wanted == "-"):
        raise PolicyError(f"the value of {match.tag} is no date, time or range", hint=hint)
    return match


def _number(name: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and len(value) < 10):
        raise PolicyError(f"{name} must be a whole number, 0 or more")
    return int(value)


def _truth(name: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise PolicyError(f"{name} is true or false")
    return value == "true"
