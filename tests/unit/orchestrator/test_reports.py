"""Reports over a real ledger that holds items in every state, with names that try to break out."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import Session

from common.dicom.sop_classes import VIDEO_ENDOSCOPIC
from common.errors import MissingMetadata, UnreadableSource
from common.orders import Failure, Finding, Plan, Pooled, TranscodeDone, Verdict
from common.orders import Path as Way
from common.stages import State
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Attempt, Delivery, Item
from orchestrator.reports import model, words
from orchestrator.reports.csvfile import COLUMNS
from orchestrator.reports.html import write_csv, write_html
from orchestrator.reports.jsonlines import item_line, line, summary_line
from orchestrator.reports.model import items, job_report
from orchestrator.reports.values import PROBLEMS

HOSTILE = '<script>alert("x")</script>&"\'.mp4'
FORMULA = "=cmd|' /C calc'!A0"
EVIDENCE = "results/aa/digest/work/evidence.json"
PLAN = Plan(
    path=Way.ENCODE,
    reason="MPEG-4 Part 2 is no DICOM video",
    sop_class_uid=VIDEO_ENDOSCOPIC,
    transfer_syntax_uid="1.2.840.10008.1.2.4.102",
    estimated_seconds=10,
    estimated_bytes=100,
)
SCORES = {
    metric: Pooled(mean=mean, harmonic_mean=mean, min=mean / 4, p1=mean / 2, p5=mean, worst_second=mean)
    for metric, mean in (("psnr_y", 45.0), ("ssim", 0.99), ("vmaf", 96.0))
}


def made(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "instance_key": "results/aa/instance.dcm",
        "instance_digest": "ab" * 32,
        "instance_bytes": 250,
        "evidence_keys": (EVIDENCE,),
        "sop_instance_uid": "2.25.1",
        "sop_class_uid": VIDEO_ENDOSCOPIC,
        "transfer_syntax_uid": "1.2.840.10008.1.2.4.102.1",
        "scores": SCORES,
    }
    return TranscodeDone(**(values | changes)).model_dump(mode="json")


def failure(error: Exception) -> dict[str, Any]:
    assert isinstance(error, (UnreadableSource, MissingMetadata))
    return Failure.of(error).model_dump(mode="json")


FINDING = Finding(
    severity="error",
    rule="h264.level",
    clause="PS3.5 8.2.7",
    found="level 5.1",
    required="at most 4.1",
    remedy="Encode.",
)
PLANNED = {"plan": PLAN.model_dump(mode="json"), "reason": PLAN.reason}
ROWS: dict[State, dict[str, Any]] = {
    State.FOUND: {"name": FORMULA},
    State.DESCRIBED: {"name": "-b.mp4"},
    State.PLANNED: PLANNED,
    State.QUEUED: PLANNED,
    State.RUNNING: PLANNED,
    State.PRODUCED: PLANNED | {"result": made()},
    State.DELIVERED: PLANNED | {"result": made()},
    State.COMMITTED: PLANNED | {"result": made()},
    State.DONE: PLANNED | {"result": made(), "name": HOSTILE, "work_seconds": 2.5},
    State.SKIPPED: {"reason": "the same bytes as a.mp4"},
    State.QUARANTINED: PLANNED
    | {
        "result": made(verdict=Verdict(passed=False, misses=("ssim mean 0.9000 < 0.97",)), instance_bytes=0),
        "reason": "gate not met: ssim mean 0.9000 < 0.97",
    },
    State.FAILED: {"reason": "no <b>row</b>", "failure": failure(MissingMetadata("no <b>row</b>"))},
    State.CANCELLED: {},
}


@pytest.fixture
def session(ledger: Sessions, job: str) -> Iterator[Session]:
    """A job with one item in each state; the done one was tried twice and lies at two destinations."""
    with ledger.begin() as opened:
        for number, (state, fields) in enumerate(ROWS.items(), 1):
            values = {"name": f"{state.value}.mp4", "size_bytes": 1000, "mtime_ns": 0, "source": f"/secret/{number}"}
            opened.add(Item(id=state.value, job_id=job, number=number, state=state, **(values | fields)))
        opened.flush()
        for place in ("/out", "dicom://PACS@pacs:104"):
            proven = {"state": "delivered", "location": f"at {place}", "proof": "sha256"}
            opened.add(Delivery(item_id="done", job_id=job, destination=place, **proven))
        for name in ("a", "b"):
            opened.add(Attempt(order_id=name, item_id="done", kind="transcode", queue="cpu", number=1, order={}))
    with ledger.begin() as opened:
        yield opened


def one(session: Session, state: State) -> model.ItemReport:
    return next(items(session, "job", {state}))


def test_every_state_is_counted_in_the_order_of_a_videos_way(session: Session) -> None:
    report = job_report(session, "job")
    assert report.counts == dict.fromkeys(State, 1)
    assert list(report.counts) == list(State)
    assert (report.items, report.problems, report.unfinished) == (13, 3, 8)


def test_bytes_before_and_after_are_those_of_the_done_items(session: Session) -> None:
    report = job_report(session, "job")
    assert (report.bytes_total, report.bytes_before, report.bytes_after, report.ratio) == (13_000, 1000, 250, 4.0)
    assert {path: total.items for path, total in report.paths.items()} == {Way.ENCODE: 1}
    assert report.work_seconds == 2.5
    assert (report.estimated_seconds, report.estimated_bytes) == (80.0, 800)


def test_sizes_beyond_32_bits_are_summed_exactly(ledger: Sessions, job: str) -> None:
    with ledger.begin() as session:
        for number in (1, 2):
            values = {"name": "a", "mtime_ns": 0, "state": State.DONE, "size_bytes": 2**40}
            big = PLAN.model_copy(update={"estimated_bytes": 2**33}).model_dump(mode="json")
            result = made(instance_bytes=2**33 + 1)
            session.add(
                Item(id=f"i{number}", job_id=job, number=number, source=str(number), plan=big, result=result, **values)
            )
    with ledger.begin() as session:
        report = job_report(session, job)
    assert (report.bytes_before, report.bytes_after, report.estimated_bytes) == (2**41, 2**34 + 2, 2**34)


def test_a_job_without_items_has_a_report(ledger: Sessions, job: str, tmp_path: Path) -> None:
    with ledger.begin() as session:
        report = job_report(session, job)
        write_html(session, job, tmp_path / "report.html")
    assert (report.items, report.counts, report.ratio) == (0, {}, None)
    assert "No video was found." in (tmp_path / "report.html").read_text()


def test_an_unknown_job_is_an_error(ledger: Sessions) -> None:
    with ledger.begin() as session, pytest.raises(NoResultFound):
        job_report(session, "nobody")


def test_an_item_tells_its_tries_scores_result_and_destinations(session: Session) -> None:
    item = one(session, State.DONE)
    assert (item.attempts, item.seconds, item.ratio, item.passed) == (2, 2.5, 4.0, True)
    assert item.sop_class == "Video Endoscopic Image Storage"
    assert item.transfer_syntax.startswith("Fragmentable")
    assert [(d.destination, d.proof) for d in item.deliveries] == [
        ("/out", "sha256"),
        ("dicom://PACS@pacs:104", "sha256"),
    ]
    assert words.score(item, "vmaf", "p1") == 48.0
    assert words.score(item, "psnr_cb", "mean") is None


def test_what_was_not_measured_has_no_verdict_and_what_could_not_be_measured_has_missed(
    ledger: Sessions, add_item: Any
) -> None:
    add_item(state=State.DONE, result=made(scores={}))
    add_item(state=State.QUARANTINED, result=made(scores={}, verdict=Verdict(passed=False, misses=("not measured",))))
    with ledger.begin() as session:
        seen = list(items(session, "job"))
    assert [item.passed for item in seen] == [None, False]
    assert [words.verdict(item) for item in seen] == ["video bits unchanged", "missed"]


def test_each_problem_says_what_to_do_next(session: Session) -> None:
    steps = {item.state: item.next_step for item in items(session, "job")}
    assert "--map" in steps[State.FAILED]
    assert EVIDENCE in steps[State.QUARANTINED]
    assert "again later" in steps[State.DELIVERED]
    assert {state for state, step in steps.items() if step} == PROBLEMS | {State.DELIVERED}


def test_a_finding_that_quarantines_gives_its_remedy(ledger: Sessions, add_item: Any) -> None:
    add_item(state=State.QUARANTINED, result=made(findings=(FINDING,)))
    with ledger.begin() as session:
        assert one(session, State.QUARANTINED).next_step == "Encode."


def test_items_come_in_the_order_of_finding_across_batches(
    ledger: Sessions, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "BATCH", 3)
    with ledger.begin() as session:
        for number in (5, 3, 8, 1, 7, 2, 6, 4):
            fields = {"name": str(number), "source": str(number), "size_bytes": 1, "mtime_ns": 0}
            session.add(Item(id=str(number), job_id=job, number=number, **fields))
        session.flush()
        session.add_all(Delivery(item_id=str(number), job_id=job, destination=f"to {number}") for number in range(1, 9))
    with ledger.begin() as session:
        seen = list(items(session, job))
    assert [item.number for item in seen] == list(range(1, 9))
    assert [item.deliveries[0].destination for item in seen] == [f"to {number}" for number in range(1, 9)]


VOID = {"meta", "br", "input"}


class Outline(HTMLParser):
    """Walks a page and notes what is not balanced, what it would load, and the text outside scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text += data


