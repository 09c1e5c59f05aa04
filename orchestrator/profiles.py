"""By which profile an item is worked: its job's, one that a rule of the job names, or its own where a person decided so. Pure."""

from __future__ import annotations

from common.dicom.sop_classes import class_uid
from common.media import Description
from common.recipes import Profile
from orchestrator.ledger.schema import Item, Job


def profile_of(item: Item, job: Job) -> Profile:
    """The profile that counts for one item."""
    profile = Profile.model_validate(item.profile or job.profile)
    if not profile.rules or item.description is None:
        return profile
    hints = item.supplied or {}
    description = Description.model_validate(item.description)
    return by_rules(profile, description, hints.get("modality", ""), hints.get("sop_class"))


def by_rules(profile: Profile, description: Description, modality: str, requested_class: str | None) -> Profile:
    """What the rules make of it for such a source; ``modality`` and ``requested_class`` are the mapping row's, of plain video."""
    facts = description.dicom
    if facts is None:
        return profile.for_source(modality, class_uid(requested_class), "")
    return profile.for_source(facts.modality, facts.sop_class_uid, facts.series_uid)
