"""One target that a person asks for, and what keeps a source from a target. Pure.

What an encode would make is described like any stream and held against the rules of the checker (common.conformance), so a
source is refused here for the very rule that its result would break. Nothing is ever made larger or loses frames to fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache

from common import queues
from common.conformance import check_stream
from common.dicom.frame_syntaxes import FRAME_SYNTAXES, is_frame_syntax
from common.dicom.transfer_syntaxes import RLE_LOSSLESS, ROOT, by_uid, is_video, short
from common.errors import NoLegalPath, PolicyError
from common.handling import HDR_BITS, HDR_TRANSFERS
from common.levels import level_violations
from common.media import Description, Kind, Scan, VideoStream
from common.orders import Finding
from common.picture import encoded_size
from common.recipes import FIXED, PROFILES, TARGETS, Hardware, Profile, Recipe, cpu_ladder, in_frames
from common.region import Region

MAIN_LEVEL, PACKED, STEREO_HIGH, MAIN_10 = (f"{ROOT}.{x}" for x in (100, 105, 106, 108))

NEVER_ENCODED = {
    STEREO_HIGH: (
        "Stereo High codes the second view from the first (MVC, H.264 Annex H), and no free encoder does that",
        "A stream that is Stereo High already is kept or rewrapped; frame-packed stereo is encoded to .105.",
    )
}
"""Target → why nothing is encoded to it, and what to do instead."""

MPEG2_SCALES = {"archive": (4, 3, 2, 1), "diagnostic": (3, 2, 1), "review": (6, 4, 3)}
"""Profile → finest quantiser scale on each rung of MPEG-2. docs/targets.md has what they measure."""

MVC_PROFILES = frozenset({"Stereo High", "Multiview High"})
"""Profiles of H.264 Annex H: their further views are lost in what FFmpeg decodes."""

FIELD_ENCODERS = frozenset({"libx264", "mpeg2video"})
"""Encoders that code the two fields of a frame as such."""

DISPLAY_ASPECTS = (Fraction(4, 3), Fraction(16, 9))
"""What aspect_ratio_information 2 and 3 say of the whole picture (ISO/IEC 13818-2 Table 6-3)."""

ASPECT_SLACK = Fraction(1, 40)
"""BT.601 pictures are 702 to 720 samples wide and called 4:3 either way: shapes this much apart are one and the same."""


_LESSER_REASONS = frozenset({"target.scan", "target.depth", "stream.packing"})


def target_uid(text: str) -> str:
    """``.101``, ``101``, ``RLE`` or the whole UID of a transfer syntax that Cinefarm makes → its UID.

    Raises:
        PolicyError: it is none, or one that is chosen by the length of the stream alone.
    """
    word = text.strip()
    uid = f"{ROOT}.{word.lstrip('.')}" if re.fullmatch(r"\.?\d+(\.\d+)?", word) else word
    uid = RLE_LOSSLESS if word.upper() == "RLE" else uid
    if is_frame_syntax(uid):
        return uid
    if not is_video(uid):
        known = (*TARGETS, STEREO_HIGH, *(row.uid for row in FRAME_SYNTAXES))
        names = ", ".join(short(other) for other in known)
        raise PolicyError(f"{word[:64]} is no target", hint=f"Targets: {names}; docs/targets.md describes them.")
    if by_uid(uid).base_uid != uid:
        raise PolicyError(
            f"{uid.removeprefix(ROOT)} is taken by itself when one fragment cannot hold the stream, and only then",
            hint=f"Ask for {by_uid(uid).base_uid.removeprefix(ROOT)}.",
        )
    return uid


def chosen_profile(
    name: str, hardware: Hardware | None = None, syntax: str | None = None, region: Region | None = None
) -> Profile:
    """A built-in profile as a person asked for it: devices allowed or not, and one target or what fits.

    ``region``: where the gate is held a second time; None: it is found in each video.

    Raises:
        PolicyError: there is no such profile or target.
    """
    if name not in PROFILES:
        raise PolicyError(f"there is no profile {name}", hint=f"Profiles: {', '.join(PROFILES)}.")
    profile = PROFILES[name]
    if hardware is not None:
        profile = profile.model_copy(update={"hardware": hardware})
    if region is not None:
        profile = profile.model_copy(update={"gate": profile.gate.model_copy(update={"region": region})})
    if syntax is None:
        return profile
    uid = target_uid(syntax)
    return in_frames(profile, uid) if is_frame_syntax(uid) else aimed(profile, uid)


def aimed(profile: Profile, uid: str) -> Profile:
    """The profile with its purpose and gate, all of its rungs made for this one target.

    A profile that never encodes, and a target that nothing is encoded to, still keep and rewrap what is legal there.
    """
    if not profile.ladder or uid in NEVER_ENCODED:
        return _changed(profile, target=uid, ladder=(), alternatives=(), frames=())
    crfs = tuple(recipe.crf for recipe in profile.ladder)
    preset = profile.ladder[0].preset
    if TARGETS[uid]["codec"] == "mpeg2video":  # FFmpeg's encoder has no presets
        crfs, preset = MPEG2_SCALES[profile.name.removesuffix(FIXED)], ""
    by_cpu = cpu_ladder(crfs, preset, uid, searching=profile.ladder[0].search is not None)
    devices = tuple(
        other
        for other in profile.alternatives
        if other.recipe.transfer_syntax_uid == uid and other.recipe.encoder != by_cpu.recipe.encoder
    )
    own = tuple(recipe for number in range(len(crfs)) for recipe in by_cpu.rungs(number))
    return _changed(profile, target=uid, ladder=own, alternatives=devices, frames=())


def _changed(profile: Profile, **fields: object) -> Profile:
    """Made anew, for a copy would carry what the profile has worked out of its old fields."""
    return Profile.model_validate(dict(profile) | fields)


def coded_aspect(video: VideoStream, uid: str) -> Fraction | None:
    """The shape of the pixels that a result keeps, None where they are made square.

    MPEG-2 Main Level alone carries other than square pixels, as a picture of 4:3 or 16:9 (PS3.5 8.2.5).
    """
    if uid != MAIN_LEVEL or video.pixel_aspect == 1 or video.rotation not in (0, 180):
        return None
    width, height = encoded_size(video, keep_aspect=True)
    shape = video.pixel_aspect * width / height
    nearest = min(DISPLAY_ASPECTS, key=lambda known: abs(known - shape))
    return nearest * height / width if abs(nearest - shape) <= nearest * ASPECT_SLACK else None


def obstacles(video: VideoStream, recipe: Recipe) -> tuple[Finding, ...]:
    """What keeps this source from this recipe: every rule that the result would break; empty: it can be made."""
    codec = _of_encoder(video, recipe)
    if codec:
        return codec
    made = _made(video, recipe)
    uid = recipe.transfer_syntax_uid
    description = Description(kind=Kind.VIDEO, digest="0" * 64, size_bytes=1, container="mpegts", video=made)
    broken = tuple(finding for finding in check_stream(description, uid) if finding.severity == "error")
    return broken or _beyond_level(made, recipe)


@lru_cache(maxsize=64)  # a job asks for the same few, item by item
def recipes_for(profile: Profile, uid: str, rung: int) -> tuple[Recipe, ...]:
    """The profile's purpose at this rung, made for this one target; nothing where its rungs have ended."""
    made = aimed(profile, uid)
    return made.recipes(rung) if rung < len(made.ladder) else ()


