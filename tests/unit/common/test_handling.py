"""The policies of a job: which of them change a video, and what its encoder then gets to see."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from common.handling import AS_IT_IS, Handling, effective, treated, wishes
from common.media import Scan, Steady, VideoStream

ALL = Handling.model_validate(
    {"interlaced": "deinterlace", "rate": "constant", "dynamic_range": "tone-map", "stereo": "top-bottom"}
)


def video(**changes: Any) -> VideoStream:
    facts: dict[str, Any] = {"codec": "h264", "width": 720, "height": 576, "pixel_format": "yuv420p", "frame_rate": 25}
    return VideoStream(**facts | {"frame_count": 100, "duration_ms": 4000.0} | changes)


VARIABLE = {"constant_rate": False, "steady": Steady(rate=Fraction(30), frames=140, hold=2)}


@pytest.mark.parametrize(
    ("facts", "field"),
    [({"scan": "tff"}, "interlaced"), (VARIABLE, "rate"), ({"transfer": "arib-std-b67"}, "dynamic_range")],
)
def test_a_policy_holds_only_where_it_changes_something(facts: dict[str, Any], field: str) -> None:
    kept = effective(ALL, video(frame_packed=True, **facts))
    assert kept == AS_IT_IS.model_copy(update={field: getattr(ALL, field)})
    assert effective(ALL, video(frame_packed=True)) == AS_IT_IS
    assert effective(AS_IT_IS, video(**facts)) == AS_IT_IS


def test_the_encoder_sees_what_the_policies_made() -> None:
    seen = treated(video(scan="bff", transfer="smpte2084", bit_depth=10, matrix="bt2020nc", **VARIABLE), ALL)
    assert (seen.scan, seen.frame_rate, seen.constant_rate, seen.frame_count) == (Scan.PROGRESSIVE, 30, True, 140)
    assert (seen.transfer, seen.matrix, seen.primaries, seen.bit_depth) == ("bt709", "bt709", "bt709", 8)


def test_without_policies_it_sees_the_source() -> None:
    source = video(scan="tff", **VARIABLE)
    assert treated(source, AS_IT_IS) == source


def test_every_policy_gives_its_reason_against_the_bitstream_as_it_is() -> None:
    reasons = {wishes(AS_IT_IS.model_copy(update={field: value})) for field, value in ALL}
    assert len(reasons) == 4
    assert "" not in reasons
    assert wishes(AS_IT_IS) == ""
