"""Does sound lie beside the pictures as it did? From time stamps alone, so also where nothing was decoded. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from common.media import Description

EARLY_MS, LATE_MS = 40.0, 60.0
"""How far sound may come before or after its picture at the end of a chain: EBU R37-2007 (+40 ms, −60 ms, sound early first).
People notice 45 ms early and 125 ms late, and object to 90 and 185 (ITU-R BT.1359-1)."""


WARM_UP_MS = 100.0
"""Sound that a decoder may leave out at its beginning, nothing moved: two packets (WMA's first shows nothing, an MP3's first leans on
one that is not there), 2 × 2048 samples at 44.1 kHz."""


@dataclass(frozen=True)
class Beside:
    """Sound of one file against its pictures, ms: later is above 0."""

    starts: float
    ends: float


@dataclass(frozen=True)
class SoundLook:
    """Source and output; None: no sound, or no time stamps."""

    source: Beside | None
    output: Beside | None
    why_not: str = ""

    @property
    def drift(self) -> Beside | None:
        """How far sound moved against its pictures on the way, at both ends."""
        if self.source is None or self.output is None:
            return None
        return Beside(self.output.starts - self.source.starts, self.output.ends - self.source.ends)

    @property
    def misses(self) -> tuple[str, ...]:
        """What is wrong, in words."""
        if self.drift is None:
            return ()
        starts, ends = self.drift.starts, self.drift.ends
        if starts > LATE_MS and -EARLY_MS <= ends <= LATE_MS:  # its end did not move, so it did not
            return () if starts <= WARM_UP_MS else (f"the first {starts:.0f} ms of the sound are missing",)
        return tuple(
            f"sound comes {abs(moved):.0f} ms {'late' if moved > 0 else 'early'} at the {place} "
            f"(at most {LATE_MS:g} ms late, {EARLY_MS:g} ms early)"
            for place, moved in (("beginning", starts), ("end", ends))
            if not -EARLY_MS <= moved <= LATE_MS
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the source itself has."""
        if self.source is None or -EARLY_MS <= self.source.starts <= LATE_MS:
            return ()
        late = "after" if self.source.starts > 0 else "before"
        return (f"the source's own sound begins {abs(self.source.starts):.0f} ms {late} its pictures",)

    def json(self) -> dict[str, Any]:
        """For the evidence."""
        return {
            "source_ms": _json(self.source),
            "output_ms": _json(self.output),
            "drift_ms": _json(self.drift),
            "limit_ms": {"early": EARLY_MS, "late": LATE_MS},
            "why_not": self.why_not,
        }


def compare_sound(source: Description, output: Description) -> SoundLook:
    """The first sound track of both: no other is carried."""
    if not source.audio:
        return SoundLook(None, None, "the source has no sound")
    if not output.audio:
        return SoundLook(beside(source), None, "sound is not kept")
    before, after = beside(source), beside(output)
    why_not = "" if before and after else "time stamps of the sound are not known"
    return SoundLook(before, after, why_not)


def beside(description: Description) -> Beside | None:
    """Sound against pictures in one file; None: a time is not known."""
    sound = description.audio[0]
    if sound.start_ms is None or sound.duration_ms is None:
        return None
    return Beside(
        round(sound.start_ms, 3), round(sound.start_ms + sound.duration_ms - description.video.duration_ms, 3)
    )


def _json(value: Beside | None) -> dict[str, float] | None:
    return None if value is None else {"starts": round(value.starts, 3), "ends": round(value.ends, 3)}