def outline(text: str) -> Outline:
    page = Outline()
    page.feed(text)
    page.close()
    assert page.open == []
    return page


@pytest.fixture
def page(session: Session, tmp_path: Path) -> str:
    write_html(session, "job", tmp_path / "new" / "report.html")
    return (tmp_path / "new" / "report.html").read_text(encoding="utf-8")


def test_the_page_is_balanced_and_names_every_item(page: str) -> None:
    read = outline(page)
    for state, fields in ROWS.items():
        assert fields.get("name", f"{state.value}.mp4") in read.text
    assert read.tags.count("h1") == 1
    assert ("lang", "en") in read.attributes


def test_a_hostile_name_is_text_and_no_markup(page: str) -> None:
    assert outline(page).tags.count("script") == 1
    assert "<script>alert" not in page
    assert "<b>row</b>" not in page


def test_the_page_loads_nothing(page: str) -> None:
    read = outline(page)
    assert not {"img", "link", "iframe", "object", "form", "base"} & set(read.tags)
    assert not {"src", "srcset", "action", "style"} & {name for name, _ in read.attributes}
    assert all(value.startswith(("#", "data:image/jpeg;base64,")) for name, value in read.attributes if name == "href")
    assert not re.search(r"https?:|url\(|@import", page)


def test_the_page_lets_only_its_own_script_run(page: str) -> None:
    policy = next(value for name, value in outline(page).attributes if name == "content" and value and "src" in value)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert len(re.findall(r"-src 'sha256-[A-Za-z0-9+/]{43}='", policy)) == 2


