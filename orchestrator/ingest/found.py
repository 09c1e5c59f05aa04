"""What a source holds, whatever kind of place it is: one value per thing, and what a search is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from common.destinations import S3Destination
from common.errors import CinefarmError
from common.orders import Retrieval
from common.settings import Settings


@dataclass(frozen=True, slots=True)
class Found:
    """One thing at the source. With a ``problem`` it can only be reported, never read.

    ``relative`` is the '/'-separated path below the source: a bare name for a single file, a final '/' for a folder. What lies
    on no disk of this machine has a ``uri``, and workers bring it as ``retrieval`` says.
    """

    path: Path
    size_bytes: int  # 0: the place does not say
    mtime_ns: int  # 0: what lies there never changes
    relative: str
    problem: CinefarmError | None = None
    uri: str = ""
    retrieval: Retrieval | None = None
    note: str = ""  # what the place says of it, for people

    @property
    def place(self) -> str:
        """Where it lies: what makes it the same thing again in the next listing."""
        return self.uri or str(self.path)


@dataclass(frozen=True)
class Scope:
    """How to look: folders and prefixes to leave out, what was passed over (reason → count), and whether to stop."""

    settings: Settings = field(default_factory=Settings)
    exclude: tuple[Path | S3Destination, ...] = ()
    ignored: Counter[str] = field(default_factory=Counter)
    stopped: Callable[[], bool] = lambda: False

    @property
    def folders(self) -> tuple[Path, ...]:
        """Folders of this machine that are left out."""
        return tuple(place for place in self.exclude if isinstance(place, Path))


class Source(Protocol):
    """A SOURCE of the command line or of a job file."""

    @property
    def uri(self) -> str:
        """One spelling of the same place, which ``parse_source`` reads again. It may hold patient data."""
        ...

    @property
    def shown(self) -> str:
        """The same for people, reports and logs, without what points at one patient."""
        ...

    def require(self) -> None:
        """Look whether it is there, as far as that costs nothing.

        Raises:
            PolicyError: it is not.
        """
        ...

    def find(self, scope: Scope) -> Iterator[Found]:
        """Everything in it, in a stable order.

        Raises:
            PolicyError: it does not exist, or may not be read.
            EnvironmentFault: it does not answer.
        """
        ...
