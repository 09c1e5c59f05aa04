"""No word of a patient in what a farm emits: broker, logs, metrics, events, arguments, environments, names of files.

A word that occurs nowhere else stands in every text field of the headers, in private and nested ones, in fields that must be numbers,
in the mapping and in the names of files, good and broken. It has to be in the results, and nowhere else.
"""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.data import get_testdata_file
from support.desk import Desk
from support.office import CINEFARM, Office
from support.planted import WORD, LookOut, looking_out, plant
from support.server import redis_server

from common.leases import connect

pytestmark = [pytest.mark.farm, pytest.mark.timeout(300)]


def sources(desk: Desk) -> None:
    """A loop with the word in every field; plain video; what is broken, so that errors speak of it."""
    loop = Path(str(get_testdata_file("examples_ybr_color.dcm", download=False)))
    assert plant(loop, desk.file(f"{WORD}^Loop 1/{WORD}.dcm")) > 300
    desk.camera(f"{WORD}, Jane *1970.mp4")
    desk.capture(f"{WORD} tape.mpg")
    broken = desk.file(f"{WORD} broken.mp4")
    broken.write_bytes(desk.file(f"{WORD}, Jane *1970.mp4").read_bytes()[:4000])
    header = bytearray(desk.file(f"{WORD}^Loop 1/{WORD}.dcm").read_bytes())
    at = header.find(b"\x28\x00\x08\x00IS")  # NumberOfFrames: its value becomes the word
    assert at > 0
    length = int.from_bytes(header[at + 6 : at + 8], "little")
    value = WORD.encode()
    header[at + 6 : at + 8 + length] = len(value).to_bytes(2, "little") + value
    desk.file(f"{WORD} number.dcm").write_bytes(header)
    desk.file(f"{WORD}.dcm").write_bytes(header[: len(header) // 2])


def fetched(office: Office, path: str) -> bytes:
    where = json.loads((office.desk.state / "api.json").read_text())
    answer = httpx.get(where["url"] + path, headers={"Authorization": f"Bearer {where['token']}"}, timeout=30)
    return answer.raise_for_status().content


def test_no_word_of_a_patient_is_in_anything_that_a_farm_emits(desk: Desk) -> None:
    sources(desk)
    mapping = desk.mapping(rows=f"**/*,{WORD}-1,{WORD}^Jane,20240229,ES")
    with redis_server() as url:
        office = Office(desk, url, "")
        # the watch begins before the services, and the commands that a person types with paths of their own are no part of the farm
        with looking_out(connect(url), (desk.state,)) as lookout:
            try:
                office.serve()
                office.worker("describe", "deliver", "cpu", slots=2)
                job = office.job(map=str(mapping), name="tapes")
                seen = office.wait_for(job, lambda now: now["state"] == "ended", 180)
                for path in (
                    "/metrics",
                    f"/api/v1/jobs/{job}/audit",
                    "/api/v1/workers",
                    "/api/v1/queues",
                    f"/api/v1/jobs/{job}",
                ):
                    lookout.note(path, fetched(office, path))
                assert seen["counts"]["done"] == 3, office.run(
                    "report", job, "--out", str(desk.folder / "r"), "--json"
                ).lines
                assert sum(seen["counts"].get(state, 0) for state in ("failed", "skipped", "quarantined")) == 3, seen
                lookout.note("audit export", audit_lines(office))
            finally:
                office.close()
        for log in (office.log, desk.folder / "services.log", *(desk.state / "logs").glob("*")):
            if log.is_file():
                lookout.note("log", log.read_bytes())
    assert lookout.found() == []
    assert_it_watched(lookout)
    assert any(WORD in str(pydicom.dcmread(path, stop_before_pixels=True).PatientName) for path in desk.results())


def audit_lines(office: Office) -> bytes:
    subprocess.run([CINEFARM, "audit", "seal"], env=office.env, check=True, capture_output=True)
    return subprocess.run([CINEFARM, "audit", "export"], env=office.env, check=True, capture_output=True).stdout


def assert_it_watched(lookout: LookOut) -> None:
    """The watch itself works: it saw orders, encoders, scratch and log lines."""
    assert any(b"order" in text for text in lookout.seen["broker"])
    assert any(b"ffmpeg" in text for text in lookout.seen["cmdline"])
    assert any(b"CINEFARM_STATE_DIR" in text for text in lookout.seen["environ"])
    assert any(b"scratch" in text for text in lookout.seen["file name"])
    assert any(b"job_submitted" in text for text in lookout.seen["log"])
    probe = LookOut()
    probe.note("broker", b'{"body": "' + base64.b64encode(b'{"name": "quirinal tape, and more of it"}') + b'"}')
    assert len(probe.found()) == 1
