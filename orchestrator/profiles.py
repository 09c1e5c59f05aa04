"""By which profile an item is worked: its job's, one that a rule of the job names, or its own where a person decided so. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset

from common.dicom.sop_classes import class_uid
from common.header_patterns import HeaderPatterns, rules_that_fit
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
        return profile.for_source(modality, class_uid(requested_class), "", description.header_rules)
    return profile.for_source(facts.modality, facts.sop_class_uid, facts.series_uid, description.header_rules)


def patterns_of(job: Job) -> tuple[HeaderPatterns | None, ...]:
    """What the rules of a job ask of texts in a header; empty: nothing."""
    if not any(rule.get("header") for rule in job.profile.get("rules", ())):
        return ()  # most jobs: the profile is not parsed
    return Profile.model_validate(job.profile).header_patterns


def by_header(description: Description, patterns: Sequence[HeaderPatterns | None], header: Dataset) -> Description:
    """Plain video with the answers of the header that was supplied for it; a DICOM object has its own."""
    if description.dicom is not None or not patterns:
        return description
    return description.model_copy(update={"header_rules": rules_that_fit(patterns, header)})
