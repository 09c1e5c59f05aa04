"""What a migration would do, item by item and in sum, without a farm."""

from __future__ import annotations

import gc
import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from support.descriptions import clip, video

from common.errors import NotVideo, UnreadableSource
from common.media import Description
from common.orders import Failure
from common.orders import Path as Way
from common.recipes import ARCHIVE, Audio
from common.stages import State
from orchestrator.acceptance import Acceptance, Destinations
from orchestrator.cli import plan_display
from orchestrator.describing import Outcome
from orchestrator.estimates import Line
from orchestrator.forecast import MAX_STEPS, Prospect, Question, Totals, forecast
from orchestrator.ingest.folder import Found
from orchestrator.ingest.mapping import Mapping
from orchestrator.jobs import JobRequest
from orchestrator.reports import planlines
from orchestrator.reports.planlines import Estimate

LEGAL = clip()
ILLEGAL = clip(video(codec="mpeg4", profile=None, level_idc=None))


def found(name: str) -> Found:
    return Found(Path("/in") / name, 2_000_000, 0, name)


@pytest.fixture
def mapping(tmp_path: Path) -> Mapping:
    path = tmp_path / "map.csv"
    path.write_text("file,PatientID,Modality\n*.mp4,P-1,ES\n")
    return Mapping.load(path)


def ask(mapping: Mapping | None, *outcomes: Outcome, names: str = "v{}.mp4") -> list[Prospect]:
    described = ((found(names.format(number)), outcome) for number, outcome in enumerate(outcomes))
    return list(forecast(described, Question(ARCHIVE, Destinations(), Audio.STRIP, mapping)))


def test_a_legal_clip_is_planned_as_the_farm_would_plan_it(mapping: Mapping) -> None:
    (item,) = ask(mapping, LEGAL)
    assert (item.state, item.plan.path, item.number) == (State.PLANNED, Way.REWRAP, 1)
    assert item.reason == item.plan.reason


def test_a_plain_clip_that_no_row_describes_fails_with_the_line_to_add(mapping: Mapping) -> None:
    (item,) = ask(mapping, LEGAL, names="v{}.mov")
    assert (item.state, item.failure.code) == (State.FAILED, "MissingMetadata")
    assert "file,PatientID" in item.failure.hint


def test_what_is_no_video_is_skipped_and_what_cannot_be_read_fails(mapping: Mapping) -> None:
    text, broken = ask(
        mapping, Failure.of(NotVideo("text, no video")), Failure.of(UnreadableSource("the file is empty"))
    )
    assert (text.state, text.reason, text.failure) == (State.SKIPPED, "text, no video", None)
    assert (broken.state, broken.reason) == (State.FAILED, "the file is empty")


def test_the_same_bytes_are_migrated_once(mapping: Mapping) -> None:
    first, second = ask(mapping, LEGAL, LEGAL)
    assert (first.state, second.state, second.reason) == (State.PLANNED, State.SKIPPED, "the same bytes as v0.mp4")


def test_without_digests_nothing_is_taken_for_equal(mapping: Mapping) -> None:
    quick = LEGAL.model_copy(update={"digest": ""})
    assert [item.state for item in ask(mapping, quick, quick)] == [State.PLANNED] * 2


def totals(mapping: Mapping) -> Totals:
    sums = Totals()
    outcomes = (
        LEGAL,
        ILLEGAL.model_copy(update={"digest": "1" * 64}),
        Failure.of(UnreadableSource("the file is empty")),
    )
    for item in ask(mapping, *outcomes):
        sums.add(item)
    return sums


def test_the_sums_are_by_path_target_and_queue(mapping: Mapping) -> None:
    sums = totals(mapping)
    assert {path: part.items for path, part in sums.paths.items()} == {Way.REWRAP: 1, Way.ENCODE: 1}
    assert sums.targets[".102"].items == sums.queues["cpu"].items == sums.whole.items == 2
    assert sums.whole.bytes_in == 4_000_000
    assert sums.whole.bytes_out == sum(part.bytes_out for part in sums.paths.values())
    assert sums.bytes_total == 6_000_000
    assert sums.rules == {"source.plain": 1, "stream.codec": 1}
    assert sums.counts == {State.PLANNED: 2, State.FAILED: 1}


