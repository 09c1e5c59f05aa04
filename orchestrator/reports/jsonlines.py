"""The ``--json`` contract: one object an item, then a summary (docs/json.md). Pure; keys keep their order for ever."""

from __future__ import annotations

import json
import math

from common.orders import Failure, InstancePart
from orchestrator.reports.values import DeliveryReport, ItemReport, JobReport

Json = dict[str, object]


def item_line(item: ItemReport) -> str:
    """One item as a line of JSON, without the newline."""
    return line(item_object(item))


def item_object(item: ItemReport) -> Json:
    """One item, as in the line."""
    return {
        "type": "item",
        "number": item.number,
        "name": item.name,
        "state": item.state.value,
        "reason": item.reason,
        "next_step": item.next_step,
        "path": item.path.value if item.path else None,
        "plan": _plan(item),
        "sop_class": item.sop_class or None,
        "sop_class_uid": item.sop_class_uid or None,
        "transfer_syntax": item.transfer_syntax or None,
        "transfer_syntax_uid": item.transfer_syntax_uid or None,
        "bytes_before": item.bytes_before,
        "bytes_after": item.bytes_after,
        "ratio": item.ratio,
        "scores": {metric: pooled.model_dump() for metric, pooled in sorted(item.scores.items())},
        "verdict": {"passed": item.passed, "misses": list(item.misses)},
        "findings": [finding.model_dump(mode="json") for finding in item.findings],
        "sop_instance_uid": item.sop_instance_uid or None,
        "sha256": item.instance_digest or None,
        "evidence": list(item.evidence_keys),
        "deliveries": [_delivery(delivery) for delivery in item.deliveries],
        "attempts": item.attempts,
        "seconds": item.seconds,
        "failure": _failure(item.failure),
        "instances": [_instance(part) for part in item.instances],
        "coerced": item.coerced,
        "remarks": list(item.remarks),
    }


def _instance(part: InstancePart) -> Json:
    return {
        "sop_instance_uid": part.sop_instance_uid,
        "sha256": part.instance_digest,
        "bytes": part.instance_bytes,
        "first_frame": part.first_frame,
        "frames": part.frames,
    }


def summary_line(report: JobReport) -> str:
    """The job's totals as a line of JSON, without the newline."""
    return line(summary(report))


def summary(report: JobReport) -> Json:
    """The job's totals."""
    return {
        "type": "summary",
        "job": report.job_id,
        "sources": list(report.sources),
        "destinations": list(report.destinations),
        "profile": report.profile,
        "items": report.items,
        "counts": {state.value: count for state, count in report.counts.items()},
        "problems": report.problems,
        "unfinished": report.unfinished,
        "paths": {
            path.value: {
                "items": total.items,
                "bytes_before": total.bytes_before,
                "bytes_after": total.bytes_after,
            }
            for path, total in report.paths.items()
        },
        "bytes_total": report.bytes_total,
        "bytes_before": report.bytes_before,
        "bytes_after": report.bytes_after,
        "ratio": report.ratio,
        "work_seconds": report.work_seconds,
        "estimated_seconds": report.estimated_seconds,
        "estimated_bytes": report.estimated_bytes,
        "created_at": report.created_at.isoformat(),
        "changed_at": report.changed_at.isoformat(),
    }


def _plan(item: ItemReport) -> Json | None:
    if item.plan is None:
        return None
    plan = item.plan
    return {
        "reason": plan.reason,
        "rung": plan.rung,
        "rungs": plan.rungs,
        "audio": plan.audio.value,
        "queue": plan.queue,
        "estimated_seconds": plan.estimated_seconds,
        "estimated_bytes": plan.estimated_bytes,
        "forced_by": [forced.model_dump(mode="json") for forced in plan.forced_by],
        "split": plan.split.model_dump(mode="json") if plan.split else None,
    }


def _delivery(delivery: DeliveryReport) -> Json:
    return {
        "destination": delivery.destination,
        "state": delivery.state,
        "location": delivery.location or None,
        "proof": delivery.proof or None,
        "failure": _failure(delivery.failure),
    }


def _failure(failure: Failure | None) -> Json | None:
    if failure is None:
        return None
    return {
        "code": failure.code,
        "actor": failure.actor.value,
        "retryable": failure.retryable,
        "message": failure.message,
        "hint": failure.hint,
    }


def line(value: Json) -> str:
    """Any object as a line of JSON, without the newline: ASCII, no spaces, no NaN."""
    return json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))


def _finite(value: object) -> object:
    """NaN and infinity are no JSON (RFC 8259, 6): they become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(member) for key, member in value.items()}
    return [_finite(member) for member in value] if isinstance(value, list) else value
