"""One long video on many workers: the way of its chunks through the ledger (chunk_policy: when that pays).

A video that is cut stays one item, queued or running while its chunks are out. Its way: a split order finds the cuts
(``items.split``), each part is a row of ``chunks`` with attempts of its own, and when all are done one assembly makes the
instance. The rows are the truth; chunk objects in the store are addressed by what they hold, so a lost answer is found again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import case, delete, exists, func, select, update
from sqlalchemy.orm import Session

from common.errors import Actor
from common.logs import logger
from common.media import Description
from common.orders import AssembleOrder, ChunkDone, ChunkOrder, ChunkRef, Failure, Plan, SplitDone, SplitOrder
from common.stages import State, check_transition
from common.store import ObjectStore
from orchestrator import work
from orchestrator.chunk_policy import Policy, chunks_for, narrowed, next_recipe
from orchestrator.ledger.schema import Attempt, Chunk, Item, Job, now
from orchestrator.profiles import profile_of

log = logger(__name__)

CHUNK_OBJECTS = ("stream.nut", "scores.npz", "result.json")

OUT = ("queued", "running")


def cut(item: Item) -> SplitDone | None:
    """The item's parts when it is cut; None while it is not, or cannot be."""
    found = SplitDone.model_validate(item.split) if item.split else None
    return found if found is not None and len(found.parts) > 1 else None


def split_order(item: Item, idle_slots: int, policy: Policy) -> SplitOrder | None:
    """The order to look for cuts, where that pays and was not tried before."""
    if item.split:
        return None
    description = Description.model_validate(item.description)
    plan = Plan.model_validate(item.plan)
    wanted = chunks_for(plan, description.video.frame_count, idle_slots, policy)
    if not wanted:
        return None
    return SplitOrder(
        order_id=work.new_order_id(),
        item_id=item.id,
        attempt=item.attempts,
        source_key=work.source_key(item),
        retrieval=work.retrieval(item),
        description=description,
        wanted=wanted,
        plan=plan,
    )


def lay_out(session: Session, item: Item) -> None:
    """A row for every part. Rows that are there keep what was done, but for those below the item's present rung."""
    parts = found.parts if (found := cut(item)) else ()
    rung = Plan.model_validate(item.plan).rung
    rows = {(row.first, row.last): row for row in _rows(session, item.id)}
    for number, part in enumerate(parts):
        row = rows.pop((part.first, part.last), None)
        if row is None:
            session.add(Chunk(item_id=item.id, number=number, first=part.first, last=part.last, rung=rung))
        elif row.rung < rung:
            row.rung, row.state, row.attempts = rung, "ready", 0
    for stale in rows.values():
        session.delete(stale)


def ready_chunks(
    session: Session, queue: str, free: int, jobs: Sequence[Job], moment: datetime
) -> list[tuple[Item, Chunk]]:
    """Chunks that may go out, the most urgent job's first, then the longest: what ends last should begin first."""
    statement = (
        select(Item, Chunk)
        .join(Chunk, Chunk.item_id == Item.id)
        .join(Job, Job.id == Item.job_id)
        .where(
            Chunk.state == "ready",
            Chunk.not_before <= moment,
            Item.state.in_([State.QUEUED, State.RUNNING]),
            Item.queue == queue,
            Job.id.in_([job.id for job in jobs]),
        )
        .order_by(Job.priority.desc(), (Chunk.last - Chunk.first).desc(), Item.number, Chunk.number)
        .limit(free)
        .with_for_update(of=(Item, Chunk), skip_locked=True, key_share=True)
    )
    return [(item, chunk) for item, chunk in session.execute(statement)]


def ready_assemblies(session: Session, queue: str, free: int, jobs: Sequence[Job], moment: datetime) -> list[Item]:
    """Items all of whose chunks are done."""
    undone = func.sum(case((Chunk.state != "done", 1), else_=0))
    whole = select(Chunk.item_id).group_by(Chunk.item_id).having(undone == 0)
    busy = exists().where(Attempt.item_id == Item.id, Attempt.state.in_(OUT))
    statement = (
        select(Item)
        .where(
            Item.id.in_(whole),
            Item.state.in_([State.QUEUED, State.RUNNING]),
            Item.queue == queue,
            Item.not_before <= moment,
            Item.job_id.in_([job.id for job in jobs]),
            ~busy,
        )
        .order_by(Item.number + 0)  # + 0: the few are sorted; the index by number would lead through all items
        .limit(free)
        .with_for_update(skip_locked=True, key_share=True)
    )
    return list(session.scalars(statement))


def chunk_order(session: Session, item: Item, chunk: Chunk, policy: Policy) -> ChunkOrder:
    """The next attempt at one chunk."""
    chunk.state = "out"
    chunk.attempts += 1
    found, plan = _found(item), plan_at(session, item, chunk.rung, policy)
    part = next(part for part in found.parts if (part.first, part.last) == (chunk.first, chunk.last))
    description = Description.model_validate(item.description)
    return ChunkOrder(
        order_id=work.new_order_id(),
        item_id=item.id,
        attempt=chunk.attempts,
        source_key=work.source_key(item),
        retrieval=work.retrieval(item),
        description=description,
        plan=plan,
        part=part,
        timeline=found.timeline,
        output_prefix=work.chunk_prefix(description.digest, plan, part),
    )


def assemble_order(session: Session, item: Item, policy: Policy) -> AssembleOrder:
    """The order to join what is done."""
    item.attempts += 1
    found, rows = _found(item), _rows(session, item.id)
    parts = {(part.first, part.last): part for part in found.parts}
    plan = plan_at(session, item, Plan.model_validate(item.plan).rung, policy)
    whole = work.transcode_order(item, item.attempts, plan=plan, cuts=[row.first for row in rows])
    return AssembleOrder(
        order_id=whole.order_id,
        item_id=item.id,
        attempt=item.attempts,
        transcode=whole,
        timeline=found.timeline,
        chunks=tuple(
            ChunkRef(part=parts[row.first, row.last], output_prefix=row.prefix, rung=row.rung, worker=row.worker)
            for row in rows
        ),
    )


