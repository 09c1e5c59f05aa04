"""Pure: from a ledger row to the order a worker gets. Same item and plan, same keys and UIDs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from uuid import uuid4

from common import __version__
from common.dicom import uids
from common.handling import AS_IT_IS
from common.header_patterns import HeaderPatterns
from common.media import Description
from common.orders import DeliverOrder, DescribeOrder, Part, Path, Plan, Retrieval, TranscodeDone, TranscodeOrder
from common.recipes import settled
from orchestrator.frame_planner import keeps_identity
from orchestrator.ledger.schema import Delivery, Item

_ARRIVAL = "arrival:"


def new_order_id() -> str:
    """A fresh name for one attempt."""
    return uuid4().hex


def source_key(item: Item) -> str:
    """Where the store shows this item's source: what the listener received lies there already, and stays there."""
    return item.source.removeprefix(_ARRIVAL) if is_arrival(item) else f"sources/{item.id}"


def arrival_source(key: str) -> str:
    """``Item.source`` of what the listener received under this key of the store."""
    return f"{_ARRIVAL}{key}"


def is_arrival(item: Item) -> bool:
    """True when the listener received this item's source, so that ours may be the only copy."""
    return item.source.startswith(_ARRIVAL)


def work_digest(plan: Plan, cuts: Sequence[int] = ()) -> str:
    """What is made, apart from the source: SHA-256 over path, class, syntax, recipe, audio, handling and size of parts, hexadecimal.

    ``cuts``: first frames of the chunks that the video is made of: they shape its bytes.
    """
    recipe = plan.recipe or plan.frame_recipe
    return _digest(
        {
            **({"cuts": list(cuts)} if cuts else {}),
            **({"split": plan.split.limit_bytes} if plan.split else {}),
            **({"handling": plan.handling.model_dump(mode="json")} if plan.handling != AS_IT_IS else {}),
            "path": plan.path,
            "class": plan.sop_class_uid,
            "syntax": plan.transfer_syntax_uid,
            "recipe": recipe.digest if recipe else None,
            "audio": plan.audio,
        }
    )


def output_prefix(digest: str, header_key: str | None, plan: Plan, cuts: Sequence[int] = ()) -> str:
    """The result's address: source digest, then everything that shapes the output, our own version included."""
    coerced = {"identifiers": plan.coercion.key, "header_only": plan.header_only} if plan.coercion else {}
    waived = {"waived": plan.waiver.decision} if plan.waiver else {}  # its evidence names the decision
    address = _digest(
        {"work": work_digest(plan, cuts), "header": header_key, "version": __version__, "gate": _gate(plan)}
        | coerced
        | waived
    )
    return f"results/{digest[:2]}/{digest}/{address[:32]}"


def chunk_prefix(digest: str, plan: Plan, part: Part) -> str:
    """A chunk's address: source digest, then range and all that shapes its bytes and its verdict."""
    frames = [part.first, part.last, part.total]
    address = _digest({"work": work_digest(plan), "frames": frames, "version": __version__, "gate": _gate(plan)})
    return f"chunks/{digest[:2]}/{digest}/{address[:32]}"


def instance_uid(description: Description, header_key: str | None, plan: Plan, cuts: Sequence[int] = ()) -> str:
    """SOP Instance UID of the output: the source's own when its bytes or all its values are kept, else derived from both.

    Coerced identifiers change no UID (PS3.3 Table C.12-1: it "does not change during subsequent coercion").
    """
    dicom = description.dicom
    kept = plan.path is Path.KEEP or plan.header_only or keeps_identity(description, plan)
    if dicom is not None and kept:
        return dicom.sop_instance_uid
    origin = dicom.sop_instance_uid if dicom else f"{description.digest}:{header_key}"
    return uids.instance_uid(origin, work_digest(plan, cuts))


def retrieval(item: Item) -> Retrieval | None:
    """Where workers bring an item's source from, should the store not have it."""
    return None if item.retrieval is None else Retrieval.model_validate(item.retrieval)


def describe_order(
    item: Item,
    attempt: int,
    identifiers_key: str | None = None,
    header_patterns: tuple[HeaderPatterns | None, ...] = (),
) -> DescribeOrder:
    """The order to read what an item's source is, whether the job's rules give it other identifiers, and which rules fit its header."""
    # an instance's name is its UID, which has no extension
    dot = item.name.rfind(".") if item.retrieval is None else -1
    extension = item.name[dot:].lower() if dot > item.name.rfind("/") else ""
    hint = extension if len(extension) <= 6 and extension[1:].isalnum() else ""
    return DescribeOrder(
        order_id=new_order_id(),
        item_id=item.id,
        attempt=attempt,
        source_key=source_key(item),
        retrieval=retrieval(item),
        name_hint=hint,
        identifiers_key=identifiers_key,
        header_patterns=header_patterns,
    )


def transcode_order(item: Item, attempt: int, *, plan: Plan | None = None, cuts: Sequence[int] = ()) -> TranscodeOrder:
    """The order to make an item's instance; ``plan`` and ``cuts``: by chunks, in another way than its own plan says."""
    description = Description.model_validate(item.description)
    plan = plan or Plan.model_validate(item.plan)
    return TranscodeOrder(
        order_id=new_order_id(),
        item_id=item.id,
        attempt=attempt,
        source_key=source_key(item),
        retrieval=retrieval(item),
        description=description,
        plan=plan,
        header_key=None if description.dicom else item.header_key,
        output_prefix=output_prefix(description.digest, item.header_key, plan, cuts),
        sop_instance_uid=instance_uid(description, item.header_key, plan, cuts),
        original_instance_uid=description.dicom.sop_instance_uid if description.dicom else "",
    )


def deliver_order(item: Item, delivery: Delivery, attempt: int) -> DeliverOrder:
    """The order to bring an item's instance, or its parts, to one destination: all of them, or those that it lost."""
    made = TranscodeDone.model_validate(item.result)
    wanted = [part for part in made.instances if delivery.lacking is None or part.sop_instance_uid in delivery.lacking]
    return DeliverOrder(
        order_id=new_order_id(),
        item_id=item.id,
        attempt=attempt,
        destination=delivery.destination,
        instance_key=wanted[0].instance_key,
        instance_digest=wanted[0].instance_digest,
        instance_bytes=sum(part.instance_bytes for part in wanted),
        parts=tuple(wanted) if len(wanted) > 1 else (),
        evidence_keys=made.evidence_keys,
        study_uid=made.study_uid,
        series_uid=made.series_uid,
        sop_instance_uid=wanted[0].sop_instance_uid,
        sop_class_uid=made.sop_class_uid,
        transfer_syntax_uid=made.transfer_syntax_uid,
    )


def _gate(plan: Plan) -> str | None:
    return None if plan.gate is None else _digest(settled(plan.gate.model_dump(mode="json")))


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
