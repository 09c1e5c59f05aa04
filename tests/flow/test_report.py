"""The report that a hospital files: after a real migration with one result that missed its gate."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path

import av
import pyarrow.parquet as pq
import pytest
from support.desk import Desk, Run

pytestmark = pytest.mark.farm


class Page(HTMLParser):
    """Addresses and pictures of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.addresses += [value for name in ("href", "src", "srcset", "action") if (value := named.get(name))]
        self.ids += [value for value in [named.get("id")] if value]


@pytest.fixture(scope="module")
def filed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, Run]:
    desk = Desk(tmp_path_factory.mktemp("filed"))
    desk.ultrasound("us/loop.dcm")
    desk.capture("tape.mpg", seconds=2)
    desk.noise("noise.avi", size="1280x720", strength=100, frames=6)  # no legal bit rate holds it
    desk.file("notes.txt").write_text("not a video")
    return desk, desk.migrate("--map", str(desk.mapping()), "--workers", "1")


@pytest.fixture(scope="module")
def text(filed: tuple[Desk, Run]) -> str:
    return (filed[0].out / "report.html").read_text(encoding="utf-8")


def section(text: str, item: str) -> str:
    """One item in full."""
    return next(part for part in text.split('<article class="item"')[1:] if item in part.partition("</h3>")[0])


def test_the_one_that_missed_its_gate_is_shown_with_its_five_worst_frames(filed: tuple[Desk, Run], text: str) -> None:
    assert filed[1].items["noise.avi"]["state"] == "quarantined", filed[1].stderr
    shown = section(text, "noise.avi")
    pictures = re.findall(r'href="data:image/jpeg;base64,([^"]+)"', shown)
    assert len(pictures) == 5
    for picture in pictures:
        with av.open(io.BytesIO(base64.b64decode(picture))) as container:
            frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == (3 * 480, 270)
    assert "What to do" in shown


def test_every_measured_item_has_its_charts_with_the_gates_lines(text: str) -> None:
    for name in ("noise.avi", "loop.dcm", "tape.mpg"):
        shown = section(text, name)
        assert shown.count('class="chart"') >= 10  # over time and histogram of five metrics
        assert "worst second ≥" in shown
    assert "Search for the quality number" in section(text, "tape.mpg")
    assert "SHA-256 of the source" in section(text, "tape.mpg")


def test_the_page_needs_nothing_else_and_names_each_part_once(text: str) -> None:
    page = Page(text)
    assert all(address.startswith(("#", "data:image/jpeg;base64,")) for address in page.addresses)
    assert not re.search(r"https?://|url\(|@import", text)
    assert len(page.ids) == len(set(page.ids))
    assert all(address[1:] in page.ids for address in page.addresses if address.startswith("#"))


def test_parquet_csv_and_custody_agree_with_the_ledger(filed: tuple[Desk, Run]) -> None:
    desk, run = filed
    rows = pq.read_table(desk.out / "items.parquet").to_pylist()
    with closing(sqlite3.connect(desk.state / "ledger.sqlite")) as connection:
        known = connection.execute("select number, name, state, digest from items order by number").fetchall()
    assert [(row["number"], row["file"], row["state"], row["source_sha256"]) for row in rows] == known
    with (desk.out / "items.csv").open(encoding="utf-8-sig", newline="") as stream:
        assert [row["file"] for row in csv.DictReader(stream)] == [row["file"] for row in rows]
    with (desk.out / "custody.csv").open(encoding="utf-8-sig", newline="") as stream:
        custody = {row["file"]: row for row in csv.DictReader(stream)}
    for name in ("us/loop.dcm", "tape.mpg"):
        row = custody[name]
        assert row["source_sha256"] == hashlib.sha256((desk.sources / name).read_bytes()).hexdigest()
        assert row["result_sha256"] == hashlib.sha256((desk.out / row["location"]).read_bytes()).hexdigest()
        assert row["delivery"] == "committed"
        assert row["result_sha256"] == run.items[name]["sha256"]


def test_the_folder_proves_its_own_files(filed: tuple[Desk, Run]) -> None:
    out = filed[0].out
    sums = dict(line.split("  ")[::-1] for line in (out / "SHA256SUMS").read_text().splitlines())
    assert set(sums) >= {"report.html", "items.csv", "items.parquet", "custody.csv", "decisions.csv"}
    assert all(hashlib.sha256((out / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())


def test_who_submitted_it_and_that_all_ends_add_up_is_told(text: str) -> None:
    plain = re.sub(r"<[^>]+>", " ", text)
    assert re.search(r"4\s+sources were\s+found:\s+2 done, 1 skipped, 1 quarantined", re.sub(r"\s+", " ", plain))
    assert "submitted" in plain.partition("Who decided what")[2]


def test_no_picture_and_no_name_is_in_the_logs(filed: tuple[Desk, Run]) -> None:
    logs = [path for path in (filed[0].state / "logs").rglob("*") if path.is_file()]
    assert logs
    assert not [path for path in logs if b"noise.avi" in path.read_bytes() or b"\xff\xd8\xff" in path.read_bytes()]


def test_the_report_is_written_again_elsewhere_with_the_same_tables(filed: tuple[Desk, Run], tmp_path: Path) -> None:
    desk, _ = filed
    command = str(Path(sys.executable).with_name("cinefarm"))
    subprocess.run([command, "report", "--out", str(tmp_path), "--state", str(desk.state)], check=False)
    assert (tmp_path / "items.csv").read_bytes() == (desk.out / "items.csv").read_bytes()
    assert (tmp_path / "custody.csv").read_bytes() == (desk.out / "custody.csv").read_bytes()