def plan_at(session: Session, item: Item, rung: int, policy: Policy) -> Plan:
    """The item's plan with a chunk's recipe: a rung of its job's ladder, the chunk's threads, the bounds of its search."""
    plan = Plan.model_validate(item.plan)
    if plan.recipe is None:
        return plan
    profile = profile_of(item, session.get_one(Job, item.job_id))
    recipe = plan.recipe if rung == plan.rung else next_recipe(profile, plan.recipe, rung) or plan.recipe
    quality = SplitDone.model_validate(item.split).quality if item.split else None
    changes = {"threads": policy.threads, "search": narrowed(recipe.search, quality)}
    return plan.model_copy(update={"recipe": recipe.model_copy(update=changes), "rung": rung})


def was_split(item: Item, done: SplitDone) -> None:
    """The cuts are known, or that there are none: back to planned, where the next step begins."""
    item.split = done.model_dump(mode="json")
    _plan_again(item)
    log.info("video_split", item=item.id, parts=len(done.parts), reason=done.reason)


def was_encoded(session: Session, item: Item, attempt: Attempt, done: ChunkDone) -> None:
    """A chunk that missed the gate climbs the ladder alone; at its top the whole is judged with what there is."""
    chunk = session.get(Chunk, attempt.chunk_id)
    if chunk is None or chunk.state != "out":
        return
    plan = Plan.model_validate(item.plan)
    profile = profile_of(item, session.get_one(Job, item.job_id))
    chunk.prefix, chunk.worker = done.output_prefix, attempt.worker
    if done.verdict.passed or plan.recipe is None or next_recipe(profile, plan.recipe, chunk.rung + 1) is None:
        chunk.state = "done"
        return
    _spend(session, chunk)
    chunk.rung, chunk.state, chunk.attempts = chunk.rung + 1, "ready", 0
    log.info("chunk_climbs", item=item.id, chunk=chunk.number, rung=chunk.rung)


def was_assembled(session: Session, item: Item) -> None:
    """The instance is stored, or set aside with its evidence: the chunks have served. A replanned item keeps them."""
    if item.state is not State.PLANNED:
        _drop(session, item)


def failed(
    session: Session, item: Item, attempt: Attempt, failure: Failure, wait: float | None, store: ObjectStore
) -> bool:
    """Deal with a failure of a split, a chunk or an assembly; False: the item itself is tried again or set aside as always."""
    if attempt.kind == "split" and wait is None:
        was_split(item, SplitDone(reason=failure.message))
        return True
    if attempt.kind == "assemble":
        return _assembly_failed(session, item, failure, wait, store)
    if attempt.kind != "chunk":
        return False
    chunk = session.get(Chunk, attempt.chunk_id)
    if chunk is None:
        return True
    if wait is not None:
        chunk.state, chunk.not_before = "ready", now() + timedelta(seconds=wait)
        return True
    if failure.actor is Actor.INPUT:  # its frames are not where the index says: read from the start, they may be
        leave_whole(session, item, failure.message)
        return True
    return False


def _assembly_failed(session: Session, item: Item, failure: Failure, wait: float | None, store: ObjectStore) -> bool:
    if wait is None:
        leave_whole(session, item, failure.message)
        return True
    for row in _rows(session, item.id):
        if store.size(f"{row.prefix}/{CHUNK_OBJECTS[0]}") is None:
            row.state, row.attempts = "ready", 0
    return False


def give_back(session: Session, attempt: Attempt, *, worn_out: bool, blameless: bool) -> bool:
    """A chunk's worker is gone: the chunk goes out again by itself. True: that is all; False: its item must be set aside."""
    chunk = session.get(Chunk, attempt.chunk_id) if attempt.kind == "chunk" else None
    if attempt.kind != "chunk":
        return False
    if chunk is not None and chunk.state == "out":
        chunk.state = "ready"
        if blameless:
            chunk.attempts = max(0, chunk.attempts - 1)
    return chunk is None or not worn_out


def leave_whole(session: Session, item: Item, reason: str) -> None:
    """Cutting does not work for this video: one worker encodes it. Chunks that are out are stopped."""
    stopping = update(Attempt).where(Attempt.item_id == item.id, Attempt.kind == "chunk", Attempt.state.in_(OUT))
    session.execute(stopping.values(state="stopping", ended_at=now()))
    _drop(session, item)
    was_split(item, SplitDone(reason=reason))


def _plan_again(item: Item) -> None:
    if item.state in (State.QUEUED, State.RUNNING):
        item.state = check_transition(item.state, State.PLANNED)
    item.attempts, item.not_before = 0, now()


def _found(item: Item) -> SplitDone:
    return SplitDone.model_validate(item.split)


def _rows(session: Session, item_id: str) -> list[Chunk]:
    return list(session.scalars(select(Chunk).where(Chunk.item_id == item_id).order_by(Chunk.first)))


def _drop(session: Session, item: Item) -> None:
    for row in _rows(session, item.id):
        _spend(session, row)
    session.execute(delete(Chunk).where(Chunk.item_id == item.id))


def _spend(session: Session, chunk: Chunk) -> None:
    """Its objects are deleted once the transaction is through (see Recorder)."""
    if chunk.prefix:
        session.info.setdefault("spent", []).extend(f"{chunk.prefix}/{name}" for name in CHUNK_OBJECTS)
