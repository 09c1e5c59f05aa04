"""Time windows: when work may go out, by the clock on the wall of an IANA time zone. Pure: the moment is always handed in.

``Mon-Fri 20:00-06:00 Europe/Berlin; Sat-Sun 00:00-24:00``: spans of days and times. A span whose end is not after its start
goes on past midnight, into the day after. A zone holds for its span and those after it; the first span must name one.

A window is open whenever the wall clock of its zone shows a time within it. So an hour that daylight saving skips is never
open by itself, one that comes twice is open twice, and a window across the change keeps its times on the wall.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from common.errors import PolicyError

FORM = "Write it like 'Mon-Fri 20:00-06:00 Europe/Berlin; Sat-Sun 00:00-24:00'."

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

HORIZON = timedelta(days=21)
"""How far changes are looked for. Spans repeat every week; two weeks more, since daylight saving may skip one."""

_MIDNIGHT = 24 * 60
_DAY = timedelta(days=1)
_INSTANT = timedelta(seconds=1)  # nothing changes within one: times are in minutes, offsets in seconds

_SPAN = re.compile(r"(?P<days>\S+)\s+(?P<start>[\d:]+)-(?P<end>[\d:]+)(?:\s+(?P<zone>\S+))?")
_TIME = re.compile(r"(\d{1,2}):([0-5]\d)")


@dataclass(frozen=True)
class Span:
    """Days of the week (Monday is 0) and minutes of the day; an ``end`` not after ``start`` lies in the next day."""

    days: frozenset[int]
    start: int
    end: int
    zone: ZoneInfo

    def is_open(self, moment: datetime) -> bool:
        """Whether the wall clock shows a time within the span."""
        wall = moment.astimezone(self.zone)
        minute = wall.hour * 60 + wall.minute
        if self.start < self.end:
            return wall.weekday() in self.days and self.start <= minute < self.end
        yesterday = (wall.weekday() - 1) % 7
        return (wall.weekday() in self.days and minute >= self.start) or (yesterday in self.days and minute < self.end)

    def boundaries(self, day: date) -> Iterator[datetime]:
        """The moments at which the wall clock shows the span's start or end on ``day``; both of them in a doubled hour."""
        for minutes in (self.start, self.end % _MIDNIGHT):
            wall = datetime.combine(day, time(minutes // 60, minutes % 60), self.zone)
            for fold in (0, 1):
                yield wall.replace(fold=fold).astimezone(UTC)


@dataclass(frozen=True)
class Window:
    """One or more spans; open when any of them is."""

    text: str
    spans: tuple[Span, ...]

    def is_open(self, moment: datetime) -> bool:
        """Whether new work may go out at ``moment`` (aware)."""
        return any(span.is_open(moment) for span in self.spans)

    def next_change(self, moment: datetime) -> datetime | None:
        """The first moment after ``moment`` at which the window opens or closes, in UTC; None: it never does."""
        now_open = self.is_open(moment)
        later = self._candidates(moment, moment + HORIZON)
        return next((at for at in later if at > moment and self.is_open(at) != now_open), None)

    def last_change(self, moment: datetime) -> datetime | None:
        """The moment, ``moment`` at the latest, since which the window is as it is now, in UTC; None: it always was."""
        now_open = self.is_open(moment)
        earlier = reversed(self._candidates(moment - HORIZON, moment))
        return next((at for at in earlier if at <= moment and self.is_open(at - _INSTANT) != now_open), None)

    def _candidates(self, start: datetime, end: datetime) -> list[datetime]:
        """Every moment between which the window cannot change: boundaries on the wall, and changes of the zone's offset."""
        first = start.astimezone(UTC).date() - _DAY
        days = [first + n * _DAY for n in range((end - start).days + 4)]
        moments = {at for span in self.spans for day in days for at in span.boundaries(day)}
        for zone in {span.zone for span in self.spans}:
            moments |= set(_offset_changes(zone, days))
        return sorted(moments)


@lru_cache(maxsize=256)
def parse_window(text: str) -> Window:
    """Read a window as a person wrote it.

    Raises:
        PolicyError: a day, time or zone is not understood, or no zone is named.
    """
    spans: list[Span] = []
    for part in text.split(";"):
        match = _SPAN.fullmatch(part.strip())
        if match is None:
            raise PolicyError(f"the time window {part.strip()!r} is not understood", hint=FORM)
        zone = _zone(match["zone"]) if match["zone"] else spans[-1].zone if spans else None
        if zone is None:
            raise PolicyError("the time window names no time zone", hint=FORM)
        spans.append(Span(_days(match["days"]), *_times(match["start"], match["end"]), zone))
    return Window(text, tuple(spans))


def _days(text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        names = [name.capitalize() for name in (first, last if dash else first)]
        if not set(names) <= set(DAYS):
            raise PolicyError(f"{part!r} is no day or range of days", hint=f"Days: {', '.join(DAYS)}. {FORM}")
        start, end = (DAYS.index(name) for name in names)
        days |= {day % 7 for day in range(start, end + 1 if end >= start else end + 8)}
    return frozenset(days)


def _times(start: str, end: str) -> tuple[int, int]:
    begin, stop = _minutes(start), _minutes(end)
    if begin in (_MIDNIGHT, stop):
        raise PolicyError(f"from {start} to {end} is no span of time", hint=f"The whole day is 00:00-24:00. {FORM}")
    return begin, stop


def _minutes(text: str) -> int:
    match = _TIME.fullmatch(text)
    minutes = int(match[1]) * 60 + int(match[2]) if match else _MIDNIGHT + 1
    if minutes > _MIDNIGHT:
        raise PolicyError(f"{text!r} is no time of day", hint=f"Times go from 00:00 to 24:00. {FORM}")
    return minutes


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # not there, no such name, a folder of zones
        raise PolicyError(f"there is no time zone {name!r}", hint=f"Use an IANA name. {FORM}") from error


def _offset_changes(zone: ZoneInfo, days: list[date]) -> Iterator[datetime]:
    """The moments at which the zone's offset from UTC changes. Two changes within one day would hide each other; none do."""
    noons = [datetime.combine(day, time(12), UTC) for day in days]
    for before, after in pairwise(noons):
        if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            yield _bisected(zone, before, after)


def _bisected(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    offset = before.astimezone(zone).utcoffset()
    while after - before > _INSTANT:
        middle = before + timedelta(seconds=int((after - before).total_seconds()) // 2)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
