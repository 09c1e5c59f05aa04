"""Recipes (what to make), gates (what it must meet) and profiles (a named purpose), with the built-in ones as data."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from common.dicom.transfer_syntaxes import ROOT
from common.frame_recipes import PRIMARY_LADDER, FrameRecipe, frame_ladder
from common.handling import Handling
from common.header_patterns import HeaderPatterns
from common.media import Value
from common.region import Region


class Audio(StrEnum):
    """What to do with sound. Stripping is the default: voices in an operating room are personal data."""

    STRIP = "strip"
    KEEP = "keep"


class Search(Value):
    """Look for the highest constant-quality number whose result still meets the gate, instead of taking the recipe's.

    All of it shapes the result, so it is part of the recipe's digest.
    """

    finest: int = Field(ge=0, le=51, description="best and largest that is tried")
    coarsest: int = Field(ge=0, le=51, description="worst and smallest that is tried")
    start: int = Field(default=26, ge=0, le=51, description="tried first")
    probes: int = Field(
        default=4,
        ge=1,
        description="encodes of samples at most; of a short clip as a whole, too, but for one that has not met its gate yet",
    )
    share: float = Field(default=0.05, gt=0, le=1, description="part of the video's frames that are samples")
    least_seconds: float = Field(default=4.0, ge=0, description="samples of a short video together, s")
    samples: int = Field(default=4, ge=1, description="places spread over the video that they are taken from, at least")
    most_samples: int = Field(default=16, ge=1, description="places in a long video")
    apart_seconds: float = Field(default=30.0, gt=0, description="a place for each so many seconds")
    whole_seconds: float = Field(default=15.0, ge=0, description="a clip as short as this is its own sample, s")


class Recipe(Value):
    """How to encode. The digest of a recipe addresses its results: change a field and old results are not found."""

    transfer_syntax_uid: str = Field(description="target, e.g. 1.2.840.10008.1.2.4.102")
    codec: str = Field(description="h264, hevc or mpeg2video")
    encoder: str = Field(description="FFmpeg's encoder name, e.g. libx264 or hevc_nvenc")
    profile: str = Field(description="encoder's profile name, e.g. high")
    level: str = Field(description="e.g. 4.1; HEVC is always of the Main tier; MPEG-2: main or high")
    crf: int = Field(
        ge=0,
        le=51,
        description="the encoder's constant-quality number: crf, NVENC's cq, global_quality; MPEG-2: the finest quantiser "
        "scale, 1–31; lower is better and larger",
    )
    preset: str = "medium"
    max_rate_kbit: int = Field(description="VBV peak rate, kbit/s")
    buffer_kbit: int = Field(description="VBV buffer, kbit")
    gop_seconds: float = Field(default=1.0, description="longest distance between random access points, s")
    b_frames: int = 2
    threads: int = Field(
        default=6,
        ge=1,
        description="encoder's frame threads (CPU encoders); part of the recipe, because they shape the bytes: the same on every node",
    )
    frame_packing: Literal[3, 4] | None = Field(
        default=None,
        description="frame_packing_arrangement_type to tag a source with that does not name its own (.105): 3 side by side, "
        "4 top and bottom (H.264 Table D-8)",
    )

    search: Search | None = Field(default=None, description="None: crf is taken as it is")

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of all fields, hexadecimal."""
        return canonical_digest(self)

    @property
    def bits(self) -> int:
        """Bits of a sample: 10 in Main 10, else 8."""
        return 10 if self.profile == "main10" else 8


class Ladder(Value):
    """The rungs of a profile made in another way: by a device, or for pictures beyond the level of the first choice."""

    recipe: Recipe = Field(description="of the first rung")
    qualities: tuple[int, ...] = Field(description="constant-quality number on each rung; fewer than rungs: ends early")

    def rungs(self, number: int) -> tuple[Recipe, ...]:
        """The recipe of this rung; nothing where this ladder has ended."""
        search = None if number else self.recipe.search  # later rungs are there because it missed
        given = self.qualities[number : number + 1]
        return tuple(self.recipe.model_copy(update={"crf": quality, "search": search}) for quality in given)


class Hardware(StrEnum):
    """Whether devices may encode. CPU encoders write the same bytes on every node; devices and drivers do not."""

    NEVER = "never"
    ALLOWED = "allowed"


class Figure(StrEnum):
    """What can be measured beside PSNR, SSIM and VMAF, at a cost (docs/quality.md)."""

    MS_SSIM = "ms_ssim"
    VMAF_NEG = "vmaf_neg"
    CAMBI = "cambi"
    PSNR_RGB = "psnr_rgb"