def wished(profile: Profile, rung: int, uids: Iterable[str]) -> tuple[Recipe, ...]:
    """The recipes of a rung; those of these targets, which destinations like best, go first and are made though the profile has none."""
    targets = [uid for uid in uids if uid in TARGETS] if profile.ladder and not profile.target else []
    first = [recipe for uid in targets for recipe in recipes_for(profile, uid, rung)]
    own = profile.recipes(rung) if rung < len(profile.ladder) else ()
    return (*first, *(recipe for recipe in own if recipe.transfer_syntax_uid not in targets))


def preferred(profile: Profile, recipes: tuple[Recipe, ...], source: Description) -> tuple[Recipe, ...]:
    """Those first that keep what others lose: two views that know of each other, more than 8 bits."""
    if source.video.frame_packed or any(recipe.frame_packing for recipe in recipes):
        return _first(recipes, PACKED)
    deep = source.video.bit_depth > by_uid(recipes[0].transfer_syntax_uid).bits.stored
    return _first(recipes, MAIN_10) if profile.keep_bits and deep and source.kind is not Kind.DICOM_FRAMES else recipes


def _first(recipes: tuple[Recipe, ...], uid: str) -> tuple[Recipe, ...]:
    return tuple(sorted(recipes, key=lambda recipe: recipe.transfer_syntax_uid != uid))


def holding(video: VideoStream, recipes: Iterable[Recipe]) -> Iterator[Recipe]:
    """Recipes whose target holds this source, in their order; looked at one by one, since the first is nearly always taken."""
    known: dict[tuple[str, str], bool] = {}
    for recipe in recipes:
        key = recipe.transfer_syntax_uid, recipe.encoder
        if key not in known:
            known[key] = not obstacles(video, recipe)
        if known[key]:
            yield recipe


def telling(video: VideoStream, recipes: Sequence[Recipe]) -> tuple[Recipe, Finding]:
    """Of recipes none of which holds this source: the one whose obstacle says most, with it.

    A size or rate that nothing holds says more than that one encoder has no fields, or that a syntax is for stereo; and
    what a device cannot do says nothing beside the CPU's encoders.
    """
    by_cpu = [recipe for recipe in recipes if queues.of_encoder(recipe.encoder) == queues.CPU] or recipes
    refused = [(recipe, found[0]) for recipe in by_cpu if (found := obstacles(video, recipe))]
    return ([pair for pair in refused if pair[1].rule not in _LESSER_REASONS] or refused)[-1]


