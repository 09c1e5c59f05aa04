"""One destination profile: what an archive takes or a viewer plays. A fact that is not known is absent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BeforeValidator, Field

from common.dicom.frame_syntaxes import KEPT_AS_THEY_ARE
from common.dicom.transfer_syntaxes import ROOT, is_video, short
from common.errors import PolicyError
from common.media import Value

CONTAINERS = frozenset({"mp4", "mpegts"})
"""What an encode or a rewrap can write; other words than these are no demand that could be met."""

ASSUMED = "assumed"
"""How the source of a fact begins that nobody has published: it says why it is believed."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)B?")
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}
_ACCEPTANCE = (
    "prefers",
    "fragmentable",
    "one_fragment",
    "index_first",
    "max_bytes",
    "commitment",
    "verify",
    "pdu_bytes",
)

T = TypeVar("T")


def size_of(text: str) -> int:
    """``4GiB``, ``500MB`` or ``65536`` → bytes.

    Raises:
        PolicyError: it is no size.
    """
    found = _SIZE.fullmatch(text)
    size = 0
    if found is not None:
        number, prefix, binary = found.groups()
        size = int(float(number) * (1024 if binary else 1000) ** _POWERS[prefix])
    if size < 1:
        raise PolicyError(f"{text} is no size", hint="Write it like 4GiB, 500MB or 2TB.")
    return size


def _size(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return size_of(value)
    except PolicyError as error:
        raise ValueError(error.message) from error


def _video_uid(value: object) -> object:
    uid = f"{ROOT}{value}" if isinstance(value, str) and value.startswith(".") else value
    if not isinstance(uid, str) or not is_video(uid):
        raise ValueError(f"{value} is no DICOM video transfer syntax")
    return uid


Bytes = Annotated[int, BeforeValidator(_size), Field(gt=0)]
Uid = Annotated[str, BeforeValidator(_video_uid)]


class Fact(Value, Generic[T]):
    """Something that is known, and where it is written."""

    value: T
    source: str = Field(min_length=8, description="document with version and section, or URL; or 'assumed: ' and why")

    @property
    def assumed(self) -> bool:
        """Nobody has published it."""
        return self.source.startswith(ASSUMED)


class DestinationProfile(Value):
    """What is known of one product. Everything can be overridden where it is used."""

    name: str = Field(pattern=r"[a-z0-9][a-z0-9-]*", description="how it is called in profile= and plays-in=")
    title: str = Field(min_length=1, description="for people")
    kind: Literal["archive", "viewer"]
    syntaxes: Fact[tuple[Uid, ...]] | None = Field(default=None, description="video transfer syntaxes that it takes")
    prefers: Fact[tuple[Uid, ...]] | None = Field(
        default=None, description="what an encode is made to where it can be, the best first; closes nothing"
    )
    containers: Fact[tuple[Literal["mp4", "mpegts"], ...]] | None = None
    fragmentable: Fact[bool] | None = Field(default=None, description="takes the twins .100.1 to .106.1")
    one_fragment: Fact[bool] | None = Field(default=None, description="wants the stream in one fragment")
    index_first: Fact[bool] | None = Field(default=None, description="wants an MP4's index at its beginning")
    max_bytes: Fact[Bytes] | None = Field(default=None, description="largest instance, bytes")
    commitment: Fact[Literal["yes", "no"]] | None = Field(default=None, description="storage commitment (PS3.4 J)")
    verify: Fact[Literal["none", "count", "sample", "all"]] | None = Field(
        default=None, description="proof where it does not commit"
    )
    pdu_bytes: Fact[Bytes] | None = Field(default=None, description="longest PDU that it takes, bytes")
    find_limit: Fact[int] | None = Field(default=None, description="most answers to one query")
    read_back: Fact[Literal["get", "move", "web"]] | None = Field(
        default=None, description="how instances are read back"
    )
    notes: tuple[str, ...] = ()

    @property
    def facts(self) -> Iterator[tuple[str, Fact[Any]]]:
        """What is known, by name of the field."""
        for name in type(self).model_fields:
            if isinstance(fact := getattr(self, name), Fact):
                yield name, fact

    def acceptance(self) -> dict[str, Any]:
        """Fields of an Acceptance that this profile fills. A profile speaks of video: frames are not limited by it."""
        known = {name: fact.value for name, fact in self.facts}
        fields = {name: known[name] for name in _ACCEPTANCE if name in known}
        if "syntaxes" in known:
            fields["syntaxes"] = frozenset((*known["syntaxes"], *KEPT_AS_THEY_ARE))
        if "containers" in known:
            fields["containers"] = frozenset(known["containers"])
        return fields | {"profile": self.name}


def said(value: object) -> str:
    """A fact's value for people."""
    if isinstance(value, tuple):
        return ", ".join(short(str(one)) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
