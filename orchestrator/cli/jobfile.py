"""JOB.toml: one migration written down, for ``cinefarm submit`` (docs/jobs.md)."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.errors import PolicyError
from common.handling import DynamicRange, Handling, Interlaced, RatePolicy, Stereo
from common.recipes import Audio, Hardware
from common.store import ObjectStore
from common.targets import chosen_profile
from orchestrator.accept_words import parse_acceptance
from orchestrator.cli.limiting import parse_limit
from orchestrator.ingest.identifiers import load_identifiers, put_identifiers
from orchestrator.ingest.mapping import Mapping
from orchestrator.ingest.worklist import WorklistRequest
from orchestrator.jobs import JobRequest, normalised
from orchestrator.windows import parse_window

DOCUMENTED = "docs/jobs.md describes every key."


class JobFile(BaseModel):
    """The keys of a job file. Relative paths are below the folder of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: tuple[str, ...] = Field(min_length=1)
    destinations: tuple[str, ...] = Field(min_length=1)
    name: str = Field(default="", max_length=200)
    profile: str = "archive"
    syntax: str | None = None
    audio: Audio = Audio.STRIP
    interlaced: Interlaced = Interlaced.KEEP
    rate: RatePolicy = RatePolicy.KEEP
    dynamic_range: DynamicRange = DynamicRange.KEEP
    stereo: Stereo = Stereo.NONE
    map: str | None = None
    worklist: str | None = None
    accession: str | None = None
    identifiers: str | None = None
    hardware: Hardware | None = None
    priority: int = Field(default=0, ge=-1000, le=1000)
    window: str | None = None
    at_end: Literal["finish", "stop"] = "finish"
    patience_hours: float | None = Field(default=None, ge=0)
    limits: dict[str, str] = Field(default_factory=dict, description="by destination: 'concurrent=2 rate=20MB/s'")
    accepts: dict[str, str] = Field(default_factory=dict, description="by destination: 'syntaxes=.102,.104 max=4GiB'")

    @classmethod
    def load(cls, path: Path) -> JobFile:
        """Read and check a job file.

        Raises:
            PolicyError: it cannot be read, is no TOML, or has unknown keys or wrong values; each is named.
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
            job = cls.model_validate(values)
        except OSError as error:
            raise PolicyError(f"the job file cannot be read: {error.strerror}", hint="Check the path.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise PolicyError(f"the job file is not TOML: {error}", hint=DOCUMENTED) from error
        except ValidationError as error:
            raise PolicyError(f"the job file is wrong: {faults(error)}", hint=DOCUMENTED) from error
        return job.checked()

    def checked(self) -> JobFile:
        """This, when profile and window are understood.

        Raises:
            PolicyError: they are not.
        """
        chosen_profile(self.profile, self.hardware, self.syntax)
        if self.window is not None:
            parse_window(self.window)
        return self

    @property
    def handling(self) -> Handling:
        """How the sources are handled."""
        return Handling(
            interlaced=self.interlaced, rate=self.rate, dynamic_range=self.dynamic_range, stereo=self.stereo
        )

    def request(self, folder: Path, store: ObjectStore, *, patience_seconds: float = 0.0) -> JobRequest:
        """What the ledger gets; mapping and rules for identifiers are checked, and go into the object store.

        ``patience_seconds``: of a job that does not name its own.

        Raises:
            PolicyError: a source or destination is not understood.
            BadMapping: the CSV has errors.
            BadIdentifiers: the rules for identifiers have errors.
            StoreFault: the store cannot take them.
        """
        sources = [_below(folder, text) for text in self.sources]
        destinations = [_below(folder, text) for text in self.destinations]
        return JobRequest(
            *normalised(sources, destinations),
            chosen_profile(self.profile, self.hardware, self.syntax).model_copy(update={"handling": self.handling}),
            self.audio,
            name=self.name,
            priority=self.priority,
            mapping_key=_put_mapping(Path(_below(folder, self.map)), store, worklist=self.worklist is not None)
            if self.map
            else None,
            worklist=WorklistRequest.parse(self.worklist, self.accession),
            identifiers_key=put_identifiers(load_identifiers(Path(_below(folder, self.identifiers))), store)
            if self.identifiers
            else None,
            window=self.window,
            window_policy=self.at_end,
            patience_seconds=patience_seconds if self.patience_hours is None else self.patience_hours * 3600,
            limits=tuple(parse_limit(f"{_below(folder, to)} {text}") for to, text in self.limits.items()),
            accepts=tuple(parse_acceptance(f"{_below(folder, to)} {text}") for to, text in self.accepts.items()),
        )


def _below(folder: Path, text: str) -> str:
    return text if "://" in text or not text.strip() else str(folder / text)


def _put_mapping(path: Path, store: ObjectStore, *, worklist: bool) -> str:
    """Patient data: it lies in the object store, like the headers that are made of it, never in the ledger."""
    Mapping.load(path, worklist=worklist)
    data = path.read_bytes()
    key = f"mappings/{hashlib.sha256(data).hexdigest()}.csv"
    if store.size(key) is None:
        store.put(key, data)
    return key


def faults(error: ValidationError) -> str:
    """What is wrong with which keys."""
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
