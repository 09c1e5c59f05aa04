"""Results, counted and timed after their transaction: what was rolled back is not counted twice."""

from __future__ import annotations

from dataclasses import dataclass

from common.orders import TranscodeDone, WorkResult
from orchestrator.ledger.schema import Attempt, Delivery, Item
from orchestrator.metrics import instruments

_NOT_CONFORMING, _PASSED, _MISSED = "not conforming", "passed", "missed"


@dataclass(frozen=True)
class Ended:
    """What is told of one order that has ended."""

    kind: str
    queue: str
    outcome: str  # done, or the class of the failure
    waited: float  # s
    seconds: float
    destination: str = ""
    encoder: str = ""  # empty: nothing was encoded
    video_seconds: float = 0.0
    verdict: str = ""

    @classmethod
    def of(cls, attempt: Attempt, result: WorkResult, item: Item, delivery: Delivery | None) -> Ended:
        """Take it from the ledger's rows, before the result changes them."""
        took = (attempt.ended_at - attempt.sent_at).total_seconds() if attempt.ended_at else result.seconds
        encoder, video = (
            _encoded(item) if isinstance(result.done, TranscodeDone) and not result.done.reused else ("", 0.0)
        )
        return cls(
            kind=attempt.kind,
            queue=attempt.queue,
            outcome=result.failure.code if result.failure else "done",
            waited=max(0.0, took - result.seconds),
            seconds=result.seconds,
            destination=instruments.place(delivery.destination) if delivery else "",
            encoder=encoder,
            video_seconds=video,
            verdict=_verdict(result.done) if isinstance(result.done, TranscodeDone) else "",
        )


def observe(ended: Ended) -> None:
    """Count it."""
    instruments.orders.labels(ended.kind, ended.outcome).inc()
    instruments.queue_wait.labels(ended.queue).observe(ended.waited)
    if ended.destination:
        instruments.deliveries.labels(ended.destination, ended.outcome).inc()
        if ended.outcome == "done":
            instruments.delivery_time.labels(ended.destination).observe(ended.seconds)
    if ended.encoder and ended.seconds > 0:
        instruments.encode_speed.labels(ended.encoder).observe(ended.video_seconds / ended.seconds)
    if ended.verdict:
        instruments.verdicts.labels(ended.verdict).inc()


def _verdict(done: TranscodeDone) -> str:
    if any(finding.severity == "error" for finding in done.findings):
        return _NOT_CONFORMING
    return _PASSED if done.verdict.passed else _MISSED


def _encoded(item: Item) -> tuple[str, float]:
    """Encoder and seconds of video of an item that was encoded; empty: its bits were kept."""
    plan, video = item.plan or {}, (item.description or {}).get("video", {})
    encoder = (plan.get("recipe") or {}).get("encoder", "") if plan.get("path") == "encode" else ""
    return encoder, float(video.get("duration_ms", 0.0)) / 1000