def test_problems_come_before_the_table_with_reason_and_next_step(page: str) -> None:
    before, _, after = outline(page).text.partition("Items in full")
    assert "gate not met: ssim mean 0.9000 < 0.97" in before
    assert "Add a row for this file to the CSV" in before
    assert "skipped.mp4" in after


def test_the_page_shows_no_absolute_source_path(page: str) -> None:
    assert "/secret" not in page


def test_all_table_rows_have_a_cell_for_each_column(page: str) -> None:
    head, _, body = page.partition('<table id="items">')[2].partition("<tbody>")
    columns = len(re.findall(r'<th scope="col"', head))
    rows = re.findall(r"<tr data-state.*?</tr>", body, re.DOTALL)
    assert len(rows) == 13
    assert {len(re.findall(r"<t[dh][ >]", row)) for row in rows} == {columns}


def test_a_page_that_fails_half_way_leaves_the_old_one(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    session.get_one(Item, "done").plan = {"path": "nonsense"}
    session.flush()
    session.expire_all()
    with pytest.raises(ValueError, match="validation error"):
        write_html(session, "job", path)
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.glob("*report*")] == ["report.html"]


def test_a_name_that_is_no_unicode_does_not_cost_the_report(ledger: Sessions, add_item: Any, tmp_path: Path) -> None:
    add_item(name="a\x1b[31m\u202e.mp4")
    with ledger.begin() as session:
        write_html(session, "job", tmp_path / "report.html")
        write_csv(session, "job", tmp_path / "report.csv")
    assert "\u202e.mp4" in (tmp_path / "report.html").read_text()


