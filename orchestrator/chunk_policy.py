"""When one long video is cut into chunks, and how far a chunk may climb. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from common.dicom.transfer_syntaxes import ROOT
from common.handling import AS_IT_IS
from common.orders import Path, Plan
from common.recipes import Profile, Recipe, Search
from common.settings import Settings

ENCODERS = frozenset({"libx264"})
"""Encoders whose separately made streams join into one with one SPS and PPS (x264's stitchable)."""

CHUNKS_PER_SLOT = 2
"""So that a slot that got short or easy chunks takes another while the rest work."""

WHOLE = frozenset({f"{ROOT}.103"})
"""Targets whose streams tell the decoder's buffer (nal-hrd): every chunk would begin that count anew."""

LEAST_FRAMES = 100
"""Every chunk begins with an IDR picture of its own, and its rate control starts anew: shorter ones cost quality."""


REACH = 3
"""How far a chunk's quality number may lie from the one that the whole video promises. So neighbours differ by twice that at most
and quality does not pump: 3 is about 2 dB (6 steps double the quantiser), and hard scenes ask for no more in most videos."""

CHUNK_PROBES = 3
"""A chunk knows where to begin, and each probe decodes all of it."""


@dataclass(frozen=True)
class Policy:
    """When a video is cut."""

    after_seconds: float = 300.0  # estimated work from which it pays; 0: never
    chunk_seconds: float = 60.0  # least estimated work of one chunk
    threads: int = 1  # of the encoder, per chunk; part of the chunk's recipe

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """What the operator has set."""
        return cls(settings.chunk_after_seconds, settings.chunk_seconds, settings.chunk_threads)


def chunks_for(plan: Plan, frames: int, idle_slots: int, policy: Policy) -> int:
    """Into how many chunks to cut a video, or 0: leave it whole. Pure.

    Only with more than one slot that nobody else wants: otherwise videos beside each other fill the farm without the price
    of cutting, which is reading some frames twice, an IDR picture a chunk and a second pass over the stream.
    """
    encoder = plan.recipe.encoder if plan.recipe is not None else ""
    joins = encoder in ENCODERS and plan.transfer_syntax_uid not in WHOLE
    if plan.path is not Path.ENCODE or not joins or idle_slots < 2:
        return 0
    if plan.handling != AS_IT_IS:  # what makes a frame reaches beyond its neighbour, or changes their number
        return 0
    if policy.after_seconds <= 0 or plan.estimated_seconds < policy.after_seconds:
        return 0
    most = min(int(plan.estimated_seconds / policy.chunk_seconds), frames // LEAST_FRAMES)
    wanted = min(idle_slots * CHUNKS_PER_SLOT, most)
    return wanted if wanted >= 2 else 0


def next_recipe(profile: Profile, recipe: Recipe, rung: int) -> Recipe | None:
    """The same encoder's recipe on a rung of the ladder; None where it has none."""
    if rung >= len(profile.ladder):
        return None
    same = (
        other
        for other in profile.recipes(rung)
        if (other.encoder, other.transfer_syntax_uid) == (recipe.encoder, recipe.transfer_syntax_uid)
    )
    found = next(same, None)
    return found and found.model_copy(update={"frame_packing": recipe.frame_packing})


def finer_rung(profile: Profile, plan: Plan, missed: int | None) -> int:
    """The rung after this plan's whose number is finer than the one that missed (lower is finer), or the last.

    A search ends at its finest number, and rungs of the ladder may be coarser: to encode at those again helps nobody.
    """
    rung = plan.rung + 1
    while missed is not None and plan.recipe is not None and rung + 1 < plan.rungs:
        recipe = next_recipe(profile, plan.recipe, rung)
        if recipe is None or recipe.crf < missed:
            break
        rung += 1
    return rung


def narrowed(search: Search | None, number: int | None) -> Search | None:
    """A chunk's bounds around the whole video's number; None: it takes its rung's number. The same for all chunks of a video,
    whichever of them is done first: same cuts, same bytes.
    """
    if search is None or number is None:
        return None
    changes = {
        "start": number,
        "finest": max(search.finest, number - REACH),
        "coarsest": min(search.coarsest, number + REACH),
        "probes": min(search.probes, CHUNK_PROBES),
    }
    return search.model_copy(update=changes)
