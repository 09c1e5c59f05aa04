"""Sound against pictures: from time stamps of source and output."""

from __future__ import annotations

import pytest
from support.descriptions import clip

from common.media import AudioStream, Description
from workers.sync import Beside, compare_sound


def heard(start_ms: float | None, extra_ms: float = 0.0) -> Description:
    """Sound that begins so late and ends so much later than the pictures."""
    plain = clip()
    length = None if start_ms is None else plain.video.duration_ms - start_ms + extra_ms
    sound = AudioStream(codec="aac", sample_rate=48000, channels=2, start_ms=start_ms, duration_ms=length)
    return plain.model_copy(update={"audio": (sound,)})


def test_sound_that_stays_where_it_was_is_no_miss() -> None:
    look = compare_sound(heard(500, 20), heard(501, 41))
    assert look.drift == Beside(1, 21)
    assert look.misses == ()
    assert look.remarks == ("the source's own sound begins 500 ms after its pictures",)


@pytest.mark.parametrize(("moved", "words"), [(-41.0, "41 ms early"), (61.0, "61 ms late")])
def test_sound_that_moved_beyond_the_limits_of_r37_is_a_miss(moved: float, words: str) -> None:
    misses = compare_sound(heard(0), heard(moved, moved)).misses
    assert [miss.partition(" (")[0] for miss in misses] == [
        f"sound comes {words} at the {at}" for at in ("beginning", "end")
    ]


def test_a_decoder_that_warms_up_is_no_miss() -> None:
    assert compare_sound(heard(0), heard(77)).misses == ()


def test_a_missing_beginning_is_a_miss() -> None:
    assert compare_sound(heard(0), heard(400)).misses == ("the first 400 ms of the sound are missing",)


@pytest.mark.parametrize("moved", [-40.0, 60.0])
def test_sound_at_the_limits_is_none(moved: float) -> None:
    assert compare_sound(heard(0), heard(moved)).misses == ()


def test_sound_that_runs_away_is_seen_at_the_end() -> None:
    look = compare_sound(heard(0), heard(0, 300))
    assert look.misses == ("sound comes 300 ms late at the end (at most 60 ms late, 40 ms early)",)


def test_what_is_not_known_is_said() -> None:
    assert compare_sound(clip(), clip()).why_not == "the source has no sound"
    assert compare_sound(heard(0), clip()).why_not == "sound is not kept"
    look = compare_sound(heard(None), heard(0))
    assert (look.drift, look.why_not) == (None, "time stamps of the sound are not known")
