"""The ``--json`` contract of ``cinefarm plan``: the objects of ``jsonlines`` for items that end at planned, and the estimate."""

from __future__ import annotations

from dataclasses import dataclass

from common.stages import State
from orchestrator.estimates import Line, queue_seconds, sustained_bit_rate, transfer_seconds
from orchestrator.forecast import Prospect, Sum, Totals
from orchestrator.ingest.sources import shown
from orchestrator.jobs import JobRequest
from orchestrator.ledger.schema import now
from orchestrator.reports import jsonlines
from orchestrator.reports.values import ItemReport, JobReport
from orchestrator.reports.words import uid_name


@dataclass(frozen=True)
class Estimate:
    """The sums of a plan on a farm of ``slots`` transcodes at a time."""

    totals: Totals
    slots: int
    line: Line | None = None
    full: bool = False

    def span(self, queue: str) -> tuple[float, float]:
        """(least, most) seconds that a queue's work takes."""
        total = self.totals.queues[queue]
        return queue_seconds(total.seconds, total.longest, self.slots)

    @property
    def seconds(self) -> float:
        """Time until the last queue is empty: the queues work side by side."""
        return max((self.span(queue)[1] for queue in self.totals.queues), default=0.0)

    @property
    def bit_rate(self) -> float:
        """Bit/s to one destination, so that delivering keeps up with making."""
        return sustained_bit_rate(self.totals.whole.bytes_out, self.seconds)

    @property
    def transfer_seconds(self) -> float | None:
        """Time that all results need on the way to one destination; None: nobody said how wide it is."""
        whole = self.totals.whole
        return None if self.line is None else transfer_seconds(whole.bytes_out, whole.items, self.line)


def item_line(item: Prospect) -> str:
    """One item as a line of JSON, without the newline."""
    return jsonlines.item_line(_report(item))


def summary_line(estimate: Estimate, request: JobRequest) -> str:
    """The sums as a line of JSON, without the newline: the keys of a job's summary, then ``estimate``."""
    totals = estimate.totals
    return jsonlines.line(jsonlines.summary(_job(totals, request)) | {"estimate": _estimate(estimate)})


def _estimate(estimate: Estimate) -> dict[str, object]:
    totals = estimate.totals
    return {
        "full": estimate.full,
        "paths": {path.value: _sum(sums) for path, sums in sorted(totals.paths.items())},
        "targets": {target: _sum(sums) for target, sums in sorted(totals.targets.items())},
        "queues": {queue: _sum(sums) | _span(estimate, queue) for queue, sums in sorted(totals.queues.items())},
        "rules": dict(totals.rules.most_common()),
        "bytes_in": totals.whole.bytes_in,
        "bytes_out": totals.whole.bytes_out,
        "seconds": estimate.seconds,
        "bits_per_second": estimate.bit_rate,
        "transfer_seconds": estimate.transfer_seconds,
        "split_items": totals.split_items,
        "scratch_bytes": totals.scratch_bytes(estimate.slots),
        "evidence_bytes": totals.evidence_bytes,
    }


def _span(estimate: Estimate, queue: str) -> dict[str, object]:
    least, most = estimate.span(queue)
    return {"slots": estimate.slots, "least_seconds": least, "most_seconds": most}


def _sum(sums: Sum) -> dict[str, object]:
    return {
        "items": sums.items,
        "bytes_in": sums.bytes_in,
        "bytes_out": sums.bytes_out,
        "seconds": sums.seconds,
        "longest_seconds": sums.longest,
    }


def _report(item: Prospect) -> ItemReport:
    """As a job's item that was planned and nothing more."""
    made = item.plan
    return ItemReport(
        number=item.number,
        name=item.name,
        state=item.state,
        reason=item.reason,
        plan=made,
        sop_class_uid=made.sop_class_uid if made else "",
        sop_class=uid_name(made.sop_class_uid) if made else "",
        transfer_syntax_uid=made.transfer_syntax_uid if made else "",
        transfer_syntax=uid_name(made.transfer_syntax_uid) if made else "",
        bytes_before=item.size_bytes,
        bytes_after=None,
        scores={},
        passed=None,
        misses=(),
        findings=(),
        sop_instance_uid="",
        instance_digest="",
        evidence_keys=(),
        attempts=0,
        seconds=0.0,
        deliveries=(),
        failure=item.failure,
    )


def _job(totals: Totals, request: JobRequest) -> JobReport:
    moment = now()
    return JobReport(
        job_id="",
        created_at=moment,
        changed_at=moment,
        reported_at=moment,
        sources=tuple(map(shown, request.sources)),
        destinations=request.destinations,
        profile=request.profile.name,
        counts={state: totals.counts[state] for state in State if totals.counts[state]},
        paths={},
        bytes_total=totals.bytes_total,
        bytes_before=0,
        bytes_after=0,
        work_seconds=0.0,
        estimated_seconds=totals.whole.seconds,
        estimated_bytes=totals.whole.bytes_out,
    )
