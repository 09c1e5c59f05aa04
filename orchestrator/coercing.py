"""What rules for identifiers make of a plan. Pure (docs/identifiers.md)."""

from __future__ import annotations

from datetime import UTC, datetime

from common.media import Description
from common.orders import Coercion, Forced, Path, Plan

WHY = "the site's rules give it other identifiers"


def coercion(key: str | None, at: datetime) -> Coercion | None:
    """The rules of a job, planned at this moment; None: it has none."""
    return None if key is None else Coercion(key=key, moment=at.astimezone(UTC).strftime("%Y%m%d%H%M%S+0000"))


def coerced(plan: Plan, description: Description, rules: Coercion | None) -> Plan:
    """The plan with its identifiers coerced; what would be kept gets a new header, and its pixel data to the byte.

    A DICOM source whose identifiers the rules leave as they are keeps its plan, and so its bytes and its address.
    """
    if rules is None or (description.dicom is not None and not description.dicom.coerced):
        return plan
    if plan.path is not Path.KEEP:
        return plan.model_copy(update={"coercion": rules})
    closed = Forced(path=Path.KEEP, rule="policy.identifiers", clause="PS3.3 C.12.1", why=WHY)
    legal = plan.reason.partition(": ")[0]
    return plan.model_copy(
        update={
            "coercion": rules,
            "path": Path.REWRAP,
            "header_only": True,
            "reason": f"{legal}, but {WHY}: its header is rewritten, all else is kept to the byte",
            "forced_by": (*plan.forced_by, closed),
        }
    )
