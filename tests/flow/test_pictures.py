"""A recording that stops, goes black, and has sound, through the whole farm: its evidence names what it has, source and output."""

from __future__ import annotations

import csv
import json

import pytest
from support.desk import Desk, ffmpeg

pytestmark = pytest.mark.farm

ENDOSCOPE = (
    "testsrc2=s=480x360:r=25:d=6,format=yuv420p,loop=loop=24:size=1:start=50,trim=end=5,"
    "geq=lum='if(lte(hypot(X-260,Y-180),150)*not(between(N,90,114)),lum(X,Y),16)'"
    ":cb='if(lte(hypot(2*X-260,2*Y-180),150)*not(between(N,90,114)),cb(X,Y),128)'"
    ":cr='if(lte(hypot(2*X-260,2*Y-180),150)*not(between(N,90,114)),cr(X,Y),128)'"
)
"""A circle in a black frame; frame 50 stands for a second, frames 90 to 114 are black."""


def test_what_a_source_shows_is_named_in_evidence_json_and_csv(desk: Desk) -> None:
    sound = ("-f", "lavfi", "-i", "sine=d=5:sample_rate=44100", "-c:a", "mp2", "-b:a", "128k")
    ffmpeg("-f", "lavfi", "-i", ENDOSCOPE, *sound, "-c:v", "mpeg4", "-q:v", "2", str(desk.file("scope.avi")))
    run = desk.migrate("--map", str(desk.mapping()), "--audio", "keep", "--profile", "archive-fixed")
    item = run.items["scope.avi"]
    assert (run.code, item["state"]) == (0, "done")
    evidence = json.loads((desk.state / "objects" / item["evidence"][0]).read_text())
    seen = evidence["pictures"]
    for side in ("source", "output"):
        ((first, frames, _),) = seen[side]["frozen"]["runs"]
        assert abs(first - 50) <= 1
        assert abs(frames - 25) <= 1
        assert seen[side]["black"]["runs"] == [[90, 25, 1.0]]
    assert evidence["region"]["shape"] == "circle"
    assert item["scores"]["psnr_y_inside"]["mean"] < item["scores"]["psnr_y"]["mean"]
    assert abs(seen["sound"]["drift_ms"]["starts"]) < 40
    assert [remark.split(" from")[0] for remark in item["remarks"][1:]] == [
        "the source is frozen",
        "the source is black",
    ]
    (report,) = desk.out.rglob("items.csv")
    with report.open(encoding="utf-8-sig", newline="") as lines:
        (row,) = csv.DictReader(lines)
    assert row["remarks"] == "; ".join(item["remarks"])