def check_target(video: VideoStream, recipe: Recipe) -> None:
    """Refuse a source that the target cannot hold.

    Raises:
        NoLegalPath: with the rule that forces it.
    """
    if found := obstacles(video, recipe):
        raise NoLegalPath(refusal(video, recipe, found[0]), hint=found[0].remedy or HINT)


def refusal(video: VideoStream, recipe: Recipe, finding: Finding) -> str:
    """One sentence: what the source is, what its target asks, and the clause."""
    scan = "" if video.scan is Scan.PROGRESSIVE else ", interlaced"
    return (
        f"{video.width}×{video.height} at {float(video.frame_rate):.6g} frames/s{scan} does not fit "
        f"{recipe.transfer_syntax_uid.removeprefix(ROOT)}: {finding.found} where {finding.required} is required "
        f"({finding.clause})"
    )


HINT = "Choose another --syntax, or none: then the profile takes the first target that holds it. Nothing is scaled or dropped."


DEINTERLACE = "Use --interlaced deinterlace, or a destination that takes a syntax with fields."


def _of_encoder(video: VideoStream, recipe: Recipe) -> tuple[Finding, ...]:
    """What no rule of the standard forbids and this encoder cannot do."""
    uid, codec = recipe.transfer_syntax_uid, by_uid(recipe.transfer_syntax_uid).codec
    if video.scan is not Scan.PROGRESSIVE and recipe.encoder not in FIELD_ENCODERS:
        clause = "H.265 D.3.3" if codec == "hevc" else "docs/hardware.md"
        return (_finding("scan", clause, "interlaced video", f"progressive video for {recipe.encoder}", DEINTERLACE),)
    if video.transfer in HDR_TRANSFERS and recipe.bits < min(video.bit_depth, HDR_BITS):
        found = f"HDR video ({HDR_TRANSFERS[video.transfer]})"
        remedy = "Use --dynamic-range tone-map, or a destination that takes .108 (HEVC Main 10)."
        return (_finding("depth", "ITU-R BT.2100", found, "10 bits a sample", remedy),)
    if video.profile in MVC_PROFILES:
        found, remedy = "two views, one coded from the other (MVC)", "Keep or rewrap it under .106."
        return (_finding("views", "H.264 Annex H", found, "a decoder of both views, which FFmpeg has not", remedy),)
    if video.frame_packed and codec != "h264":
        found = "two views packed into a frame"
        return (_finding("packing", "PS3.5 8.2.8", found, "a stream that says so", "Encode to .105."),)
    if codec == "mpeg2video" and not video.constant_rate:
        found = "a variable frame rate"
        remedy = "Use --rate constant, or encode to another target."
        return (_finding("rate", "ISO/IEC 13818-2 6.3.3", found, "one of the rates of frame_rate_code", remedy),)
    if uid == f"{ROOT}.103" and not video.constant_rate:
        return (_finding("rate", "PS3.5 8.2.7", "a variable frame rate", "a rate of Table 8-4"),)
    return ()


def _finding(word: str, clause: str, found: str, required: str, remedy: str = "") -> Finding:
    return Finding(
        severity="error", rule=f"target.{word}", clause=clause, found=found, required=required, remedy=remedy
    )


def _made(video: VideoStream, recipe: Recipe) -> VideoStream:
    """The stream that would come out; what is not known before it is made (level, bit rate) is left open."""
    syntax = by_uid(recipe.transfer_syntax_uid)
    aspect = coded_aspect(video, syntax.uid)
    width, height = encoded_size(video, keep_aspect=aspect is not None)
    return VideoStream(
        codec=syntax.codec,
        profile=syntax.profile,
        width=width,
        height=height,
        pixel_aspect=aspect or Fraction(1),
        pixel_format="yuv420p10le" if recipe.bits == 10 else "yuv420p",
        bit_depth=recipe.bits,
        full_range=False,
        scan=video.scan,
        frame_rate=video.frame_rate,
        constant_rate=video.constant_rate,
        frame_count=video.frame_count,
        duration_ms=video.duration_ms,
        frame_packed=video.frame_packed or recipe.frame_packing is not None,
    )


def _beyond_level(made: VideoStream, recipe: Recipe) -> tuple[Finding, ...]:
    """Limits of the very level that the encoder writes: a lower one, which the checker allows, is not written."""
    if recipe.codec == "mpeg2video":
        return ()
    broken = level_violations(
        recipe.codec,
        made.width,
        made.height,
        made.frame_rate,
        recipe.level,
        interlaced=made.scan is not Scan.PROGRESSIVE,
    )
    clause = "H.265 A.4" if recipe.codec == "hevc" else "H.264 A.3"
    return tuple(_finding("level", clause, words, f"level {recipe.level}") for words in broken)
