"""By which profile an item is worked: its job's, or its own where a person decided so. Pure."""

from __future__ import annotations

from common.recipes import Profile
from orchestrator.ledger.schema import Item, Job


def profile_of(item: Item, job: Job) -> Profile:
    """The profile that counts for one item."""
    return Profile.model_validate(item.profile or job.profile)