ALWAYS_MEASURED = ("psnr_y", "psnr_cb", "psnr_cr", "ssim", "vmaf")
"""Metrics of every measurement."""

FIGURES = {
    **{figure.value: figure for figure in Figure},
    "cambi_source": Figure.CAMBI,
    "cambi_added": Figure.CAMBI,
}
"""Metric → the figure that brings it."""

LOWER_IS_BETTER = frozenset({"cambi", "cambi_source", "cambi_added"})
"""Metrics of damage. A threshold on one is a maximum, and its bad end is the upper one."""

UPPER_STATISTICS = ("mean", "p95", "p99", "max", "worst_second")
LOWER_STATISTICS = ("mean", "harmonic_mean", "p5", "p1", "min", "worst_second")
MEANS = frozenset({"mean", "harmonic_mean"})


class Threshold(Value):
    """One demand on one pooled figure: ``statistic`` of ``metric`` over all frames is at least ``minimum``, or at most ``maximum``.

    Metrics: psnr_y, psnr_cb, psnr_cr (dB per frame), ssim (0–1), vmaf (0–100); psnr_rgb (dB: PSNR of the mean squared error
    of R, G and B, at the source's own chroma resolution), ms_ssim (0–1), vmaf_neg (0–100); lower is better: cambi (0 to about
    24, banding of the result), cambi_source (of the source), cambi_added (what the result has more than the source, frame by
    frame, never below 0: a source may show bands itself).
    Statistics: mean (arithmetic mean of the per-frame values; for PSNR the mean of per-frame dB, not the PSNR of the mean
    MSE), harmonic_mean, min, p1 (1st percentile, linear interpolation), p5, worst_second (the lowest mean of a second of
    consecutive frames: in a film of two hours a ruined second is beyond every percentile). Where lower is better: mean, p95, p99,
    max, and worst_second is the highest mean.
    """

    metric: str
    statistic: str
    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        lower = self.metric in LOWER_IS_BETTER
        if (self.maximum if lower else self.minimum) is None or (self.minimum if lower else self.maximum) is not None:
            raise ValueError(f"a threshold on {self.metric} is a {'maximum' if lower else 'minimum'}")
        return self

    @property
    def known(self) -> bool:
        """Whether such a figure is ever measured."""
        statistics = UPPER_STATISTICS if self.metric in LOWER_IS_BETTER else LOWER_STATISTICS
        return self.metric in (*ALWAYS_MEASURED, *FIGURES) and self.statistic in statistics

    @property
    def limit(self) -> float:
        """The number itself."""
        value = self.maximum if self.minimum is None else self.minimum
        return float("nan") if value is None else value


class Gate(Value):
    """The thresholds a result must meet, all of them, and what is measured beside them."""

    thresholds: tuple[Threshold, ...]
    figures: tuple[Figure, ...] = Field(
        default=(),
        description="measured for the evidence beside what the thresholds need; they shape no byte of a result",
    )
    stride: int | None = Field(
        default=None,
        ge=2,
        le=10,
        description="each so-many-th frame is measured; None: every one. Said in the evidence",
    )

    exact: bool = Field(
        default=False,
        description="what is copied is decoded beside its source, and every picture must have the same SHA-256; frames that are "
        "coded one by one and lossless are always proven so",
    )

    region: Region | None = Field(
        default=None,
        description="where every threshold on PSNR, SSIM, VMAF, MS-SSIM and VMAF-NEG must be met a second time, so that a black "
        "border flatters no score; None: an endoscope's mask is looked for in each video",
    )

    @property
    def fault(self) -> str:
        """Why no profile may have this gate; empty: it may. A ruined second in two hours moves no mean."""
        if self.thresholds and all(each.statistic in MEANS for each in self.thresholds):
            return "a gate of means alone passes a ruined second: add a threshold on min, p1, p5 or worst_second"
        unknown = [each for each in self.thresholds if not each.known]
        if unknown:
            return f"{unknown[0].metric} {unknown[0].statistic} is no figure (docs/quality.md lists them)"
        if self.stride and any(each.statistic in {"min", "max"} for each in self.thresholds):
            return "a threshold on the worst frame needs every frame: leave out the stride"
        return ""

    @property
    def measured(self) -> frozenset[Figure]:
        """The figures that the thresholds need, and those beside them."""
        needed = {FIGURES[each.metric] for each in self.thresholds if each.metric in FIGURES}
        return frozenset(needed | set(self.figures))


