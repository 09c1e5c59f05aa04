"""The folder of a report: small however many items there are, tables whole, sums right, memory of a batch."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import insert

from common.errors import InternalFault
from common.orders import Path as Way
from common.orders import Plan, Pooled, TranscodeDone
from common.recipes import ARCHIVE, Gate
from common.stages import State
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.decisions import What, decided
from orchestrator.ledger.schema import Delivery, Item
from orchestrator.reports import html, parquetfile
from orchestrator.reports.folder import write_report
from orchestrator.reports.overview import Distribution, reconciliation, studies
from orchestrator.reports.standing import nearest

PLAN = Plan(
    path=Way.ENCODE, reason="", sop_class_uid="1", transfer_syntax_uid="1.2.840.10008.1.2.4.102",
    recipe=ARCHIVE.ladder[0], gate=ARCHIVE.gate,
).model_dump(mode="json")  # fmt: skip


def scores(level: float) -> dict[str, Pooled]:
    given = {"psnr_y": 40 + level, "psnr_cb": 45.0, "psnr_cr": 45.0, "ssim": 0.98, "vmaf": 95 + level / 10}
    return {
        name: Pooled(mean=value, harmonic_mean=value, min=value, p1=value, p5=value, worst_second=value)
        for name, value in given.items()
    }


def fill(ledger: Sessions, count: int) -> None:
    """Done items, the higher their number the better; two of each study."""
    rows = [
        {
            "id": f"i{n}", "job_id": "job", "number": n, "source": f"/secret/{n}", "name": f"{n}.avi", "size_bytes": 100,
            "mtime_ns": 0, "state": State.DONE, "plan": PLAN, "study_uid": f"1.2.{n // 2}", "digest": f"{n:064x}",
            "result": TranscodeDone(
                scores=scores(n / 10), instance_bytes=50, instance_key="k", instance_digest=f"{n:064x}",
                sop_instance_uid=f"2.25.{n}", quality_number=20 + n % 3,
            ).model_dump(mode="json"),
        }
        for n in range(1, count + 1)
    ]  # fmt: skip
    with ledger.begin() as session:
        session.execute(insert(Item), rows)
        arrived = {"job_id": "job", "destination": "/out", "proof": "sha256"}
        session.execute(
            insert(Delivery),
            [
                arrived | {"item_id": row["id"], "state": "failed" if n == 3 else "committed"}
                for n, row in enumerate(rows)
            ],
        )


@pytest.fixture
def filled(ledger: Sessions, job: str) -> Sessions:
    assert job == "job"
    fill(ledger, 60)
    return ledger


def test_beyond_its_bounds_the_page_has_the_worst_items_and_the_tables_have_all(
    filled: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "ROWS", 50)
    monkeypatch.setattr(html, "IN_FULL", 5)
    monkeypatch.setattr(parquetfile, "GROUP_ROWS", 25)
    with filled() as session:
        page = write_report(session, "job", tmp_path).read_text(encoding="utf-8")
    assert '<table id="items">' not in page
    assert "items.parquet" in page
    assert re.findall(r'<article class="item" id="item-(\d+)"', page) == ["1", "2", "3", "4", "5"]
    parquet = pq.ParquetFile(tmp_path / "items.parquet")
    assert parquet.metadata.num_row_groups == 3
    rows = parquet.read().to_pylist()
    assert [row["number"] for row in rows] == list(range(1, 61))
    assert (rows[0]["psnr_y_mean"], rows[0]["quality_number"], rows[0]["study_uid"]) == (40.1, 21, "1.2.0")
    with (tmp_path / "items.csv").open(encoding="utf-8-sig", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 60


def test_what_is_not_proven_is_told_by_destination_and_study(filled: Sessions, tmp_path: Path) -> None:
    with filled() as session:
        (place,) = reconciliation(session, "job")
        open_ones = list(studies(session, "job", open_only=True))
        page = write_report(session, "job", tmp_path).read_text(encoding="utf-8")
    assert (place.expected, place.committed, place.failed, place.agrees) == (60, 59, 1, False)
    assert [(one.study, one.expected, one.committed) for one in open_ones] == [("1.2.2", 2, 1)]
    assert "1.2.2 at /out: 1 of 2 proven, 1 failed" in page
    with (tmp_path / "reconciliation.csv").open(encoding="utf-8-sig", newline="") as stream:
        assert sum(int(row["made"]) for row in csv.DictReader(stream)) == 60


def test_decisions_stand_in_the_page_and_in_their_table_and_hostile_reasons_stay_words(
    filled: Sessions, tmp_path: Path
) -> None:
    with filled.begin() as session:
        decided(session, What.ACCEPTED, by="anna", job_id="job", item_id="i1", why="=1+1 <b>seen</b>")
    with filled() as session:
        page = write_report(session, "job", tmp_path).read_text(encoding="utf-8")
    assert "anna" in page
    assert "<b>seen</b>" not in page
    with (tmp_path / "decisions.csv").open(encoding="utf-8-sig", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["by"], row["what"], row["item"], row["why"]) == ("anna", "accepted", "i1", "'=1+1 <b>seen</b>")


def test_a_report_that_cannot_be_finished_leaves_nothing_half_written(
    filled: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquetfile, "GROUP_ROWS", -1)
    with filled() as session, pytest.raises(InternalFault, match=r"items\.parquet could not be written: ValueError"):
        write_report(session, "job", tmp_path / "report")
    assert list((tmp_path / "report").iterdir()) == []


def test_the_median_of_many_is_right_to_half_a_step() -> None:
    counted = Distribution("psnr_y", "p1")
    for n in range(1, 1002):
        counted.add(30 + n / 100)
    assert counted.quantile(0.5) == pytest.approx(35.01, abs=counted.step)
    assert (counted.least, counted.most, counted.items) == (30.01, 40.01, 1001)
    assert min(counted.spread(100)) == pytest.approx(30.01, abs=counted.step)


def test_a_result_without_figures_is_near_no_gate(add_item: Callable[..., str]) -> None:
    assert add_item()
    assert nearest({}, ARCHIVE.gate) is None
    assert nearest(dict(scores(0)), Gate(thresholds=())) is None
