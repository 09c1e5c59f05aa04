"""One migration as it was asked for on the command line, checked in every part before anything is started."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from common.destinations import FolderDestination, S3Destination, parse_destination
from common.dicom.identifiers import Identifiers
from common.errors import PolicyError
from common.handling import Handling
from common.recipes import Audio, Hardware, Profile
from common.region import parse_region
from common.settings import Settings, default_cpu_slots
from common.targets import chosen_profile
from orchestrator.accept_words import parse_acceptance
from orchestrator.ingest.folder import FolderSource
from orchestrator.ingest.identifiers import load_identifiers
from orchestrator.ingest.mapping import Mapping
from orchestrator.ingest.sources import parse_source
from orchestrator.ingest.worklist import WorklistRequest
from orchestrator.jobs import JobRequest, normalised
from orchestrator.limit_words import parse_limit
from orchestrator.listing import excluded
from orchestrator.rules import load_rules, rules_of
from orchestrator.windows import parse_window


@dataclass(frozen=True)
class Migration:
    """What to move where, with the patient data of plain video, the farm's settings and its size."""

    request: JobRequest
    mapping: Mapping | None
    settings: Settings
    cpu_slots: int
    identifiers: Identifiers | None = None

    @classmethod
    def asked(
        cls,
        sources: Sequence[str],
        destinations: Sequence[str],
        *,
        profile: str,
        audio: Audio,
        mapping: Path | None,
        workers: int | None,
        state: Path | None,
        hardware: Hardware | None = None,
        syntax: str | None = None,
        handling: Handling | None = None,
        region: str = "auto",
        rules: Path | None = None,
        window: str | None = None,
        window_policy: Literal["finish", "stop"] = "finish",
        limits: Sequence[str] = (),
        accepts: Sequence[str] = (),
        identifiers: Path | None = None,
        worklist: str | None = None,
        accession: str | None = None,
    ) -> Migration:
        """Check every part.

        Raises:
            PolicyError: a source, destination, profile or target that does not exist or is not understood.
            BadMapping: the CSV has errors.
            BadIdentifiers: the rules for identifiers have errors.
        """
        chosen = chosen_profile(profile, hardware, syntax, parse_region(region))
        for text in sources:
            parse_source(text).require()
        for text in destinations:
            _check_folder(text, sources)
        changes = {} if handling is None else {"handling": handling}
        chosen = chosen.model_copy(update=changes)
        if rules is not None:

            def named(name: str) -> Profile:
                if not name:
                    return chosen
                return chosen_profile(name, hardware, syntax, parse_region(region)).model_copy(update=changes)

            chosen = chosen.model_copy(update={"rules": rules_of(load_rules(rules), named)})
        if window is not None:
            parse_window(window)
        coercions = load_identifiers(identifiers) if identifiers else None
        request = JobRequest(
            *normalised(sources, destinations),
            chosen,
            audio,
            window=window,
            window_policy=window_policy,
            limits=tuple(parse_limit(text) for text in limits),
            accepts=tuple(map(parse_acceptance, accepts)),
            identifiers_key=coercions.key if coercions else None,
            worklist=WorklistRequest.parse(worklist, accession),
        )
        base = Settings()
        settings = base.model_copy(update={"state_dir": (state or base.state_dir).absolute()})
        slots = workers or settings.cpu_slots or default_cpu_slots()
        rows = Mapping.load(mapping, worklist=worklist is not None) if mapping else None
        return cls(request, rows, settings, slots, coercions)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Destinations that are folders of this machine."""
        places = (parse_destination(uri) for uri in self.request.destinations)
        return tuple(place.path for place in places if isinstance(place, FolderDestination))

    @property
    def exclude(self) -> tuple[Path | S3Destination, ...]:
        """Folders and prefixes that are never sources: our own output and state."""
        return excluded(self.request.destinations, self.settings.state_dir)


def _check_folder(destination: str, sources: Sequence[str]) -> None:
    """Refuse now what would fail item by item later: a folder that is none, or that nobody may write to.

    Raises:
        PolicyError: results cannot be written there.
    """
    place = parse_destination(destination)
    if not isinstance(place, FolderDestination):
        return
    path = place.path.absolute()
    folders = [source.path for source in map(parse_source, sources) if isinstance(source, FolderSource)]
    if path.exists() and any(path.samefile(folder) for folder in folders):
        raise PolicyError("the source is also the destination", hint="Choose another destination.")
    nearest = next(folder for folder in (path, *path.parents) if folder.exists())
    if not nearest.is_dir():
        raise PolicyError(f"the destination {destination} is no folder", hint="Name a folder, or one that can be made.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PolicyError(
            f"the destination {destination} cannot be written to",
            hint="Give the user that runs the farm write permission, or choose another destination.",
        )
