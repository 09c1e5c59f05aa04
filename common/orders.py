"""WorkOrder and WorkResult: all that crosses the broker, versioned. No patient data and no source path may appear here.

An order names bytes by object keys. Keys are opaque: ``sources/<item id>``, ``headers/<digest>.json``,
``results/<…>/<…>/instance.dcm``. The store behind them is the worker's own setting.
"""

from __future__ import annotations

import zlib
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from common.errors import Actor, CinefarmError
from common.frame_recipes import FrameRecipe
from common.handling import Handling
from common.header_patterns import HeaderPatterns
from common.media import Description, Ratio, Value
from common.recipes import Audio, Gate, Recipe
from common.versions import FIRST_VERSION

Verify = Literal["unknown", "none", "count", "sample", "all"]
"""Proof where an archive does not commit: its own count, or instances read back; unknown: counted where it can be asked."""

SAMPLE_ONE_IN = 20
"""Instances of which one is read back, where a sample is asked for."""

HEADER_BYTES = 1 << 20
"""Room left for a part's header beside its stream, or a sixteenth of a small limit."""


class Path(StrEnum):
    """How a source becomes legal, cheapest first."""

    KEEP = "keep"  # the DICOM bytes are legal as they are
    REWRAP = "rewrap"  # same bitstream, new container or header; nothing is decoded
    REAUDIO = "reaudio"  # same video bitstream, only the sound is made anew
    ENCODE = "encode"
    FRAMES = "frames"  # each frame coded as an image of its own


class Forced(Value):
    """Why a cheaper path was closed."""

    path: Path = Field(description="the path that was not open")
    rule: str = Field(description="id of the rule: of the conformance rules, or destination.…, policy.…, source.…")
    clause: str = Field(description="e.g. 'PS3.5 8.2.7'; 'acceptance' and 'policy' are no clauses of a standard")
    why: str = Field(description="one sentence for people")