def test_the_csv_has_a_line_for_each_item_and_no_formula(session: Session, tmp_path: Path) -> None:
    write_csv(session, "job", tmp_path / "report.csv")
    with (tmp_path / "report.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == list(COLUMNS)
    assert len(rows) == 13
    assert rows[0]["file"] == f"'{FORMULA}"
    assert rows[1]["file"] == "'-b.mp4"
    assert not [cell for row in rows for cell in row.values() if cell and cell[0] in "=+-@\t\r"]
    done = next(row for row in rows if row["state"] == "done")
    assert (done["bytes_before"], done["bytes_after"], done["ratio"], done["vmaf_p1"]) == ("1000", "250", "4.0", "48.0")
    assert done["file"] == HOSTILE


def test_an_item_line_is_one_line_of_json_with_the_documented_keys(session: Session) -> None:
    lines = [item_line(item) for item in items(session, "job")]
    assert not [text for text in lines if "\n" in text]
    read = [json.loads(text) for text in lines]
    assert len({tuple(value) for value in read}) == 1
    assert {value["type"] for value in read} == {"item"}
    done = next(value for value in read if value["state"] == "done")
    assert (done["name"], done["path"]) == (HOSTILE, "encode")
    assert done["deliveries"][0] == {
        "destination": "/out", "state": "delivered", "location": "at /out", "proof": "sha256", "failure": None,
    }  # fmt: skip
    assert "/secret" not in "".join(lines)


def test_the_summary_line_agrees_with_the_items(session: Session) -> None:
    value = json.loads(summary_line(job_report(session, "job")))
    assert value["type"] == "summary"
    assert value["counts"] == {state.value: 1 for state in State}
    assert value["paths"]["encode"] == {"items": 1, "bytes_before": 1000, "bytes_after": 250}


def test_every_documented_key_is_printed_and_every_printed_key_documented(session: Session) -> None:
    text = (Path(__file__).parents[3] / "docs" / "json.md").read_text(encoding="utf-8")
    for heading, printed in (
        ("item", item_line(one(session, State.DONE))),
        ("summary", summary_line(job_report(session, "job"))),
    ):
        table = text.split(f"## type: {heading}")[1].split("|---|", 1)[1].split("\n\n")[0]
        documented = re.findall(r"^\| `(\w+)`", table, re.MULTILINE)
        assert documented == list(json.loads(printed))


def test_json_never_holds_a_nan() -> None:
    assert line({"a": math.nan, "b": [math.inf], "c": {"d": 1.5}}) == '{"a":null,"b":[null],"c":{"d":1.5}}'


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "–"), (0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1_250_000, "1.25 MB"), (999_600, "1 MB"), (2**40, "1.1 TB"),
     (5e15, "5000 TB")],
)  # fmt: skip
def test_sizes_are_written_for_people(count: float | None, text: str) -> None:
    assert words.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (18_420, "5 h 07 min")]
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text
