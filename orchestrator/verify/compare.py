"""One study: what should be there against what is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.verify.values import Cause, Difference, Expected, Held, StudyResult


def compare(destination: str, study_uid: str, expected: Sequence[Expected], held: Iterable[Held]) -> StudyResult:
    """The result of one study at one destination. What was not delivered and is there all the same is still not delivered."""
    result = StudyResult(destination, study_uid, items=len({each.item for each in expected}))
    wanted = {each.sop_instance_uid: each for each in expected if not each.undelivered}
    ours = {each.sop_instance_uid for each in expected}
    for each in expected:
        if each.undelivered:
            result.differences.append(
                Difference(Cause.NOT_DELIVERED, each.item, each.sop_instance_uid, each.undelivered)
            )
        else:
            result.instances += 1
            result.frames += each.frames
    for there in held:
        one = wanted.pop(there.sop_instance_uid, None)
        if one is not None:
            _found(result, one, there)
        elif there.sop_instance_uid not in ours:
            result.others += there.count
    for missing in wanted.values():
        result.differences.append(Difference(Cause.MISSING, missing.item, missing.sop_instance_uid))
    return result


def unanswered(destination: str, study_uid: str, expected: Sequence[Expected], words: str) -> StudyResult:
    """The result of a study whose destination does not answer."""
    result = compare(destination, study_uid, [each for each in expected if each.undelivered], ())
    delivered = [each for each in expected if not each.undelivered]
    result.items = len({each.item for each in expected})
    result.instances, result.frames = len(delivered), sum(each.frames for each in delivered)
    result.differences.append(Difference(Cause.AWAY, words=words))
    return result


def _found(result: StudyResult, one: Expected, there: Held) -> None:
    result.found += 1
    if there.problem:
        result.differences.append(Difference(Cause.UNREADABLE, one.item, one.sop_instance_uid, there.problem))
        return
    same = there.same if there.digest is None else there.digest == one.digest
    if same is None:
        result.not_comparable += 1
    elif same:
        result.same += 1
    else:
        result.differences.append(Difference(Cause.DIGEST, one.item, one.sop_instance_uid))
    frames = one.frames if same else there.frames
    if frames is None:
        result.frames_unknown += 1
        return
    result.frames_found += frames
    if frames != one.frames:
        words = f"{frames} there, {one.frames} sent"
        result.differences.append(Difference(Cause.FRAMES, one.item, one.sop_instance_uid, words))
