"""What destinations take: pure values that the planner asks. One item becomes one instance, so all of its destinations must take it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pydantic import Field

from common.destinations import DicomDestination, parse_destination
from common.dicom.sop_classes import class_name
from common.dicom.transfer_syntaxes import VIDEO_SYNTAXES, by_uid, is_video, short
from common.media import Description, Value
from common.network.probe import Probed
from common.orders import Verify


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
    prefers: tuple[str, ...] = Field(
        default=(), description="transfer syntax UIDs that an encode is made to where it can be, the best first"
    )
    fragmentable: bool = Field(
        default=True,
        description="takes the fragmentable twins .100.1 to .106.1; .107 and .108 are themselves fragmentable",
    )
    one_fragment: bool = Field(
        default=False, description="wants the stream in one fragment, whatever the syntax allows"
    )
    index_first: bool = Field(default=False, description="wants an MP4's index (moov) before its samples")
    max_bytes: int | None = Field(default=None, gt=0, description="largest instance, bytes")
    commitment: Literal["yes", "no", "unknown"] = Field(
        default="unknown",
        description="storage commitment (PS3.4 J): unknown is asked for and done without where refused",
    )
    verify: Verify = Field(
        default="unknown",
        description="proof where an archive does not commit: its own count, or instances read back; unknown is counted, and done "
        "without where queries are refused",
    )
    pdu_bytes: int | None = Field(
        default=None, ge=4096, description="longest PDU to send, bytes; None: by the settings"
    )
    refused: frozenset[tuple[str, str]] = Field(
        default=frozenset(),
        description="pairs of SOP class and transfer syntax that it did not accept when it was probed; none where syntaxes are stated",
    )

    profile: str = Field(default="", description="the destination profile that this was made from; empty: none")
    viewers: tuple[Acceptance, ...] = Field(default=(), description="viewers of it that must play every instance")

    @classmethod
    def of(cls, uri: str) -> Acceptance:
        """What is assumed where nobody says: a folder takes all; an archive no fragmentable twin, since none that we tried does.

        Raises:
            PolicyError: the URI is not understood.
        """
        archive = isinstance(parse_destination(uri), DicomDestination)
        return cls(destination=uri, fragmentable=not archive)

    def learned(self, probed: Probed) -> Acceptance:
        """With what a probe told of that no person stated; what a profile knows of its product gives way."""
        told: dict[str, object] = {}
        if self.syntaxes is None or self.profile:
            twins = {(each.base_uid, each.uid) for each in VIDEO_SYNTAXES if each.base_uid != each.uid}
            taken = set(probed.taken)
            both = [(uid, twin) in taken for uid, syntax in taken for base, twin in twins if syntax == base]
            told |= {"refused": frozenset(probed.refused), "fragmentable": bool(both) and all(both)}
        if self.commitment == "unknown" and not probed.services.get("commitment", False):
            told["commitment"] = "no"
        return self.model_copy(update=told)

    @property
    def name(self) -> str:
        """For sentences."""
        name = self.destination or "the destination"
        return f"{name} (profile {self.profile})" if self.profile else name

    def refuses(self, uid: str, sop_class_uid: str = "") -> Obstacle | None:
        """Why an object under this transfer syntax, of this class where it is known, is not taken; None: it is."""
        if self.syntaxes is not None and uid not in self.syntaxes:
            return Obstacle("destination.syntax", "acceptance", f"{self.name} does not take {short(uid)}")
        if (sop_class_uid, uid) in self.refused:
            why = f"{self.name} took no {short(uid)} of class {class_name(sop_class_uid)} when it was probed"
            return Obstacle("destination.context", "acceptance", why)
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

    def refuses_layout(self, source: Description) -> Obstacle | None:
        """Why a DICOM video is not taken as it lies in its file, though its syntax and container are; None: it is."""
        count = source.dicom.fragment_count if source.dicom is not None else None
        if self.one_fragment and count is not None and count > 1:
            return Obstacle("destination.fragments", "acceptance", f"{self.name} wants one fragment, not {count}")
        if self.index_first and source.moov_first is False:
            why = f"{self.name} wants the index (moov) of an MP4 at its beginning"
            return Obstacle("destination.index", "acceptance", why)
        return None


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

    @cached_property
    def limits(self) -> tuple[Acceptance, ...]:
        """Every destination, and every viewer of it: an instance goes to all."""
        return tuple(limit for each in self.each for limit in (each, *each.viewers))

    @cached_property
    def prefers(self) -> tuple[str, ...]:
        """What an encode is made to where it can be, the best first; of two destinations the first one's wish goes first."""
        return tuple(dict.fromkeys(uid for each in self.limits for uid in each.prefers))

    def refuses(self, uid: str, sop_class_uid: str = "") -> Obstacle | None:
        """Why one of them does not take this transfer syntax, for this class where it is known; None: all do."""
        return next(filter(None, (each.refuses(uid, sop_class_uid) for each in self.limits)), None)

    def refuses_container(self, container: str) -> Obstacle | None:
        """Why one of them does not take this container; None: all do."""
        return next(filter(None, (each.refuses_container(container) for each in self.limits)), None)

    def refuses_layout(self, source: Description) -> Obstacle | None:
        """Why one of them does not take a DICOM video as it lies in its file; None: all do."""
        return next(filter(None, (each.refuses_layout(source) for each in self.limits)), None)

    @property
    def smallest(self) -> Acceptance | None:
        """The one that takes the smallest instance; None where no size is limited."""
        limited = [each for each in self.limits if each.max_bytes is not None]
        return min(limited, key=lambda each: each.max_bytes or 0, default=None)

    @property
    def one_fragment(self) -> Acceptance | None:
        """The first that wants one fragment; None: none does."""
        return next((each for each in self.limits if each.one_fragment), None)
