"""WorkOrder and WorkResult: all that crosses the broker, versioned. No patient data and no source path may appear here.

An order names bytes by object keys. Keys are opaque: ``sources/<item id>``, ``headers/<digest>.json``,
``results/<…>/<…>/instance.dcm``. The store behind them is the worker's own setting.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from common.errors import Actor, CinefarmError
from common.media import Description, Value
from common.recipes import Audio, Gate, Recipe

WIRE_VERSION = 1


class Path(StrEnum):
    """How a source becomes legal, cheapest first."""

    KEEP = "keep"  # the DICOM bytes are legal as they are
    REWRAP = "rewrap"  # same bitstream, new container or header; nothing is decoded
    REAUDIO = "reaudio"  # same video bitstream, only the sound is made anew
    ENCODE = "encode"


class Plan(Value):
    """The planner's decision for one item, with its reason on the record."""

    path: Path
    reason: str = Field(description="one sentence for people")
    sop_class_uid: str
    transfer_syntax_uid: str
    recipe: Recipe | None = Field(default=None, description="ENCODE only: the rung to try")
    rung: int = 0
    rungs: int = 0
    gate: Gate | None = None
    audio: Audio = Audio.STRIP
    new_container: bool = Field(
        default=False, description="REWRAP: FFmpeg writes an MP4; else the source's own container is carried over"
    )
    queue: str = "cpu"
    estimated_seconds: float = 0.0
    estimated_bytes: int = 0


class OrderBase(Value):
    """What every order carries."""

    version: Literal[1] = 1
    order_id: str = Field(description="one attempt at one piece of work; the lease and the attempt count hang on it")
    item_id: str
    attempt: int = Field(ge=1)


class DescribeOrder(OrderBase):
    """Read what a source is. Result: DescribeDone."""

    kind: Literal["describe"] = "describe"
    source_key: str
    name_hint: str = Field(default="", description="lower-case extension of the source, e.g. '.mpg'; never its name")


class TranscodeOrder(OrderBase):
    """Make, measure, check and package one instance. Result: TranscodeDone."""

    kind: Literal["transcode"] = "transcode"
    source_key: str
    description: Description
    plan: Plan
    header_key: str | None = Field(
        default=None, description="DICOM JSON with patient and study data (plain video only)"
    )
    output_prefix: str = Field(description="results/… : instance.dcm, evidence.json and scores.npz go below it")
    sop_instance_uid: str = Field(description="UID of the instance to make (KEEP: the source's own)")
    original_instance_uid: str = Field(default="", description="source's SOP Instance UID; empty for plain video")


class DeliverOrder(OrderBase):
    """Bring one produced instance to one destination. Result: DeliverDone."""

    kind: Literal["deliver"] = "deliver"
    destination: str = Field(description="URI: a folder path or dicom://AET@host:port")
    instance_key: str
    instance_digest: str
    instance_bytes: int
    evidence_keys: tuple[str, ...] = ()
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str


WorkOrder = Annotated[DescribeOrder | TranscodeOrder | DeliverOrder, Field(discriminator="kind")]
ORDERS: TypeAdapter[DescribeOrder | TranscodeOrder | DeliverOrder] = TypeAdapter(WorkOrder)


class Pooled(Value):
    """One metric over all frames: per-frame values pooled in five ways."""

    mean: float
    harmonic_mean: float
    min: float
    p1: float
    p5: float


class Verdict(Value):
    """Whether a gate was met, with each threshold that was missed in words."""

    passed: bool
    misses: tuple[str, ...] = ()


class Finding(Value):
    """One result of a conformance rule."""

    severity: Literal["error", "warning", "note"]
    rule: str = Field(description="stable id, e.g. 'h264.level'")
    clause: str = Field(description="e.g. 'PS3.5 8.2.7'")
    found: str
    required: str
    remedy: str = ""


class DescribeDone(Value):
    """A description."""

    kind: Literal["describe"] = "describe"
    description: Description


class TranscodeDone(Value):
    """A produced instance, or the evidence of why there is none (verdict not passed, or findings with errors)."""

    kind: Literal["transcode"] = "transcode"
    instance_key: str = ""
    instance_digest: str = ""
    instance_bytes: int = 0
    evidence_keys: tuple[str, ...] = ()
    study_uid: str = ""
    series_uid: str = ""
    sop_instance_uid: str = ""
    sop_class_uid: str = ""
    transfer_syntax_uid: str = ""
    scores: dict[str, Pooled] = Field(default_factory=dict)
    verdict: Verdict = Verdict(passed=True)
    findings: tuple[Finding, ...] = ()
    output_frames: int = 0
    video_bytes: int = 0
    reused: bool = Field(default=False, description="an earlier attempt's result was found and used")


class DeliverDone(Value):
    """An object that arrived, and how that was proven."""

    kind: Literal["deliver"] = "deliver"
    location: str = Field(description="path below the destination, or the SOP Instance UID in an archive")
    proof: str = Field(description="'sha256' (bytes compared), 'status 0000' (C-STORE answer), ...")


class Failure(Value):
    """An error on its way over the broker."""

    code: str
    actor: Actor
    retryable: bool
    message: str
    hint: str = ""
    detail: str = Field(default="", description="command and last words of a program; no patient data")

    @classmethod
    def of(cls, error: CinefarmError) -> Failure:
        """The wire form of an error."""
        return cls(
            code=error.code,
            actor=error.actor,
            retryable=error.retryable,
            message=error.message,
            hint=error.hint,
            detail=getattr(error, "stderr_tail", ""),
        )


Done = Annotated[DescribeDone | TranscodeDone | DeliverDone, Field(discriminator="kind")]


class WorkResult(Value):
    """The answer to an order: exactly one of ``done`` and ``failure``."""

    version: Literal[1] = 1
    order_id: str
    item_id: str
    attempt: int
    worker: str = Field(description="host and process, for the operator")
    seconds: float = Field(description="wall time of the attempt, s")
    done: Done | None = None
    failure: Failure | None = None
