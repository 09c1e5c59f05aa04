"""Two views in one frame: how a result says so, and which recipes can (PS3.5 8.2.8, H.264 Annex D)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from common.errors import NoLegalPath
from common.handling import Stereo
from common.media import VideoStream
from common.recipes import Recipe
from common.targets import PACKED

PACKING_TYPES: dict[Stereo, Literal[3, 4]] = {Stereo.SIDE_BY_SIDE: 3, Stereo.TOP_BOTTOM: 4}
"""frame_packing_arrangement_type (H.264 Table D-8)."""


def for_views(recipes: Sequence[Recipe], stereo: Stereo) -> list[Recipe]:
    """The recipes that announce two views in a frame as the policy says they lie there: those to .105 (PS3.5 8.2.8).

    Raises:
        NoLegalPath: there is none.
    """
    if stereo is Stereo.NONE:
        return list(recipes)
    packed = [recipe for recipe in recipes if recipe.transfer_syntax_uid == PACKED and recipe.encoder == "libx264"]
    if not packed:
        raise NoLegalPath(
            "this profile encodes nothing to .105, which alone announces two views in a frame",
            hint="Use another profile or --syntax, or --stereo none: the picture stays, as one view.",
            rule="target.packing",
        )
    return [recipe.model_copy(update={"frame_packing": PACKING_TYPES[stereo]}) for recipe in packed]


def packing(video: VideoStream, recipe: Recipe) -> int | None:
    """frame_packing_arrangement_type that a result says of its frames: the source's own, else what the recipe tags it with."""
    own = video.coding.frame_packing if video.coding is not None and video.frame_packed else None
    return recipe.frame_packing if own is None else own
