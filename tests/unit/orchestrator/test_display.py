"""What people see: on a terminal, in a log, and when a file's name tries to speak to the terminal."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from common.errors import BadMapping, UnreadableSource
from common.media import AudioStream, Description, DicomFacts
from common.orders import Finding
from common.stages import State
from orchestrator.cli import display, findings, scores
from orchestrator.cli.doctor import Check
from orchestrator.cli.facts import facts
from orchestrator.cli.live import LOG_SECONDS, LiveDisplay
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import now
from orchestrator.reports.model import items
from orchestrator.reports.values import ItemReport, JobReport
from orchestrator.status import Progress, Running

HOSTILE = "[red]x[/red]\x1b]0;owned\x07\n.mp4"
SHOWN = "[red]x[/red]\N{REPLACEMENT CHARACTER}]0;owned\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}.mp4"


def page(*, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None, highlight=False)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def progress(done: int, running: tuple[Running, ...] = ()) -> Progress:
    counts = {State.DONE: done, State.FOUND: 10 - done}
    return Progress(counts=counts, running=running, bytes_total=10_000, bytes_done=done * 1000)


def test_a_log_gets_a_line_only_when_something_changed() -> None:
    console, clock = page(), Clock()
    with LiveDisplay(console=console, clock=clock) as live:
        for _ in range(5):
            live.update(progress(1))
            clock.now += LOG_SECONDS * 2
    assert text(console).splitlines() == ["1 of 10 (1 kB of 10 kB): 9 found, 1 done"]


def test_a_log_gets_at_most_one_line_every_few_seconds() -> None:
    console, clock = page(), Clock()
    with LiveDisplay(console=console, clock=clock) as live:
        for done in range(9):
            live.update(progress(done))
            clock.now += LOG_SECONDS / 4
    assert len(text(console).splitlines()) == 3


def test_quiet_says_nothing_on_a_terminal_and_in_a_log() -> None:
    for terminal in (True, False):
        console = page(terminal=terminal)
        with LiveDisplay(quiet=True, console=console) as live:
            live.update(progress(1))
        assert text(console) == ""


def test_the_time_to_go_follows_from_the_bytes_that_ended_since_the_start() -> None:
    console, clock = page(), Clock()
    with LiveDisplay(console=console, clock=clock) as live:
        live.update(progress(2))
        clock.now += 60
        live.update(progress(4))
    assert text(console).splitlines()[-1].endswith("about 3 min 00 s to go")


def test_a_terminal_shows_each_running_attempt_with_its_share() -> None:
    console = page(terminal=True)
    running = (Running(HOSTILE, "transcode", 0.42, "w1"), Running("b.mp4", "deliver", None, "w2"))
    with LiveDisplay(console=console) as live:
        live.update(progress(3, running))
    shown = text(console)
    assert "3 of 10 videos" in shown
    assert "42%" in shown
    assert SHOWN in shown
    assert "delivering" in shown


def test_an_empty_job_is_shown_too() -> None:
    console = page()
    with LiveDisplay(console=console) as live:
        live.update(Progress(counts={}, running=(), bytes_total=0, bytes_done=0))
    assert "nothing found yet" in text(console)


def report(**changes: Any) -> JobReport:
    values: dict[str, Any] = {
        "job_id": "j", "created_at": now(), "changed_at": now(), "reported_at": now(), "sources": ("/in",),
        "destinations": ("/out",), "profile": "archive", "counts": {State.DONE: 2, State.FAILED: 1}, "paths": {},
        "bytes_total": 3000, "bytes_before": 2000, "bytes_after": 500, "work_seconds": 61, "estimated_seconds": 100,
        "estimated_bytes": 5_000_000,
    }  # fmt: skip
    return JobReport(**(values | changes))


@pytest.fixture
def failed(ledger: Sessions, add_item: Any) -> list[ItemReport]:
    hint = {"code": "MissingMetadata", "actor": "policy", "retryable": False, "message": "no row", "hint": "Add a row."}
    for name in (HOSTILE, "second.mp4"):
        add_item(name=name, state=State.FAILED, reason="no row", failure=hint)
    with ledger.begin() as session:
        return list(items(session, "job"))


def test_the_summary_names_every_problem_and_says_the_same_advice_once(failed: list[ItemReport]) -> None:
    console = page()
    display.show_summary(report(), failed, Path("/out/report.html"), {"hidden": 4}, console=console)
    shown = text(console)
    assert f"failed: {SHOWN}" in shown
    assert "failed: second.mp4" in shown
    assert shown.count("Add a row.") == 1
    for expected in ("2 kB → 500 B (4:1)", "1 min 01 s", "results: /out", "report:  /out/report.html", "4 × hidden"):
        assert expected in shown


def test_a_summary_of_unfinished_work_says_how_to_go_on() -> None:
    console = page()
    display.show_summary(report(counts={State.QUEUED: 1}), [], None, console=console)
    assert "run the same command again" in text(console)


def test_long_paths_stay_on_one_line() -> None:
    console, path = page(), Path("/" + "long/" * 60 + "report.html")
    display.show_summary(report(), [], path, console=console)
    assert str(path) in text(console)


def test_a_description_shows_picture_timing_colour_sound_and_identity(description: Description) -> None:
    sound = AudioStream(codec="aac", sample_rate=48000, channels=2, bit_rate=128_000)
    dicom = DicomFacts(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.1.1", sop_instance_uid="2.25.9", series_uid="2.25.8", study_uid="2.25.7",
        transfer_syntax_uid="1.2.840.10008.1.2.4.102",
    )  # fmt: skip
    value = description.model_copy(update={"audio": (sound,), "dicom": dicom, "notes": ("edit list drops 2 frames",)})
    console = page()
    display.show_description({"file": HOSTILE, **value.model_dump(mode="json")}, console=console)
    shown = text(console)
    for expected in (
        SHOWN, "mpeg4", "640×480", "25 frames/s, 50 frames, 2.00 s, progressive", "range untagged",
        "aac 48000 Hz, 2 channels, 128 kbit/s", "Video Endoscopic Image Storage", "2.25.9", "edit list drops 2 frames",
    ):  # fmt: skip
        assert expected in shown


def test_facts_leave_out_what_does_not_apply(description: Description) -> None:
    said = facts(description)
    assert said["sound"] == "none"
    assert not {"SOP class", "other streams", "note 1"} & set(said)


def test_findings_show_rule_clause_and_remedy() -> None:
    finding = Finding(
        severity="error", rule="h264.level", clause="PS3.5 8.2.7", found="5.1", required="at most 4.1", remedy="Encode."
    )
    console = page()
    findings.show_findings({"file": "a.dcm", "findings": [finding.model_dump(mode="json")]}, console=console)
    shown = text(console)
    assert "a.dcm: 1 finding\n" in shown
    for expected in ("error", "h264.level", "PS3.5 8.2.7", "at most 4.1", "Encode."):
        assert expected in shown


def test_a_clean_file_says_so() -> None:
    console = page()
    findings.show_findings({"file": "a.dcm", "findings": []}, console=console)
    assert text(console) == "a.dcm: no findings\n"


def test_scores_show_every_statistic() -> None:
    console = page()
    pooled = {"mean": 93.5, "harmonic_mean": 93.25, "min": 80.125, "p1": 85.0, "p5": 90.0}
    scores.show_scores({"vmaf": pooled}, console=console)
    for value in pooled.values():
        assert f"{value:.4f}" in text(console)


def test_a_refusal_names_the_file_the_reason_and_the_advice() -> None:
    console = page()
    findings.show_refusal("a.mp4", {"code": "X", "message": "it is empty", "hint": "Copy it again."}, console=console)
    assert text(console) == "a.mp4: it is empty\n  → Copy it again.\n"


def test_an_answer_goes_to_stdout_and_an_error_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    findings.show_findings({"file": "a.dcm", "findings": []})
    display.show_error(UnreadableSource("it is empty", hint="Copy it again."))
    shown = capsys.readouterr()
    assert shown.out == "a.dcm: no findings\n"
    assert shown.err == "error: it is empty\nCopy it again.\n"


def test_an_error_shows_its_message_and_hint_and_nothing_else() -> None:
    console = page()
    display.show_error(UnreadableSource("the file is [bold]empty[/bold]", hint="Copy it again."), console=console)
    assert text(console) == "error: the file is [bold]empty[/bold]\nCopy it again.\n"


def test_an_error_of_many_lines_keeps_its_lines() -> None:
    console = page()
    display.show_error(BadMapping("the mapping has 2 errors:\nline 1\nline 2", hint="Mend them."), console=console)
    assert text(console).splitlines() == ["error: the mapping has 2 errors:", "line 1", "line 2", "Mend them."]


def test_a_failed_check_shows_its_remedy_and_a_good_one_does_not() -> None:
    console = page()
    checks = [Check("FFmpeg", True, "9.0", "Remedy A"), Check("server", False, "none", "Remedy B")]
    display.show_checks(checks, console=console)
    shown = text(console)
    assert "Remedy A" not in shown
    assert "MISSING" in shown
    assert "Remedy B" in shown