def test_the_json_summary_has_the_keys_of_a_jobs_summary_and_the_estimate(mapping: Mapping) -> None:
    estimate = Estimate(totals(mapping), slots=2, line=Line(1_000_000))
    summary = json.loads(planlines.summary_line(estimate, JobRequest(("/in",), ("/out",), ARCHIVE)))
    assert (summary["type"], summary["items"], summary["problems"]) == ("summary", 3, 1)
    assert summary["estimate"]["queues"]["cpu"]["least_seconds"] <= summary["estimate"]["queues"]["cpu"]["most_seconds"]
    assert summary["estimate"]["bytes_out"] == summary["estimated_bytes"]
    assert summary["estimate"]["transfer_seconds"] > summary["estimated_bytes"] / 1_000_000


def test_the_json_item_has_the_rules_that_closed_the_cheaper_paths(mapping: Mapping) -> None:
    item = json.loads(planlines.item_line(ask(mapping, ILLEGAL)[0]))
    assert (item["state"], item["path"]) == ("planned", "encode")
    assert [forced["rule"] for forced in item["plan"]["forced_by"]] == ["source.plain", "stream.codec"]


def shown(mapping: Mapping, *outcomes: Description) -> str:
    console = Console(file=io.StringIO(), width=200, color_system=None)
    sums = Totals()
    for item in ask(mapping, *outcomes):
        sums.add(item)
        plan_display.show_item(item, console=console)
    plan_display.show_totals(Estimate(sums, 3, Line(12_500_000)), 2, {"hidden": 4}, console=console)
    return console.file.getvalue()


def test_people_see_path_target_sizes_reason_and_what_it_costs(mapping: Mapping) -> None:
    text = shown(mapping, LEGAL, ILLEGAL.model_copy(update={"digest": "1" * 64}))
    for word in ("rewrap", "encode", ".102", "v0.mp4", "is not carried over", "2 MB", "with 3 at a time", "Mbit/s"):
        assert word in text
    assert "4 × hidden" in text
    assert "2 destination(s)" in text
    assert "Nothing was moved" in text


def test_the_number_of_parts_is_shown(mapping: Mapping) -> None:
    console = Console(file=io.StringIO(), width=200, color_system=None)
    question = Question(ARCHIVE, Destinations((Acceptance(fragmentable=False),)), mapping=mapping)
    (item,) = forecast([(found("a.mp4"), clip(size_bytes=20 * 10**9))], question)
    plan_display.show_item(item, console=console)
    assert ".102 ×5" in console.file.getvalue()


def outcomes(count: int) -> Iterator[tuple[Found, Outcome]]:
    for number in range(count):
        described = ILLEGAL.model_copy(update={"digest": f"{number:064x}"})
        outcome = Failure.of(UnreadableSource(f"odd {number}", hint=f"advice {number}")) if number % 2 else described
        yield found(f"v{number}.mp4"), outcome


def held(mapping: Mapping, count: int) -> int:
    """Bytes held after so many items."""
    tracemalloc.start()
    sums = Totals()
    question = Question(ARCHIVE, Destinations(), mapping=mapping)
    for number, item in enumerate(forecast(outcomes(count), question), 1):
        sums.add(item)
        if number == count:  # while all is still open
            gc.collect()
            size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert sums.counts.total() == count
    assert len(sums.steps) <= MAX_STEPS
    return size


def test_memory_does_not_follow_the_number_of_items(mapping: Mapping) -> None:
    held(mapping, 50)
    few, many = held(mapping, 200), held(mapping, 1200)
    assert many - few < 1000 * 50  # bytes: fifty an item would be 50 MB for a million