class Rule(Value):
    """Which items of a job get another profile than its own. Each list that is not empty has to fit; the first rule that fits counts."""

    name: str
    modality: tuple[str, ...] = Field(default=(), description="of the DICOM header, or of the mapping's row")
    sop_class: tuple[str, ...] = Field(
        default=(), description="UIDs of the source's class, or of the one a row asks for"
    )
    series: tuple[str, ...] = Field(default=(), description="Series Instance UIDs; one may end in *")
    header: HeaderPatterns | None = Field(default=None, description="on texts of the header, or of the mapping's row")
    profile: Profile = Field(description="complete, with the rule's gate")

    def fits(self, modality: str, sop_class: str, series: str) -> bool:
        """Whether a source of this modality, class and series is meant, should its header fit too."""
        return (
            (not self.modality or modality.upper() in self.modality)
            and (not self.sop_class or sop_class in self.sop_class)
            and (not self.series or any(fnmatchcase(series, each) for each in self.series))
        )


class Profile(Value):
    """A named purpose: a ladder of recipes, each rung better than the one before, and the gate."""

    name: str
    purpose: str
    ladder: tuple[Recipe, ...] = Field(description="empty: never encode, only keep or rewrap")
    alternatives: tuple[Ladder, ...] = Field(
        default=(), description="the same rungs for larger pictures and by devices; the first target that fits is taken"
    )
    hardware: Hardware = Hardware.NEVER
    handling: Handling = Field(default=Handling(), description="how sources are handled; a job's own choice")
    gate: Gate
    target: str = Field(default="", description="the one transfer syntax a person asked for; empty: what fits is taken")
    keep_bits: bool = Field(
        default=False, description="a source of more than 8 bits goes to Main 10 where that is taken, not to 8 bits"
    )
    frames: tuple[FrameRecipe, ...] = Field(
        default=(), description="code frame by frame, the preferred first; none: make video"
    )
    frames_of_any: bool = Field(
        default=False, description="also of video and of compressed frames: a person named the syntax"
    )

    rules: tuple[Rule, ...] = Field(default=(), description="of a job: items that get another profile")
    rule: str = Field(default="", description="the rule of the job that chose this profile; empty: its own")

    @model_validator(mode="after")
    def _gate_is_sound(self) -> Self:
        if self.gate.fault:
            raise ValueError(self.gate.fault)
        return self

    def recipes(self, rung: int) -> tuple[Recipe, ...]:
        """Every recipe of one rung, the preferred target first."""
        return self._rungs[rung]

    @cached_property
    def _rungs(self) -> tuple[tuple[Recipe, ...], ...]:
        others = [[recipe for other in self.alternatives for recipe in other.rungs(n)] for n in range(len(self.ladder))]
        return tuple((own, *more) for own, more in zip(self.ladder, others, strict=True))

    def for_source(
        self, modality: str, sop_class: str, series: str, header_rules: Collection[int] = frozenset()
    ) -> Profile:
        """The profile of the first rule that fits such a source; without one, this.

        ``header_rules``: numbers of the rules whose patterns its header fits, as whoever read the header says.
        """
        for number, rule in enumerate(self.rules):
            if rule.fits(modality, sop_class, series) and (rule.header is None or number in header_rules):
                return rule.profile
        return self

    @property
    def header_patterns(self) -> tuple[HeaderPatterns | None, ...]:
        """Of each rule, in their order; empty: no rule has any, so nobody is asked."""
        asked = tuple(rule.header for rule in self.rules)
        return asked if any(asked) else ()

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of all fields, hexadecimal."""
        return canonical_digest(self)


_LATER = frozenset(
    {"frame_packing", "target", "keep_bits", "search", "figures", "stride", "maximum", "region", "exact"}
) | {
    "rules",
    "rule",
    "header",
}
"""Fields younger than results that must still be found: a digest leaves them out while they have their default."""


def canonical_digest(value: Value) -> str:
    """SHA-256 of the value's JSON with sorted keys and no spaces, hexadecimal."""
    import json

    text = json.dumps(settled(value.model_dump(mode="json")), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def settled(dumped: Any) -> Any:
    """Without later fields that say nothing."""
    if isinstance(dumped, dict):
        return {name: settled(item) for name, item in dumped.items() if item or name not in _LATER}
    return [settled(item) for item in dumped] if isinstance(dumped, list) else dumped


_MPEG2 = {"codec": "mpeg2video", "profile": "main", "gop_seconds": 0.5}
"""Groups of half a second, as broadcast and DVD have them: 12 frames at 25, 14 at 29.97 frames/s."""

_H264 = {"codec": "h264", "profile": "high", "max_rate_kbit": 50_000, "buffer_kbit": 62_500}
"""High profile at 4.1 and 4.2: MaxBR 62.5 Mbit/s, MaxCPB 62.5 Mbit (H.264 Table A-1, cpbBrVclFactor 1250)."""

_HEVC = {"codec": "hevc", "level": "5.1", "max_rate_kbit": 40_000, "buffer_kbit": 40_000}
"""Main tier at 5.1: MaxBR 40 Mbit/s, MaxCPB 40 Mbit (H.265 Tables A.8 and A.9, factors 1000)."""

TARGETS: dict[str, dict[str, Any]] = {
    # vbv_buffer_size 112 and 597 units of 16,384 bits (ISO/IEC 13818-2 Table 8-14), 15 and 80 Mbit/s (Table 8-13)
    f"{ROOT}.100": _MPEG2 | {"level": "main", "max_rate_kbit": 15_000, "buffer_kbit": 1_835},
    f"{ROOT}.101": _MPEG2 | {"level": "high", "max_rate_kbit": 80_000, "buffer_kbit": 9_781},
    f"{ROOT}.102": _H264 | {"level": "4.1"},
    # Blu-ray: 40 Mbit/s, 30 Mbit, groups of at most a second (BD-ROM Part 3; x264's bluray-compat)
    f"{ROOT}.103": _H264 | {"level": "4.1", "max_rate_kbit": 40_000, "buffer_kbit": 30_000},
    f"{ROOT}.104": _H264 | {"level": "4.2"},
    f"{ROOT}.105": _H264 | {"level": "4.2"},
    f"{ROOT}.107": _HEVC | {"profile": "main"},
    f"{ROOT}.108": _HEVC | {"profile": "main10"},
}
"""What can be encoded to, and the limits of each."""

CHOSEN = (f"{ROOT}.102", f"{ROOT}.104", f"{ROOT}.107", f"{ROOT}.108", f"{ROOT}.105")
"""What a profile encodes to without being asked, the most widely read first: 1080p30, 1080p60, 4K60; Main 10 where nothing
else is accepted or holds the source; .105 for sources that pack two views into a frame."""

ON_DEVICES = CHOSEN[:4]
"""What devices encode to: .105 is left to libx264, which alone writes the frame packing SEI."""

DEVICES = {"nvenc": "p6", "qsv": "veryslow", "vaapi": ""}
"""Family of device encoders, the preferred first → preset. VAAPI drivers have no common preset."""

_SAFER = 3
"""Steps by which a device's quality number is better than the CPU's: devices need more bits for the same picture. Not
measured on any device; the gate judges each result, and the last rung is the CPU's alone."""


_CPU_ENCODERS = {"mpeg2video": "mpeg2video", "h264": "libx264", "hevc": "libx265"}


_RANGES = {"mpeg2video": (2, 3, 14), "libx264": (10, 26, 36), "libx265": (10, 26, 38)}
"""Encoder → finest, first and coarsest number of a search. Coarser ones save little, and no gate of ours passes them."""

_DEVICE_RANGE = (8, 24, 36)


def search_of(encoder: str) -> Search:
    """The bounds within which an encoder's number is looked for."""
    finest, start, coarsest = _RANGES.get(encoder, _DEVICE_RANGE)
    return Search(finest=finest, start=start, coarsest=coarsest)


def _recipe(syntax: str, encoder: str, crf: int, preset: str, **fields: int) -> Recipe:
    return Recipe(
        transfer_syntax_uid=syntax,
        encoder=encoder,
        crf=crf,
        preset=preset,
        search=search_of(encoder),
        **(TARGETS[syntax] | fields),
    )


def cpu_ladder(crfs: tuple[int, ...], preset: str, syntax: str, *, searching: bool = True) -> Ladder:
    """These rungs, made for this target by the CPU; ``searching``: the first looks for its number itself."""
    encoder = _CPU_ENCODERS[TARGETS[syntax]["codec"]]
    recipe = _recipe(syntax, encoder, crfs[0], preset)
    return Ladder(recipe=recipe if searching else _plain(recipe), qualities=crfs)


def _plain(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"search": None})


