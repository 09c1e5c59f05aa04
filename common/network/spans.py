"""Spans of Study Date and Study Time (range matching, PS3.4 C.2.2.2.5) that can be halved until an archive answers in full."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from common.errors import PolicyError

EARLIEST, LATEST = date(1900, 1, 1), date(2100, 1, 1)
"""Where a span that is open at an end is first thought to end when it is halved; the outermost pieces stay open."""

_DATE = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)")
_TIME = re.compile(r"(\d\d):?(?:(\d\d):?(?:(\d\d)(?:\.\d{1,6})?)?)?")
_LAST_SECOND = 24 * 3600 - 1
_FORMS = "Write 20190131, 20190101-20191231, 20190101- or -20191231; times likewise: 080000-120000."


@dataclass(frozen=True)
class DateSpan:
    """Days from ``first`` to ``last``, both inclusive; None: open."""

    first: date | None = None
    last: date | None = None

    @classmethod
    def parse(cls, text: str) -> DateSpan:
        """Read a value of Study Date; empty matches anything.

        Raises:
            PolicyError: it is no date and no range of dates.
        """
        low, high = _ends(text)
        try:
            span = cls(_day(low), _day(high))
        except ValueError as error:
            raise PolicyError("StudyDate is no date and no range of dates", hint=_FORMS) from error
        if span.first and span.last and span.first > span.last:
            raise PolicyError("StudyDate is a range that ends before it begins", hint=_FORMS)
        return span

    @property
    def text(self) -> str:
        """As C-FIND asks it."""
        if self.first == self.last:
            return _written(self.first)
        return f"{_written(self.first)}-{_written(self.last)}"

    @property
    def is_one_day(self) -> bool:
        """Whether Study Time can tell its studies apart."""
        return self.first is not None and self.first == self.last

    @property
    def is_empty(self) -> bool:
        """Whether it ends before it begins."""
        return self.first is not None and self.last is not None and self.first > self.last

    def holds(self, value: str) -> bool | None:
        """Whether a Study Date lies within; None: it is no date."""
        found = _DATE.fullmatch(value.strip())
        if found is None:
            return None
        day = "".join(found.groups())
        return (not self.first or _written(self.first) <= day) and (not self.last or day <= _written(self.last))

    def halves(self) -> tuple[DateSpan, DateSpan] | None:
        """Two spans that hold every day of this one once; None: it is one day."""
        low = self.first or (EARLIEST if self.last is None or self.last > EARLIEST else date.min)
        high = self.last or (LATEST if low < LATEST else date.max)
        if low >= high:
            return None
        return self.cut(low + (high - low) // 2)

    def cut(self, day: date) -> tuple[DateSpan, DateSpan]:
        """What lies until a day, the day included, and what comes after it."""
        return DateSpan(self.first, day), DateSpan(day + timedelta(days=1), self.last)


@dataclass(frozen=True)
class TimeSpan:
    """Times of a day, as texts; empty: open. The fraction of the last second belongs to it."""

    first: str = ""
    last: str = ""

    @classmethod
    def parse(cls, text: str) -> TimeSpan:
        """Read a value of Study Time; empty matches anything.

        Raises:
            PolicyError: it is no time and no range of times.
        """
        span = cls(*_ends(text))
        if not all(end == "" or _TIME.fullmatch(end) for end in (span.first, span.last)):
            raise PolicyError("StudyTime is no time and no range of times", hint=_FORMS)
        return span

    @property
    def text(self) -> str:
        """As C-FIND asks it."""
        return self.first if self.first == self.last else f"{self.first}-{self.last}"

    def holds(self, value: str) -> bool | None:
        """Whether a Study Time lies within, to the second; None: it is no time."""
        if not value.strip() or not _TIME.fullmatch(value.strip()):
            return None
        return self._low <= _seconds(value.strip()) <= self._high

    def halves(self) -> tuple[TimeSpan, TimeSpan] | None:
        """Two spans that hold every moment of this one once; None: it is one second."""
        if self._low >= self._high:
            return None
        return self.cut((self._low + self._high) // 2)

    def cut(self, second: int) -> tuple[TimeSpan, TimeSpan]:
        """What lies until a second of the day, the second included, and what comes after it."""
        return TimeSpan(self.first, f"{_clock(second)}.999999"), TimeSpan(_clock(second + 1), self.last)

    @property
    def _low(self) -> int:
        return _seconds(self.first) if self.first else 0

    @property
    def _high(self) -> int:
        return _seconds(self.last, missing=59) if self.last else _LAST_SECOND


@dataclass(frozen=True)
class Span:
    """When the studies asked for took place."""

    date: DateSpan = DateSpan()
    time: TimeSpan = TimeSpan()

    @classmethod
    def parse(cls, study_date: str, study_time: str) -> Span:
        """Read the values of both keys; empty matches anything.

        Raises:
            PolicyError: one is not understood.
        """
        return cls(DateSpan.parse(study_date), TimeSpan.parse(study_time))

    def halves(self) -> tuple[Span, Span] | None:
        """By date; a single day by time; None: a second cannot be halved."""
        if days := self.date.halves():
            return Span(days[0], self.time), Span(days[1], self.time)
        times = self.time.halves() if self.date.is_one_day else None
        return (Span(self.date, times[0]), Span(self.date, times[1])) if times else None

    def holds(self, study_date: str, study_time: str) -> bool:
        """Whether a study took place then, as far as it says when."""
        return self.date.holds(study_date) is not False and self.time.holds(study_time) is not False

    def parts(self, moments: Sequence[tuple[str, str]]) -> tuple[Span, ...]:
        """Spans that hold every moment of this one once, so that the ``moments`` (Study Date and Time) lie in two of them at least.

        Empty: all of them are one second.
        """
        days = sorted(day for text, _ in moments if (day := _day_or_none(text)))
        if not days:
            return ()
        if days[0] < days[-1]:
            before = max(day for day in days if day < days[-1])
            return tuple(Span(half, self.time) for half in self.date.cut(min(days[len(days) // 2], before)))
        seconds = sorted(_seconds(time) for _, time in moments if _TIME.fullmatch(time))
        if not seconds or seconds[0] == seconds[-1]:
            return ()
        before_second = max(second for second in seconds if second < seconds[-1])
        early, late = self.time.cut(min(seconds[len(seconds) // 2], before_second))
        only = DateSpan(days[0], days[0])
        around = (self.date.cut(days[0] - timedelta(days=1))[0], self.date.cut(days[0])[1])
        return (Span(only, early), Span(only, late), *(Span(one, self.time) for one in around if not one.is_empty))


def _ends(text: str) -> tuple[str, str]:
    low, dash, high = text.strip().partition("-")
    return (low.strip(), high.strip()) if dash else (low, low)


def _day(text: str) -> date | None:
    if not text:
        return None
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return date(*map(int, found.groups()))


def _day_or_none(text: str) -> date | None:
    try:
        return _day(text.strip())
    except ValueError:
        return None


def _written(day: date | None) -> str:
    return "" if day is None else f"{day:%Y%m%d}" if day.year > 999 else f"{day.year:04}{day:%m%d}"


def _seconds(text: str, *, missing: int = 0) -> int:
    """Whole seconds since midnight; ``missing``: what minutes and seconds that are not written count as."""
    found = _TIME.fullmatch(text)
    hours, minutes, seconds = (None, None, None) if found is None else found.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes or missing) + int(seconds or missing)


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}{seconds // 60 % 60:02}{seconds % 60:02}"
