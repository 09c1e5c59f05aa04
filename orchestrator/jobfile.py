"""A job written down: JOB.toml of ``cinefarm submit``, a rule of the listener, or a body of the API (docs/jobs.md, docs/api.md)."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.dicom.identifiers import identifiers_key
from common.errors import PolicyError, UnknownName
from common.handling import DynamicRange, Handling, Interlaced, RatePolicy, Stereo
from common.recipes import Audio, Hardware, Profile
from common.region import parse_region
from common.store import ObjectStore
from common.targets import chosen_profile
from orchestrator.accept_words import parse_acceptance
from orchestrator.ingest.identifiers import load_identifiers, put_identifiers
from orchestrator.ingest.mapping import Mapping
from orchestrator.ingest.worklist import WorklistRequest
from orchestrator.jobs import JobRequest, normalised
from orchestrator.limit_words import parse_limit
from orchestrator.rules import RuleWords, rules_of
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
    region: str = Field(default="auto", description="auto, none, circle=X,Y,RADIUS or rectangle=LEFT,TOP,WIDTH,HEIGHT")
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
    site: str = Field(
        default="", max_length=64, pattern=r"^[\w.-]*$", description="whose job it is (docs/api.md, Sites)"
    )
    rules: tuple[RuleWords, ...] = Field(default=(), description="items that get another profile or another gate")

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
        self.chosen()
        if self.window is not None:
            parse_window(self.window)
        return self

    def chosen(self) -> Profile:
        """The job's profile with its handling and rules.

        Raises:
            PolicyError: a profile, target or gate is none.
        """
        changes = {"handling": self.handling}
        region = parse_region(self.region)

        def named(name: str) -> Profile:
            chosen = chosen_profile(name or self.profile, self.hardware, self.syntax, region)
            return chosen.model_copy(update=changes)

        own = named("")

        return own.model_copy(update={"rules": rules_of(self.rules, named)}) if self.rules else own

    @property
    def handling(self) -> Handling:
        """How the sources are handled."""
        return Handling(
            interlaced=self.interlaced, rate=self.rate, dynamic_range=self.dynamic_range, stereo=self.stereo
        )

    def request(self, folder: Path | None, store: ObjectStore, *, patience_seconds: float = 0.0) -> JobRequest:
        """What the ledger gets; mapping and rules for identifiers are checked, and go into the object store.

        ``folder``: relative paths are below it. None: who asks is on another machine; paths must be absolute, and ``map`` and
        ``identifiers`` are ids of what was uploaded. ``patience_seconds``: of a job that does not name its own.

        Raises:
            PolicyError: a source or destination is not understood, or a path is relative where it must not be.
            UnknownName: nothing was uploaded under such an id.
            BadMapping: the CSV has errors.
            BadIdentifiers: the rules for identifiers have errors.
            StoreFault: the store cannot take them.
        """
        sources = [below(folder, text) for text in self.sources]
        destinations = [below(folder, text) for text in self.destinations]
        return JobRequest(
            *normalised(sources, destinations),
            self.chosen(),
            self.audio,
            name=self.name,
            priority=self.priority,
            mapping_key=self._mapping(folder, store),
            worklist=WorklistRequest.parse(self.worklist, self.accession),
            identifiers_key=self._identifiers(folder, store),
            window=self.window,
            window_policy=self.at_end,
            patience_seconds=patience_seconds if self.patience_hours is None else self.patience_hours * 3600,
            limits=tuple(parse_limit(f"{below(folder, to)} {text}") for to, text in self.limits.items()),
            site=self.site,
            accepts=tuple(parse_acceptance(f"{below(folder, to)} {text}") for to, text in self.accepts.items()),
        )

    def _mapping(self, folder: Path | None, store: ObjectStore) -> str | None:
        if not self.map:
            return None
        if folder is None:
            return uploaded(store, mapping_key(self.map), "map")
        path = Path(below(folder, self.map))
        return put_mapping(Mapping.load(path, worklist=self.worklist is not None), path.read_bytes(), store)

    def _identifiers(self, folder: Path | None, store: ObjectStore) -> str | None:
        if not self.identifiers:
            return None
        if folder is None:
            return uploaded(store, identifiers_key(self.identifiers), "identifiers")
        return put_identifiers(load_identifiers(Path(below(folder, self.identifiers))), store)


def below(folder: Path | None, text: str) -> str:
    """A path below the folder that it is relative to; URIs and absolute paths as they are.

    Raises:
        PolicyError: it is relative, and there is no such folder.
    """
    if "://" in text or not text.strip():
        return text
    if folder is not None:
        return str(folder / text)
    if not text.startswith("/"):
        raise PolicyError(
            "a path is relative, and nothing says to what", hint="Write it absolute, as the farm sees it."
        )
    return text


_DIGEST = re.compile(r"[0-9a-f]{64}")


def mapping_key(digest: str) -> str:
    """Where a mapping CSV with this SHA-256 lies in the store."""
    return f"mappings/{digest}.csv"


def uploaded(store: ObjectStore, key: str, word: str) -> str:
    """The key itself, when something lies there.

    Raises:
        UnknownName: nothing was uploaded under the id that the key is made of.
    """
    if not _DIGEST.search(key) or store.size(key) is None:
        raise UnknownName(
            f"{word} names nothing that was uploaded", hint="Upload it first: its id is in the answer (docs/api.md)."
        )
    return key


def put_mapping(_checked: Mapping, data: bytes, store: ObjectStore) -> str:
    """Bring a checked CSV to the store: patient data lies there, like the headers made of it, never in the ledger."""
    key = mapping_key(hashlib.sha256(data).hexdigest())
    if store.size(key) is None:
        store.put(key, data)
    return key


def faults(error: ValidationError) -> str:
    """What is wrong with which keys."""
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