def _device(crfs: tuple[int, ...], family: str, syntax: str) -> Ladder:
    qualities = tuple(max(1, crf - _SAFER) for crf in crfs[:-1])
    encoder = f"{TARGETS[syntax]['codec']}_{family}"
    return Ladder(recipe=_recipe(syntax, encoder, qualities[0], DEVICES[family], threads=1), qualities=qualities)


def _ladders(crfs: tuple[int, ...], preset: str) -> dict[str, Any]:
    """The profile's ladder, and every other way to make its rungs."""
    first, *larger = (cpu_ladder(crfs, preset, syntax) for syntax in CHOSEN)
    devices = (_device(crfs, family, syntax) for syntax in ON_DEVICES for family in DEVICES)
    own = tuple(recipe for number in range(len(crfs)) for recipe in first.rungs(number))
    return {"ladder": own, "alternatives": (*larger, *devices)}


def _gate(psnr: float, ssim: float, vmaf: float, *, psnr_p1: float, ssim_p1: float, vmaf_p1: float) -> Gate:
    return Gate(
        thresholds=(
            Threshold(metric="psnr_y", statistic="mean", minimum=psnr),
            Threshold(metric="psnr_cb", statistic="mean", minimum=psnr),
            Threshold(metric="psnr_cr", statistic="mean", minimum=psnr),
            Threshold(metric="ssim", statistic="mean", minimum=ssim),
            Threshold(metric="vmaf", statistic="mean", minimum=vmaf),
            Threshold(metric="psnr_y", statistic="p1", minimum=psnr_p1),
            Threshold(metric="ssim", statistic="p1", minimum=ssim_p1),
            Threshold(metric="vmaf", statistic="p1", minimum=vmaf_p1),
            Threshold(metric="psnr_y", statistic="worst_second", minimum=psnr_p1),
            Threshold(metric="ssim", statistic="worst_second", minimum=ssim_p1),
            Threshold(metric="vmaf", statistic="worst_second", minimum=vmaf_p1),
        )
    )


