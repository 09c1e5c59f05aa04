"""``cinefarm listen --rules``: what a modality sends is converted and delivered by rule, and its bytes are kept until then."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
from support.desk import Desk
from support.modality import eventually, storescu

pytestmark = pytest.mark.farm

RULES = """
[[rule]]
name = "ultrasound"
calling = "US?"
classes = ["ultrasound*"]
hold_seconds = 0.5
destinations = ["out"]
"""


@pytest.mark.peer("storescu")
def test_what_a_modality_sends_is_a_video_at_the_destination(desk: Desk) -> None:
    loop = desk.ultrasound("loop.dcm")
    desk.folder.joinpath("listen.toml").write_text(RULES)
    words = ["listen", "--rules", "listen.toml", "--port", "0", "--workers", "1", "--state", str(desk.state)]
    argv = [str(Path(sys.executable).with_name("cinefarm")), *words, "--log-file", str(desk.folder / "log")]
    process = subprocess.Popen(argv, cwd=desk.folder, stderr=subprocess.PIPE, text=True)
    desk.running.append(process)
    assert process.stderr is not None
    found = re.match(r"listening on port (\d+) as CINEFARM", process.stderr.readline())
    assert found is not None
    sent = storescu(int(found[1]), loop, calling="US1", more=("-xy",))
    assert sent.returncode == 0, sent.stderr
    eventually(desk.results, seconds=120)
    made = pydicom.dcmread(desk.results()[0], stop_before_pixels=True)
    assert made.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.102"
    assert made.PatientID == pydicom.dcmread(loop, stop_before_pixels=True).PatientID
    assert list((desk.state / "objects" / "arrivals").rglob("*.dcm"))
    process.terminate()
    assert process.wait(timeout=60) == 0
