"""A folder full of trouble and one good clip: the clip is done, everything else is named with a true reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.desk import Desk

pytestmark = pytest.mark.farm

WITHOUT_ROOTS_POWERS = (
    "setpriv",
    "--bounding-set",
    "-dac_override,-dac_read_search",
    "--inh-caps",
    "-dac_override,-dac_read_search",
)


@pytest.fixture
def troubled(desk: Desk) -> Desk:
    whole = desk.ultrasound("whole.dcm").read_bytes()
    desk.file("whole.dcm").unlink()
    desk.file("truncated.dcm").write_bytes(whole[: len(whole) * 2 // 3])
    desk.file("text.dcm").write_text("this is a letter, not an image\n" * 50)
    desk.file("empty.mp4").write_bytes(b"")
    clip = desk.camera("good.mp4", seconds=2).read_bytes()
    desk.file("half.mp4").write_bytes(clip[: len(clip) // 2])
    desk.camera("locked.mp4", seed=30).chmod(0)
    return desk


@pytest.mark.peer("setpriv")
def test_the_good_clip_is_done_and_every_other_is_named_with_a_true_reason(troubled: Desk) -> None:
    run = troubled.migrate("--map", str(troubled.mapping()), wrapper=WITHOUT_ROOTS_POWERS)
    codes = {name: (item["state"], (item["failure"] or {}).get("code")) for name, item in run.items.items()}
    assert codes == {
        "good.mp4": ("done", None),
        "truncated.dcm": ("failed", "TruncatedSource"),
        "text.dcm": ("failed", "UnreadableSource"),
        "empty.mp4": ("failed", "UnreadableSource"),
        "half.mp4": ("failed", "TruncatedSource"),
        "locked.mp4": ("failed", "UnreadableSource"),
    }
    assert run.code == 1
    assert "no read permission" in run.items["locked.mp4"]["failure"]["message"]
    assert "empty" in run.items["empty.mp4"]["failure"]["message"]
    assert all(item["failure"]["hint"] for item in run.items.values() if item["state"] == "failed")
    for name in codes:
        assert name in run.stderr or name == "good.mp4"


@pytest.mark.peer("setpriv")
def test_nothing_half_written_stays_and_no_worker_is_lost(troubled: Desk) -> None:
    troubled.migrate("--map", str(troubled.mapping()), wrapper=WITHOUT_ROOTS_POWERS)
    assert len(troubled.results()) == 1
    assert troubled.leftovers() == []
    log = (troubled.state / "logs" / "orchestrator.jsonl").read_text()
    assert "child_restarted" not in log
    assert "attempt_lost" not in log


@pytest.mark.peer("setpriv")
def test_mended_sources_are_done_on_the_next_run(troubled: Desk) -> None:
    troubled.migrate("--map", str(troubled.mapping()), wrapper=WITHOUT_ROOTS_POWERS)
    (troubled.sources / "locked.mp4").chmod(0o644)
    shutil.copyfile(troubled.ultrasound("copy.dcm"), troubled.sources / "truncated.dcm")
    Path(troubled.sources, "copy.dcm").unlink()
    run = troubled.migrate("--map", str(troubled.mapping()))
    assert run.items["locked.mp4"]["state"] == "done"
    assert run.items["truncated.dcm"]["state"] == "done"
    assert run.items["half.mp4"]["state"] == "failed"


def test_no_source_name_and_no_patient_reaches_the_logs(desk: Desk) -> None:
    desk.camera("Doe_Jane_19700101.mp4")
    desk.file("Secret^Name.dcm").write_text("junk")
    desk.migrate("--map", str(desk.mapping("**/*,PID-77,Doe^Jane,20240229,ES")))
    logs = "".join(path.read_text(errors="replace") for path in (desk.state / "logs").iterdir())
    for secret in ("Doe", "Jane", "PID-77", "Secret"):
        assert secret not in logs