ARCHIVE = Profile(
    name="archive",
    purpose="the only copy from now on: PSNR ≥ 40 dB, SSIM ≥ 0.97, VMAF ≥ 93, and no ruined second",
    **_ladders((18, 13, 8, 3), "medium"),
    gate=_gate(40, 0.97, 93, psnr_p1=36, ssim_p1=0.95, vmaf_p1=85),
)
DIAGNOSTIC = Profile(
    name="diagnostic",
    purpose="read for diagnosis: PSNR ≥ 44 dB, SSIM ≥ 0.985, VMAF ≥ 95",
    **_ladders((14, 9, 5, 2), "slow"),
    keep_bits=True,
    gate=_gate(44, 0.985, 95, psnr_p1=41, ssim_p1=0.975, vmaf_p1=90).model_copy(
        # MS-SSIM, which costs more than all the others together, is left to rules
        update={"figures": (Figure.VMAF_NEG, Figure.CAMBI, Figure.PSNR_RGB)}
    ),
)
REVIEW = Profile(
    name="review",
    purpose="conference and teaching copies: PSNR ≥ 36 dB, SSIM ≥ 0.95, VMAF ≥ 88",
    **_ladders((23, 19, 15), "medium"),
    hardware=Hardware.ALLOWED,
    gate=_gate(36, 0.95, 88, psnr_p1=32, ssim_p1=0.92, vmaf_p1=78),
)
LOSSLESS = Profile(
    name="lossless",
    purpose="never encode: keep or rewrap only, every picture proven equal to the bit; what is not legal as it is fails with the reason",
    ladder=(),
    gate=Gate(thresholds=(), exact=True),
)
PRIMARY = Profile(
    name="primary",
    purpose="primary diagnosis: every frame kept bit for bit, as compressed images",
    ladder=(),
    gate=Gate(thresholds=()),
    frames=PRIMARY_LADDER,
)

FIXED = "-fixed"
"""Ends the name of a profile that takes its quality numbers as they are."""


def fixed(profile: Profile) -> Profile:
    """The profile with the quality numbers of its ladder as they stand: nothing is looked for."""

    others = tuple(other.model_copy(update={"recipe": _plain(other.recipe)}) for other in profile.alternatives)
    changes = {
        "name": f"{profile.name}{FIXED}",
        "purpose": f"{profile.purpose}; at fixed quality numbers",
        "ladder": tuple(map(_plain, profile.ladder)),
        "alternatives": others,
    }
    return Profile.model_validate(dict(profile) | changes)


_SEARCHING = (ARCHIVE, DIAGNOSTIC, REVIEW)

PROFILES: dict[str, Profile] = {
    profile.name: profile for profile in (*_SEARCHING, LOSSLESS, PRIMARY, *map(fixed, _SEARCHING))
}


def in_frames(profile: Profile, transfer_syntax_uid: str) -> Profile:
    """The profile, but every source becomes a sequence of images under this transfer syntax; its gate judges lossy ones.

    Raises:
        NoLegalPath: Cinefarm writes no frames under it.
    """
    return profile.model_copy(update={"frames": frame_ladder(transfer_syntax_uid), "frames_of_any": True})
