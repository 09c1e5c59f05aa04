"""Studies out of either ledger: grouped, in order, with the items that have none."""

from __future__ import annotations

from collections.abc import Callable

from support.core import made

from common.stages import State
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Delivery
from orchestrator.verify.expected import studies


def test_a_jobs_items_come_study_by_study(ledger: Sessions, job: str, add_item: Callable[..., str]) -> None:
    for study in ("1.2.9", "1.2.1", "1.2.9"):
        result = made().model_copy(update={"study_uid": study}).model_dump(mode="json")
        name = add_item(state=State.DONE, result=result)
        with ledger.begin() as session:
            session.add(Delivery(item_id=name, job_id=job, destination="/out", state="delivered", location="a/b.dcm"))
    add_item(state=State.FAILED, reason="broken")
    add_item(state=State.SKIPPED)
    found = [
        (each.study_uid, [one.item for one in each.expected["/out"]], each.skipped)
        for each in studies(ledger, job, ["/out"])
    ]
    assert found == [("", [4], 1), ("1.2.1", [2], 0), ("1.2.9", [1, 3], 0)]
