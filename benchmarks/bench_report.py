"""The report of a large job: seconds, memory and size, and the same work per item as on a small one.

    python benchmarks/bench_report.py [ITEMS]          1,000,000 made items by default, one in 1,000 of them quarantined

The reference is a report of a hundredth of the items, written by the same process of measurement: what is flat stays flat.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from common.dicom.sop_classes import VIDEO_ENDOSCOPIC
from common.orders import Path as Way
from common.orders import Plan, Pooled, TranscodeDone, Verdict
from common.recipes import ARCHIVE
from common.stages import State
from orchestrator.jobs import JobRequest, submit
from orchestrator.ledger.database import Sessions, open_ledger
from orchestrator.ledger.schema import Delivery, Item

ITEMS = 1_000_000
BATCH = 5_000
DESTINATION = "dicom://PACS@pacs.example:104"


def fill(ledger: Sessions, items: int) -> str:
    """A job of so many ended items, as a farm leaves them."""
    job = submit(ledger, JobRequest(("/sources",), (DESTINATION,), ARCHIVE), by="benchmark")
    plan = Plan(
        path=Way.ENCODE, reason="MPEG-4 Part 2 is no DICOM video", sop_class_uid=VIDEO_ENDOSCOPIC,
        transfer_syntax_uid="1.2.840.10008.1.2.4.102", recipe=ARCHIVE.ladder[0], gate=ARCHIVE.gate,
    ).model_dump(mode="json")  # fmt: skip
    for start in range(0, items, BATCH):
        numbers = range(start, min(start + BATCH, items))
        with ledger.begin() as session:
            session.execute(insert(Item), [_item(job, number, plan) for number in numbers])
            rows = [
                {"item_id": f"{n:032x}", "job_id": job, "destination": DESTINATION, "state": "committed",
                 "proof": "storage commitment", "location": f"2.25.{n}"}
                for n in numbers if n % 1000
            ]  # fmt: skip
            session.execute(insert(Delivery), rows)
    return job


def _item(job: str, number: int, plan: dict[str, Any]) -> dict[str, Any]:
    passed, shift = bool(number % 1000), (number % 977) / 200
    scores = {
        metric: Pooled(mean=mean, harmonic_mean=mean, min=mean * 0.8, p1=mean * 0.9, p5=mean * 0.95, worst_second=mean)
        for metric, mean in (("psnr_y", 44 + shift), ("ssim", 0.975 + shift / 1000), ("vmaf", 94 + shift))
    }
    verdict = Verdict(passed=passed, misses=() if passed else ("ssim p1 0.9400 < 0.95",))
    made = TranscodeDone(
        instance_key="results/instance.dcm" if passed else "", instance_digest=f"{number:064x}" if passed else "",
        instance_bytes=20_000_000 if passed else 0, sop_instance_uid=f"2.25.{number}", sop_class_uid=VIDEO_ENDOSCOPIC,
        transfer_syntax_uid="1.2.840.10008.1.2.4.102", scores=scores, verdict=verdict, quality_number=20 + number % 9,
        study_uid=f"1.2.3.{number // 4}",
    )  # fmt: skip
    return {
        "id": f"{number:032x}", "job_id": job, "number": number + 1, "source": f"/sources/{number}",
        "name": f"{number // 1000}/{number}.avi", "size_bytes": 80_000_000, "mtime_ns": 0,
        "state": State.DONE if passed else State.QUARANTINED, "reason": "" if passed else "gate not met: ssim p1",
        "cause": None if passed else "gate.ssim", "digest": f"{number:064x}", "plan": plan,
        "result": made.model_dump(mode="json"), "study_uid": f"1.2.3.{number // 4}",
        "made_bytes": made.instance_bytes, "estimated_seconds": 1.0,
    }  # fmt: skip


def measured(url: str, job: str, folder: Path) -> dict[str, float]:
    """Write the report in a process of its own."""
    program = (
        "import json, resource, sys, time; from pathlib import Path\n"
        "from orchestrator.ledger.database import open_ledger\n"
        "from orchestrator.reports.folder import write_report\n"
        "ledger = open_ledger(sys.argv[1]); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "start = time.monotonic()\n"
        "with ledger() as session: write_report(session, sys.argv[2], Path(sys.argv[3]))\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(json.dumps({'seconds': time.monotonic() - start, 'mb': after / 1000, 'more_mb': (after - before) / 1000}))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, url, job, str(folder)], check=True, capture_output=True, text=True
    )
    sizes = {name: (folder / name).stat().st_size / 1e6 for name in ("report.html", "items.csv", "items.parquet")}
    return json.loads(answer.stdout) | sizes


def main() -> None:
    """Print both rows and their ratio."""
    items = int(sys.argv[1]) if len(sys.argv) > 1 else ITEMS
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name:
        rows = []
        for count in (max(items // 100, 1000), items):
            url = f"sqlite:///{name}/{count}.sqlite"
            start = time.monotonic()
            job = fill(open_ledger(url), count)
            print(f"{count:>9} items made in {time.monotonic() - start:.0f} s", file=sys.stderr)
            rows.append((count, measured(url, job, Path(name) / f"report-{count}")))
            told = ", ".join(f"{key} {value:.4g}" for key, value in rows[-1][1].items())
            print(f"{count:>9} items: {told}; {1e6 * rows[-1][1]['seconds'] / count:.0f} µs an item")
    (few, small), (many, large) = rows
    print(f"memory {large['mb'] / small['mb']:.2f}×, page {large['report.html'] / small['report.html']:.2f}×, "
          f"time an item {large['seconds'] / many / (small['seconds'] / few):.2f}×")  # fmt: skip


if __name__ == "__main__":
    main()
