"""Destination profiles: what is known of archives and viewers, as data, each fact with its source."""

from orchestrator.destinations.library import Library
from orchestrator.destinations.profile import CONTAINERS, DestinationProfile, Fact, size_of

__all__ = ["CONTAINERS", "DestinationProfile", "Fact", "Library", "size_of"]
