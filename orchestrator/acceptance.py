"""What destinations take: pure values that the planner asks. One item becomes one instance, so all of its destinations must take it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from common.destinations import DicomDestination, parse_destination
from common.dicom.transfer_syntaxes import ROOT, by_uid, is_video, short
from common.errors import NoLegalPath, PolicyError
from common.media import Value

ACCEPT_FORM = (
    "Write it like 'dicom://PACS@host:104 syntaxes=.102,.104 containers=mp4 fragmentable=no max=4GiB'; "
    "what is left out is not limited."
)
CONTAINERS = frozenset({"mp4", "mpegts"})
"""What an encode or a rewrap can write; other words than these are no demand that could be met."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?")
_POWERS = {"": 0, "k": 1, "M": 2, "G": 3, "T": 4}
_FIRST = re.compile(r"\s+\w+=")
_YES = {"yes": True, "no": False}


@dataclass(frozen=True)
class Obstacle:
    """What closes a path: the rule's id, its clause or the policy behind it, and the sentence for people."""

    rule: str
    clause: str
    why: str


class Acceptance(Value):
    """What one destination takes. Fields that are not known limit nothing."""

    destination: str = Field(default="", description="its URI, for people; empty: 'the destination'")
    syntaxes: frozenset[str] | None = Field(default=None, description="transfer syntax UIDs; None: any")
    containers: frozenset[str] | None = Field(default=None, description="mp4, mpegts ...; None: any that is legal")
    fragmentable: bool = Field(
        default=True,
        description="takes the fragmentable twins .100.1 to .106.1; .107 and .108 are themselves fragmentable",
    )
    max_bytes: int | None = Field(default=None, gt=0, description="largest instance, bytes")
    commitment: Literal["yes", "no", "unknown"] = Field(
        default="unknown",
        description="storage commitment (PS3.4 J): unknown is asked for and done without where refused",
    )
    verify: Literal["none", "count", "sample", "all"] = Field(
        default="count", description="proof where an archive does not commit: its own count, or instances read back"
    )
    pdu_bytes: int | None = Field(
        default=None, ge=4096, description="longest PDU to send, bytes; None: by the settings"
    )

    @classmethod
    def of(cls, uri: str) -> Acceptance:
        """What is assumed where nobody says: a folder takes all; an archive no fragmentable twin, since none that we tried does.

        Raises:
            PolicyError: the URI is not understood.
        """
        archive = isinstance(parse_destination(uri), DicomDestination)
        return cls(destination=uri, fragmentable=not archive)

    @property
    def name(self) -> str:
        """For sentences."""
        return self.destination or "the destination"

    def refuses(self, uid: str) -> Obstacle | None:
        """Why an object under this transfer syntax is not taken; None: it is."""
        if self.syntaxes is not None and uid not in self.syntaxes:
            return Obstacle("destination.syntax", "acceptance", f"{self.name} does not take {short(uid)}")
        if not self.fragmentable and is_video(uid) and by_uid(uid).base_uid != uid:
            return Obstacle(
                "destination.fragments", "acceptance", f"{self.name} takes no fragmentable syntax ({short(uid)})"
            )
        return None

    def refuses_container(self, container: str) -> Obstacle | None:
        """Why a stream in this container is not taken; None: it is."""
        if self.containers is None or container in self.containers:
            return None
        wanted = " or ".join(sorted(self.containers))
        return Obstacle("destination.container", "acceptance", f"{self.name} wants {wanted}, not {container}")


@dataclass(frozen=True)
class Destinations:
    """All destinations of one item. None at all limits nothing."""

    each: tuple[Acceptance, ...] = ()

    @classmethod
    def of(cls, uris: Iterable[str], stated: Iterable[Acceptance] = ()) -> Destinations:
        """By their URIs; ``stated`` takes the place of what would be assumed.

        Raises:
            PolicyError: a URI is not understood.
        """
        known = {acceptance.destination: acceptance for acceptance in stated}
        return cls(tuple(known.get(uri) or Acceptance.of(uri) for uri in uris))

    def refuses(self, uid: str) -> Obstacle | None:
        """Why one of them does not take this transfer syntax; None: all do."""
        return next(filter(None, (each.refuses(uid) for each in self.each)), None)

    def refuses_container(self, container: str) -> Obstacle | None:
        """Why one of them does not take this container; None: all do."""
        return next(filter(None, (each.refuses_container(container) for each in self.each)), None)

    @property
    def smallest(self) -> Acceptance | None:
        """The one that takes the smallest instance; None where no size is limited."""
        limited = [each for each in self.each if each.max_bytes is not None]
        return min(limited, key=lambda each: each.max_bytes or 0, default=None)


def parse_acceptance(text: str) -> Acceptance:
    """``DEST syntaxes=… containers=… fragmentable=… max=…``, as ``--accepts`` takes it.

    Raises:
        PolicyError: the text is not understood.
    """
    at = next((found.start() for found in _FIRST.finditer(text)), len(text))  # a folder's name may hold spaces
    to, words = text[:at], text[at:].split()
    pairs = [word.partition("=") for word in words]
    given = {name: value for name, _, value in pairs}
    if not words or len(given) != len(words) or not given.keys() <= _READERS.keys():
        raise PolicyError(f"what {to} accepts is not understood", hint=ACCEPT_FORM)
    fields = dict(_READERS[name](value) for name, value in given.items())
    return Acceptance.of(parse_destination(to).uri).model_copy(update=fields)


def _syntaxes(text: str) -> tuple[str, object]:
    uids = frozenset(f"{ROOT}{word}" if word.startswith(".") else word for word in text.split(","))
    try:
        for uid in uids:
            by_uid(uid)
    except NoLegalPath as error:
        raise PolicyError(error.message, hint=ACCEPT_FORM) from error
    return "syntaxes", uids


def _containers(text: str) -> tuple[str, object]:
    words = frozenset(text.split(","))
    if not words <= CONTAINERS:
        raise PolicyError(
            f"{text} is no container of DICOM video", hint=f"Containers: {', '.join(sorted(CONTAINERS))}."
        )
    return "containers", words


def _fragmentable(text: str) -> tuple[str, object]:
    if text not in _YES:
        raise PolicyError(f"fragmentable={text} is not understood", hint="Write yes or no.")
    return "fragmentable", _YES[text]


def _max(text: str) -> tuple[str, object]:
    found = _SIZE.fullmatch(text)
    size = 0
    if found is not None:
        number, prefix, binary = found.groups()
        size = int(float(number) * (1024 if binary else 1000) ** _POWERS[prefix])
    if size < 1:
        raise PolicyError(f"{text} is no size", hint="Write it like 4GiB, 500MB or 2TB.")
    return "max_bytes", size


_READERS = {"syntaxes": _syntaxes, "containers": _containers, "fragmentable": _fragmentable, "max": _max}