class Split(Value):
    """One source becomes several instances, cut at GOP borders, that play alone and refer to each other."""

    parts: int = Field(ge=2, description="about how many: planned from the size, key frames and real sizes decide")
    limit_bytes: int = Field(gt=0, description="most bytes of a part: of its stream, or of its file (destination.size)")
    rule: str
    clause: str
    why: str = Field(description="one sentence for people")

    @property
    def of_the_file(self) -> bool:
        """True when the limit counts the header too."""
        return self.rule == "destination.size"

    @property
    def stream_bytes(self) -> int:
        """Most bytes of a part's stream; where its file is limited, room for a header is left."""
        return self.limit_bytes - (min(HEADER_BYTES, self.limit_bytes // 16) if self.of_the_file else 0)


class Coercion(Value):
    """The site's rules for identifiers, to be applied to a header (common.dicom.identifiers)."""

    key: str = Field(description="identifiers/<digest>.json in the object store: they hold patient identifiers")
    moment: str = Field(description="DT: when the item was planned; it stands in the header, so it is the plan's")


class Waiver(Value):
    """A person's decision that a result may leave although it misses its gate; no words of theirs cross the broker."""

    decision: str = Field(description="id of the decision: who, when and why stand in the ledger")
    misses: tuple[str, ...] = Field(description="what was missed, as the verdict says it; nothing else is let through")

    def covers(self, misses: tuple[str, ...]) -> bool:
        """True when the same figures are missed and no others: a processor's last decimal may differ, a figure may not."""
        accepted = {_figure(miss) for miss in self.misses}
        return all(_figure(miss) in accepted for miss in misses)


def _figure(miss: str) -> tuple[str, ...]:
    """Metric and statistic of a miss (workers.quality), without its number."""
    return tuple(miss.split()[:2])


class Plan(Value):
    """The planner's decision for one item, with its reason on the record."""

    path: Path
    reason: str = Field(description="one sentence for people")
    sop_class_uid: str
    transfer_syntax_uid: str
    recipe: Recipe | None = Field(default=None, description="ENCODE only: the rung to try")
    frame_recipe: FrameRecipe | None = Field(default=None, description="FRAMES only: the rung to try")
    rung: int = 0
    rungs: int = 0
    gate: Gate | None = None
    profile: str = Field(default="", description="name of the profile that gave recipe and gate")
    rule: str = Field(default="", description="the rule of the job that chose that profile; empty: the job's own")
    audio: Audio = Audio.STRIP
    handling: Handling = Field(default=Handling(), description="the policies that change this item")
    new_container: bool = Field(
        default=False, description="REWRAP: FFmpeg writes an MP4; else the source's own container is carried over"
    )
    queue: str = "cpu"
    fallback: str = Field(default="", description="why a device gave this item back: it never goes to one again")
    uncut: str = Field(default="", description="why the bitstream as it is could not be cut into parts: it is encoded")
    estimated_seconds: float = 0.0
    estimated_bytes: int = 0
    forced_by: tuple[Forced, ...] = Field(
        default=(), description="each cheaper path, cheapest first, and what closed it"
    )
    split: Split | None = Field(default=None, description="None: one instance holds it all")
    limit: Split | None = Field(default=None, description="applies should one instance not hold it after all")
    coercion: Coercion | None = Field(default=None, description="None: identifiers stay as they are")
    header_only: bool = Field(
        default=False,
        description="REWRAP: what would be kept but for its identifiers; all else is carried over to the byte",
    )
    waiver: Waiver | None = Field(default=None, description="None: what misses the gate does not leave")
    qualities: tuple[int, int] | None = Field(
        default=None,
        description="finest and coarsest number of chunks that found their own; a worker's note for the header",
    )

    def lets_out(self, verdict: Verdict) -> bool:
        """Whether a result so judged may be packaged: it passed, or a person accepted just these misses."""
        return verdict.passed or (self.waiver is not None and self.waiver.covers(verdict.misses))


class Retrieval(Value):
    """Where a source lies that workers bring to the store themselves, under the order's source key, should it not be there.

    UIDs and an address: no name and no path may stand here.
    """

    place: str = Field(description="URI of the peer: dicom://AET@host:port or dicomweb+https://host/path")
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str = Field(default="", description="empty: the peer did not say")
    method: Literal["get", "move", "web"] = Field(
        default="get", description="C-GET; C-MOVE to our own listener; WADO-RS"
    )
    bytes_per_second: int | None = Field(default=None, description="limit of the place, over all workers")
    sharers: int = Field(default=1, ge=1, description="fetches from it at a time: a worker's share without the broker")


class OrderBase(Value):
    """What every order carries."""

    version: int = Field(default=FIRST_VERSION, ge=1, description="lowest that reads it: set where it is sent")
    order_id: str = Field(description="one attempt at one piece of work; the lease and the attempt count hang on it")
    item_id: str
    attempt: int = Field(ge=1)


class DescribeOrder(OrderBase):
    """Read what a source is. Result: DescribeDone."""

    kind: Literal["describe"] = "describe"
    source_key: str
    retrieval: Retrieval | None = Field(default=None, description="None: the source is in the store")
    name_hint: str = Field(default="", description="lower-case extension of the source, e.g. '.mpg'; never its name")
    identifiers_key: str | None = Field(
        default=None, description="rules that are tried on the header; None: there are none"
    )
    header_patterns: tuple[HeaderPatterns | None, ...] = Field(
        default=(), description="of each rule of the job; the answer is the numbers of those that fit the header"
    )


class TranscodeOrder(OrderBase):
    """Make, measure, check and package one instance. Result: TranscodeDone."""

    kind: Literal["transcode"] = "transcode"
    source_key: str
    retrieval: Retrieval | None = Field(default=None, description="None: the source is in the store")
    description: Description
    plan: Plan
    header_key: str | None = Field(
        default=None, description="DICOM JSON with patient and study data (plain video only)"
    )
    output_prefix: str = Field(description="results/… : instance.dcm, evidence.json and scores.npz go below it")
    sop_instance_uid: str = Field(description="UID of the instance to make (KEEP: the source's own)")
    original_instance_uid: str = Field(default="", description="source's SOP Instance UID; empty for plain video")


class Timeline(Value):
    """The clock of a cut source: how its time stamps become frame numbers and output times."""

    time_base: Ratio = Field(description="seconds of one tick of the source's video stream")
    shift: int = Field(description="ticks (whole seconds) added to every time stamp, so that none is below zero")
    first_pts: int = Field(description="time stamp of frame 0, ticks")
    start: Ratio = Field(default=Fraction(0), description="when the video starts after the file does, s")


class Part(Value):
    """Frames ``first`` to ``last`` (exclusive, numbered from 0 in display order) of a source of ``total`` frames.

    The encoder gets exactly these. One neighbour on either side, where there is one, is read for the measurement alone:
    VMAF's motion feature looks at the reference pictures before and after.
    """

    first: int = Field(ge=0)
    last: int
    total: int
    read_from: int | None = Field(default=None, description="time stamp of the key frame to read from; None: the start")
    first_pts: int | None = Field(default=None, description="time stamp of the first frame to read; None: no clock")
    last_pts: int | None = Field(default=None, description="time stamp of the last frame to read")
    start_ticks: int | None = Field(
        default=None, description="when frame ``first`` is shown after frame 0, on the 90 kHz clock of variable rates"
    )

    @property
    def frames(self) -> int:
        """Frames to encode."""
        return self.last - self.first

    @property
    def lead_in(self) -> int:
        """Frames read before the first: 0 or 1."""
        return int(self.first > 0)

    @property
    def lead_out(self) -> int:
        """Frames read after the last: 0 or 1."""
        return int(self.last < self.total)

    @property
    def frames_read(self) -> int:
        """Frames to decode and measure."""
        return self.lead_in + self.frames + self.lead_out


class SplitOrder(OrderBase):
    """Find where a source can be cut into about ``wanted`` parts. Result: SplitDone."""

    kind: Literal["split"] = "split"
    source_key: str
    retrieval: Retrieval | None = Field(default=None, description="None: the source is in the store")
    description: Description
    wanted: int = Field(ge=2)
    plan: Plan | None = Field(default=None, description="how it will be encoded; None: no quality number is looked for")


class ChunkOrder(OrderBase):
    """Encode and measure one part of a source. Result: ChunkDone."""

    kind: Literal["chunk"] = "chunk"
    source_key: str
    retrieval: Retrieval | None = Field(default=None, description="None: the source is in the store")
    description: Description
    plan: Plan = Field(description="its recipe is the chunk's: this rung of the ladder, with the chunk's thread count")
    part: Part
    timeline: Timeline | None = Field(default=None, description="None: frames without a clock of their own")
    output_prefix: str = Field(description="chunks/… : stream.nut, scores.npz and result.json go below it")


class ChunkRef(Value):
    """A chunk that was made, as the assembly needs it."""

    part: Part
    output_prefix: str
    rung: int
    worker: str


class AssembleOrder(OrderBase):
    """Join all chunks of a source into one stream; then judge, package and check as always. Result: TranscodeDone."""

    kind: Literal["assemble"] = "assemble"
    transcode: TranscodeOrder = Field(
        description="the work as one worker would have done it, its address and UID included"
    )
    timeline: Timeline | None = None
    chunks: tuple[ChunkRef, ...] = Field(description="in order of time, without gap or overlap")


class InstancePart(Value):
    """One of several instances that one source became: frames ``first_frame`` (from 0) and on, in display order."""

    instance_key: str
    instance_digest: str
    instance_bytes: int
    sop_instance_uid: str
    first_frame: int = 0
    frames: int = 0
    video_bytes: int = 0
    pixel_digest: str = Field(
        default="",
        description="SHA-256 of all fragments of Pixel Data, padding included; empty: a copied stream, which has its own digest",
    )


class DeliverOrder(OrderBase):
    """Bring what one item became to one destination: one instance, or its parts one after the other. Result: DeliverDone."""

    kind: Literal["deliver"] = "deliver"
    destination: str = Field(description="URI: a folder path, dicom://AET@host:port or dicomweb+https://host/path")
    instance_key: str
    instance_digest: str
    instance_bytes: int
    evidence_keys: tuple[str, ...] = ()
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    bytes_per_second: int | None = Field(default=None, description="limit of the destination, over all workers")
    sharers: int = Field(default=1, ge=1, description="deliveries to it at a time: a worker's share without the broker")
    verify: Verify = Field(
        default="unknown", description="proof of arrival that is asked for, where STOW-RS is the way"
    )
    pdu_bytes: int | None = Field(default=None, description="longest PDU of the destination; None: by the settings")
    keep_open: bool = Field(
        default=True, description="the association may wait for the next object; not where their number is limited"
    )
    parts: tuple[InstancePart, ...] = Field(default=(), description="of a split item; the fields above are the first's")

    @property
    def reads_back(self) -> bool:
        """Whether what arrived is read back and compared: always, or where the sample draws this UID, at each attempt the same."""
        drawn = zlib.crc32(self.sop_instance_uid.encode()) % SAMPLE_ONE_IN == 0
        return self.verify == "all" or (self.verify == "sample" and drawn)

    @property
    def each(self) -> tuple[DeliverOrder, ...]:
        """An order for every instance, in order of time."""
        fields = ("instance_key", "instance_digest", "instance_bytes", "sop_instance_uid")
        each = ({name: getattr(part, name) for name in fields} for part in self.parts)
        return tuple(self.model_copy(update=one | {"parts": ()}) for one in each) or (self,)


class Awaited(Value):
    """One instance that an archive has taken and is to prove that it keeps."""

    delivery: int = Field(description="the ledger's number of its delivery")
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    instance_key: str = Field(default="", description="our own copy, which what is read back must equal")


class CommitOrder(OrderBase):
    """Ask an archive to commit itself to instances that it has taken (PS3.4 J.3.2). Result: CommitDone."""

    kind: Literal["commit"] = "commit"
    destination: str = Field(description="URI: dicom://AET@host:port")
    transaction_uid: str
    instances: tuple[Awaited, ...]


class VerifyOrder(OrderBase):
    """Ask an archive what it holds. Result: VerifyDone."""

    kind: Literal["count", "read"] = Field(description="find each instance by C-FIND; read it back and compare")
    destination: str = Field(description="URI: dicom://AET@host:port")
    instances: tuple[Awaited, ...]


AnyOrder = (
    DescribeOrder | TranscodeOrder | SplitOrder | ChunkOrder | AssembleOrder | DeliverOrder | CommitOrder | VerifyOrder
)
WorkOrder = Annotated[AnyOrder, Field(discriminator="kind")]
ORDERS: TypeAdapter[AnyOrder] = TypeAdapter(WorkOrder)


class Pooled(Value):
    """One metric over all frames: per-frame values pooled in six ways (common.recipes.Threshold defines each)."""

    mean: float
    harmonic_mean: float
    min: float
    p1: float
    p5: float
    worst_second: float | None = Field(default=None, description="None: pooled before this figure existed")
    p95: float | None = Field(default=None, description="this and the next two: of metrics where lower is better alone")
    p99: float | None = None
    max: float | None = None


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
    """A produced instance, or the evidence of why there is none (verdict not passed, or findings with errors).

    Of a split source ``instance_key``, ``instance_digest`` and ``sop_instance_uid`` are the first part's, and the bytes are
    those of all parts together.
    """

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
    remarks: tuple[str, ...] = Field(
        default=(),
        description="what a person should know of the source's pictures, times and sound; keeps nothing back",
    )
    findings: tuple[Finding, ...] = ()
    output_frames: int = 0
    video_bytes: int = 0
    reused: bool = Field(default=False, description="an earlier attempt's result was found and used")
    pixel_digest: str = Field(
        default="",
        description="SHA-256 of all fragments of Pixel Data, padding included; empty: a copied stream, which has its own digest",
    )
    coerced: bool = Field(default=False, description="the site's rules gave it other identifiers")
    parts: tuple[InstancePart, ...] = Field(default=(), description="of a split source, in order of time; else empty")
    quality_number: int | None = Field(
        default=None, description="crf, cq or quantiser scale that a search found; None: the recipe's, or none"
    )
    withheld_key: str = Field(
        default="", description="stream (MP4) of a result that missed its gate for good, to look at"
    )

    @property
    def instances(self) -> tuple[InstancePart, ...]:
        """All that was stored: the parts, the one instance, or nothing."""
        if self.parts or not self.instance_key:
            return self.parts
        whole = {name: getattr(self, name) for name in ("instance_key", "instance_digest", "instance_bytes")}
        return (
            InstancePart(
                **whole,
                sop_instance_uid=self.sop_instance_uid,
                frames=self.output_frames,
                pixel_digest=self.pixel_digest,
                video_bytes=self.video_bytes,
            ),
        )


class SplitDone(Value):
    """Where a source is cut; fewer than two parts: not at all, ``reason`` says why."""

    kind: Literal["split"] = "split"
    parts: tuple[Part, ...] = ()
    timeline: Timeline | None = None
    reason: str = ""
    quality: int | None = Field(
        default=None,
        description="the quality number that samples of the whole promise; None: not looked for, or not found",
    )


class ChunkDone(Value):
    """An encoded and measured part, whether or not it met the gate."""

    kind: Literal["chunk"] = "chunk"
    output_prefix: str
    frames: int
    stream_bytes: int
    stream_digest: str
    verdict: Verdict
    scores: dict[str, Pooled]
    encoder: str = ""
    argv: tuple[str, ...] = Field(default=(), description="FFmpeg's arguments, places left out")
    complaints: str = Field(default="", description="the decoder's own words; no path, no patient data")
    quality: int | None = Field(
        default=None, description="the quality number it was encoded at; None: of an older worker"
    )
    search: dict[str, Any] | None = Field(
        default=None, description="how that was found, as in the evidence; None: it was given"
    )
    reused: bool = False


class DeliverDone(Value):
    """An object that arrived, and how that was proven."""

    kind: Literal["deliver"] = "deliver"
    location: str = Field(
        description="path below the destination, or the SOP Instance UID in an archive; a line a part"
    )
    proof: str = Field(description="'sha256' (bytes compared), 'status 0000' (C-STORE answer), ...")
    warning: str = Field(
        default="", description="why it must be read back before it counts: stored with a warning, or there before"
    )


class Uncommitted(Value):
    """An instance that an archive does not commit itself to."""

    sop_instance_uid: str
    reason: int = Field(description="Failure Reason (0008,1197): PS3.4 J.4.1.2, PS3.3 C.14.1.1; 0: it gave none")


class CommitReport(Value):
    """An archive's answer to a transaction (N-EVENT-REPORT, PS3.4 J.3.3)."""

    transaction_uid: str
    committed: tuple[str, ...] = Field(default=(), description="SOP Instance UIDs")
    failed: tuple[Uncommitted, ...] = ()


class CommitDone(Value):
    """What an archive said when it was asked. Without ``report`` it has not answered yet: that comes later, or never."""

    kind: Literal["commit"] = "commit"
    refused: str = Field(default="", description="why it does not commit at all; empty: it took the request")
    report: CommitReport | None = None


class Different(Value):
    """An instance that came back other than it was sent, in words without values."""

    sop_instance_uid: str
    words: str


class VerifyDone(Value):
    """What an archive holds of the instances of a VerifyOrder."""

    kind: Literal["verify"] = "verify"
    unable: str = Field(default="", description="why it cannot be asked at all; empty: it was")
    found: tuple[str, ...] = Field(default=(), description="SOP Instance UIDs")
    missing: tuple[str, ...] = ()
    different: tuple[Different, ...] = ()
    read: bool = Field(default=False, description="the found ones were read back and compared")
    proof: str = Field(default="", description="how the found ones were proven, for people")


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


AnyDone = DescribeDone | TranscodeDone | SplitDone | ChunkDone | DeliverDone | CommitDone | VerifyDone
Done = Annotated[AnyDone, Field(discriminator="kind")]


class WorkResult(Value):
    """The answer to an order: exactly one of ``done`` and ``failure``."""

    version: int = Field(default=FIRST_VERSION, ge=1, description="lowest that reads it")
    order_id: str
    item_id: str
    attempt: int
    worker: str = Field(description="host and process, for the operator")
    seconds: float = Field(description="wall time of the attempt, s")
    done: Done | None = None
    failure: Failure | None = None
