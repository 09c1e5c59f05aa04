"""A score that a device had a part in and that misses the gate is taken again in software, before it decides anything.

Reference and result are decoded on the CPU whoever encodes, so no score is a device's own word. But where a device decoded the
pictures for its encoder (workers.ffmpeg.device_decode), a miss may be its decoder's fault: quietly wrong pictures, none of them
ruined enough for workers.device_check. The video then is encoded once more at the same number from pictures that the CPU decoded,
and only that score speaks.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import InternalFault
from common.logs import logger
from common.media import Description
from common.orders import Plan
from common.settings import Settings
from workers.encode import Asked, Encoded, Report, encode
from workers.ffmpeg import device_decode
from workers.quality import judge, pool

if TYPE_CHECKING:
    from workers.sources import MediaInput

log = logger(__name__)


def settled_in_software(
    made: Encoded,
    media: MediaInput,
    description: Description,
    plan: Plan,
    scratch: Path,
    *,
    settings: Settings,
    progress: Report | None = None,
    cancelled: Asked | None = None,
) -> tuple[Encoded, tuple[str, ...]]:
    """What was made, or the same work from pictures that the CPU decoded, with what the device's had missed.

    Raises:
        InternalFault: planned without recipe or gate.
        CinefarmError: see workers.encode.encode.
    """
    if plan.gate is None or plan.recipe is None:
        raise InternalFault("an encode was planned without recipe or gate")
    first = judge(pool(made.scores, description.video.frame_rate, made.stride), plan.gate, also=made.alignment.misses)
    if first.passed or not device_decode.used(made.argv):
        return made, ()
    log.warning("measured_again_in_software", encoder=plan.recipe.encoder, misses=len(first.misses))
    number = made.searched.chosen if made.searched else plan.recipe.crf
    recipe = plan.recipe.model_copy(update={"crf": number, "search": None})
    again = encode(
        media,
        description,
        plan.model_copy(update={"recipe": recipe}),
        made.path,
        scratch,
        settings=settings,
        progress=progress,
        cancelled=cancelled,
        device_decodes=False,
    )
    return replace(again, searched=made.searched), first.misses
