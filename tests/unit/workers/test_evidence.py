"""The evidence of an attempt: whole, stable, and without a place or a name."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from common.media import Description, Kind, VideoStream
from common.orders import Finding, Plan, Pooled, TranscodeDone, TranscodeOrder, Verdict
from common.orders import Path as Way
from common.recipes import ARCHIVE
from workers.evidence import evidence

VIDEO = VideoStream(
    codec="h264", width=64, height=64, pixel_format="yuv420p", frame_rate=Fraction(25), frame_count=3, duration_ms=120
)
ORDER = TranscodeOrder(
    order_id="o",
    item_id="i",
    attempt=1,
    source_key="sources/DOE-JANE",
    description=Description(kind=Kind.VIDEO, digest="d" * 64, size_bytes=9, container="mp4", video=VIDEO),
    plan=Plan(
        path=Way.ENCODE,
        reason="it is odd",
        sop_class_uid="1.2",
        transfer_syntax_uid="1.3",
        recipe=ARCHIVE.ladder[0],
        gate=ARCHIVE.gate,
    ),
    output_prefix="results/x",
    sop_instance_uid="2.25.1",
)
POOLED = Pooled(mean=97, harmonic_mean=97, min=90, p1=91, p5=92, worst_second=92)


def made(pooled: Pooled = POOLED) -> bytes:
    done = TranscodeDone(
        instance_digest="e" * 64,
        instance_bytes=7,
        video_bytes=5,
        output_frames=3,
        scores={"vmaf": pooled},
        verdict=Verdict(passed=False, misses=("vmaf mean 97.0000 < 99",)),
        findings=(Finding(severity="error", rule="h264.level", clause="8.2.7", found="5", required="4.1"),),
    )
    scores = {"vmaf": np.array([97, 90, 99], np.float32)}
    return evidence(ORDER, done, scores=scores, tools={"ffmpeg": "9"}, argv=("ffmpeg", "<file>"), complaints="a slice")


def test_everything_that_led_to_the_verdict_is_on_record() -> None:
    record = json.loads(made())
    assert record["source"]["digest_sha256"] == "d" * 64
    assert record["output"]["digest_sha256"] == "e" * 64
    assert record["plan"]["reason"] == "it is odd"
    assert record["plan"]["recipe"]["crf"] == ARCHIVE.ladder[0].crf
    assert len(record["plan"]["gate"]["thresholds"]) == len(ARCHIVE.gate.thresholds)
    assert record["verdict"] == {"passed": False, "misses": ["vmaf mean 97.0000 < 99"]}
    assert record["scores"]["vmaf"]["p1"] == 91
    assert record["worst_frames"] == {"vmaf": [1, 0, 2]}
    assert record["findings"][0]["rule"] == "h264.level"
    assert (record["tools"], record["command"]) == ({"ffmpeg": "9"}, ["ffmpeg", "<file>"])
    assert record["decoder_messages"] == "a slice"


def test_the_same_attempt_gives_the_same_bytes() -> None:
    assert made() == made()


def test_where_the_source_lay_is_not_told() -> None:
    assert b"DOE" not in made()


def test_a_score_that_is_no_number_is_never_written_down() -> None:
    with pytest.raises(ValueError, match="JSON"):
        made(POOLED.model_copy(update={"mean": float("nan")}))
