"""An item's life as one list: changes of state, attempts, deliveries and what people decided, in order of time. Pure."""

from __future__ import annotations

from common.stages import State
from orchestrator.ledger.schema import Attempt, Decision, Delivery, StateChange
from orchestrator.reports.words import STATES, duration
from orchestrator.web import labels, words
from orchestrator.web.queries.item import Event, ItemView

_QUIET = frozenset({"queued", "running", "out"})
"""States that an attempt of the same moment tells better."""


def timeline(view: ItemView) -> list[Event]:
    """The whole life, the latest first."""
    places = {delivery.id: delivery for delivery in view.deliveries}
    events = [_change(change, places) for change in view.changes if change.after not in _QUIET]
    events += [_attempt(attempt) for attempt in view.attempts]
    events += [_decision(decision) for decision in view.decisions]
    return sorted(events, key=lambda event: event.at, reverse=True)


def _change(change: StateChange, places: dict[int, Delivery]) -> Event:
    if change.delivery_id is None:
        state = State(change.after)
        return Event(change.at, f"Now {STATES[state]}", f"before: {STATES[State(change.before)]}", words.tone(state))
    delivery = places.get(change.delivery_id)
    where = delivery.destination if delivery else "a destination"
    tone = {"failed": "bad", "committed": "good"}.get(change.after, "calm")
    return Event(change.at, f"Delivery {change.after}", where, tone)


def _attempt(attempt: Attempt) -> Event:
    kind = labels.KINDS.get(attempt.kind, attempt.kind)
    title = f"Attempt {attempt.number}, {kind}: {attempt.state}"
    said = [
        f"by {attempt.worker}" if attempt.worker else "",
        f"in {duration(attempt.seconds)}" if attempt.ended_at else "",
    ]
    failure = (attempt.failure or {}).get("message", "")
    tone = "bad" if attempt.state in ("failed", "lost") else "calm"
    return Event(
        attempt.ended_at or attempt.seen_at or attempt.sent_at, title, " ".join(filter(None, [*said, failure])), tone
    )


def _decision(decision: Decision) -> Event:
    about = "this item" if decision.item_id else "the job"
    why = f"“{decision.why}”" if decision.why else ""
    profile = decision.detail.get("profile") if decision.detail else None
    by_profile = f"profile {profile}" if profile else ""
    return Event(
        decision.at,
        f"{decision.by} decided on {about}: {decision.what}",
        " · ".join(filter(None, [by_profile, why])),
        "person",
    )
