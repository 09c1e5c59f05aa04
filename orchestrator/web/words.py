"""How the page writes times, sizes and states. Pure; what reports write in the same way comes from their words."""

from __future__ import annotations

from datetime import datetime

from markupsafe import Markup

from common.stages import State
from orchestrator.eta import Span
from orchestrator.reports.words import duration, size
from orchestrator.status import JobState

__all__ = ["clock", "count", "duration", "percent", "size", "span", "tone", "when"]

_TONES: dict[str, str] = {
    State.DONE: "good",
    State.QUARANTINED: "bad",
    State.FAILED: "bad",
    State.CANCELLED: "warn",
    State.SKIPPED: "warn",
    JobState.ENDED: "good",
    JobState.REFUSED: "bad",
    JobState.PAUSED: "warn",
}

_WHOLE_DAY = 24 * 3600.0


def when(moment: datetime | None) -> Markup:
    """A moment, written in UTC; the page's script writes it in the viewer's own zone. An en dash for None."""
    if moment is None:
        return Markup("–")
    return Markup('<time datetime="{}">{} UTC</time>').format(
        moment.isoformat(timespec="milliseconds"), moment.strftime("%Y-%m-%d %H:%M")
    )


def count(number: float) -> str:
    """A whole number, its thousands apart by a narrow no-break space (ISO 80000-1)."""
    return f"{round(number):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def percent(part: float, whole: float) -> str:
    """A share; one that is not quite all never reads 100 %, one that is not quite nothing never 0 %."""
    if whole <= 0:
        return "–"
    share = 100 * part / whole
    if 0 < share < 1:
        return "< 1 %"
    if 99 < share < 100:
        return "99 %"
    return f"{share:.0f} %"


def clock(seconds: float) -> str:
    """A time of which nobody needs the seconds: ``40 s``, ``12 min``, ``3.5 h``, ``4 days``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    if seconds < 2 * _WHOLE_DAY:
        return f"{seconds / 3600:.1f} h".replace(".0 h", " h")
    return f"{round(seconds / _WHOLE_DAY)} days"


def span(known: Span | None) -> str:
    """A range of time in words; both ends that read alike are one."""
    if known is None:
        return "not known yet"
    low, high = clock(known.low), clock(known.high)
    if low == high:
        return f"about {low}"
    number, unit = low.split(" ", 1)
    return f"{number if high.endswith(unit) else low} to {high}"


def tone(state: State | JobState | str) -> str:
    """In which colour a state is shown; words say it too, for those who see no colours."""
    return _TONES.get(str(state), "calm")
