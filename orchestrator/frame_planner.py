"""When a source is coded frame by frame, and how: keep → the first recipe that is accepted and holds every bit. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from common.dicom.frame_syntaxes import KEPT_AS_THEY_ARE, frame_syntax
from common.dicom.sop_classes import target_class
from common.dicom.transfer_syntaxes import short
from common.errors import NoLegalPath
from common.frame_recipes import FrameRecipe
from common.media import Description, DicomFacts, Kind, Scan, VideoStream
from common.orders import Path, Plan
from common.queues import CPU
from common.recipes import Audio, Profile
from common.targets import MVC_PROFILES
from orchestrator.acceptance import Destinations

SAMPLES_PER_SECOND = {"jpegls": 18e6, "jpeg2000": 6e6, "htj2k": 60e6, "rle": 40e6, "jpeg": 30e6}
"""Coded and proven on one core (benchmarks/bench_frames.py); for estimates only."""

TYPICAL_RATIO = {"jpegls": 3.0, "jpeg2000": 3.0, "htj2k": 2.8, "rle": 1.5, "jpeg": 15.0}
"""Uncompressed to coded bytes; for estimates only."""


def plan_frames(
    description: Description,
    profile: Profile,
    rung: int,
    destinations: Destinations,
    *,
    modality: str = "",
    requested_class: str | None = None,
) -> Plan | None:
    """What becomes of a source under a profile that codes frame by frame; None: video that the profile leaves as it is.

    Frames that are compressed already are kept to the byte. A profile of its own accord codes uncompressed DICOM frames
    alone; when a person named the syntax (``frames_of_any``), compressed frames and video are decoded for it too.

    Raises:
        NoLegalPath: no recipe of this rung is accepted by the destination and holds the pixels.
    """
    if description.kind is not Kind.DICOM_FRAMES and not profile.frames_of_any:
        return None
    if kept := _kept(description, profile, destinations):
        return kept
    target = _sop_class(description, modality, requested_class)
    recipes = _fitting(description, profile.frames, destinations, target)
    if rung >= len(recipes):
        raise NoLegalPath(f"profile {profile.name} has no further way to code these frames", rule="frames.rungs")
    recipe = recipes[rung]
    return Plan(
        path=Path.FRAMES,
        reason=_reason(description, recipe),
        sop_class_uid=target,
        transfer_syntax_uid=recipe.transfer_syntax_uid,
        frame_recipe=recipe,
        rung=rung,
        rungs=len(recipes),
        gate=None if recipe.lossless else profile.gate,
        audio=Audio.STRIP,
        queue=CPU,
        estimated_seconds=_samples(description) / SAMPLES_PER_SECOND[recipe.codec],
        estimated_bytes=round(_raw_bytes(description) / TYPICAL_RATIO[recipe.codec]),
    )


def keeps_identity(description: Description, plan: Plan) -> bool:
    """True when the result is the same SOP Instance in another transfer syntax: every stored value is what it was.

    PS3.3 C.7.6.1.1.2 asks for a new UID where pixel data differs so that professional interpretation may be affected, and
    C.7.6.1.1.5 for a lossy version. Two decoders of DCT or of the 9-7 wavelet may differ by a unit: what is decoded from
    these is an image of its own.
    """
    if plan.path is not Path.FRAMES or plan.frame_recipe is None or description.dicom is None:
        return False
    same_everywhere = description.dicom.transfer_syntax_uid not in _DECODED_DIFFERENTLY
    return plan.frame_recipe.lossless and description.kind is Kind.DICOM_FRAMES and same_everywhere


_DECODED_DIFFERENTLY = frozenset(f"1.2.840.10008.1.2.4.{x}" for x in (50, 51, 91, 203))


def _kept(description: Description, profile: Profile, destinations: Destinations) -> Plan | None:
    facts = description.dicom
    if facts is None or description.kind is not Kind.DICOM_FRAMES:
        return None
    uid = facts.transfer_syntax_uid
    named = {recipe.transfer_syntax_uid for recipe in profile.frames}
    if uid not in KEPT_AS_THEY_ARE or (profile.frames_of_any and uid not in named):
        return None
    if destinations.refuses(uid, facts.sop_class_uid):
        return None
    return Plan(
        path=Path.KEEP,
        reason=f"its frames are compressed as {short(uid)} already: kept to the byte",
        sop_class_uid=facts.sop_class_uid,
        transfer_syntax_uid=uid,
        queue=CPU,
        estimated_bytes=description.size_bytes,
    )


def _fitting(
    description: Description, recipes: Sequence[FrameRecipe], destinations: Destinations, target: str
) -> list[FrameRecipe]:
    taken = [recipe for recipe in recipes if not destinations.refuses(recipe.transfer_syntax_uid, target)]
    if not taken:
        targets = " or ".join(dict.fromkeys(short(recipe.transfer_syntax_uid) for recipe in recipes))
        refusing = (each.name for each in destinations.limits if each.refuses(recipes[0].transfer_syntax_uid, target))
        who = next(refusing, "the destination")
        raise NoLegalPath(f"{who} does not take {targets}", rule="destination.syntax")
    if description.kind is not Kind.DICOM_FRAMES:
        _check_video(description.video)
        return taken
    obstacles = {recipe: obstacle(description, recipe) for recipe in taken}
    fitting = [recipe for recipe in taken if not obstacles[recipe]]
    if not fitting:
        hint = "RLE holds any pixels of 8 or 16 bits: --syntax RLE."
        raise NoLegalPath(obstacles[taken[0]], hint=hint, rule="frames.bits")
    return fitting


def _check_video(video: VideoStream) -> None:
    """Frames are made of what a decoder gives as 8-bit RGB, and it turns and deinterlaces nothing.

    Raises:
        NoLegalPath: the video is more than that.
    """
    obstacles = (
        (video.bit_depth != 8, "frames.bits", f"video of {video.bit_depth} bits"),
        (video.rotation != 0, "frames.rotation", f"video that is shown turned by {video.rotation} degrees"),
        (video.scan is not Scan.PROGRESSIVE, "frames.scan", "interlaced video"),
        (video.profile in MVC_PROFILES, "frames.views", "video of two views (H.264 Annex H)"),
    )
    for there, rule, words in obstacles:
        if there:
            hint = "Choose a video syntax: docs/targets.md has what each holds."
            raise NoLegalPath(f"{words} does not become frames of 8-bit RGB", hint=hint, rule=rule)


def obstacle(description: Description, recipe: FrameRecipe) -> str:
    """Why this recipe cannot hold these pixels; empty where it can."""
    syntax, facts = frame_syntax(recipe.transfer_syntax_uid), description.dicom
    if facts is None:
        return ""
    if facts.bits_stored not in syntax.stored:
        return f"{facts.bits_stored} bits stored do not fit {syntax.name} ({syntax.clause})"
    if facts.pixel_representation and not syntax.signed:
        return f"signed values do not fit {syntax.name} ({syntax.clause})"
    if recipe.codec == "htj2k" and facts.bits_stored not in (8, 16):
        return f"the HTJ2K encoder writes codestreams of 8 or 16 bits, not of {facts.bits_stored}"
    return ""


def _reason(description: Description, recipe: FrameRecipe) -> str:
    if description.kind is not Kind.DICOM_FRAMES:
        return f"frame by frame as {recipe.words}, asked for: decoded video, its colour converted to RGB"
    facts = description.dicom
    compressed = facts is not None and facts.transfer_syntax_uid in KEPT_AS_THEY_ARE
    before = "compressed frames, decoded" if compressed else "uncompressed frames"
    proof = "every stored value is proven equal" if recipe.lossless else "measured frame by frame"
    return f"{before}, coded as {recipe.words}: {proof}"


def _sop_class(description: Description, modality: str, requested: str | None) -> str:
    """That of a DICOM source stays: its class takes these syntaxes as it takes uncompressed frames."""
    if description.dicom is not None:
        return description.dicom.sop_class_uid
    return target_class(None, modality=modality, monochrome=False, codec="jpeg", requested=requested).uid


def _samples(description: Description) -> int:
    video = description.video
    return video.width * video.height * video.frame_count * _samples_per_pixel(description.dicom)


def _samples_per_pixel(facts: DicomFacts | None) -> int:
    return facts.samples_per_pixel if facts else 3


def _raw_bytes(description: Description) -> int:
    return _samples(description) * (2 if description.video.bit_depth > 8 else 1)
