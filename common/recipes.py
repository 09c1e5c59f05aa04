"""Recipes (what to make), gates (what it must meet) and profiles (a named purpose), with the built-in ones as data."""

from __future__ import annotations

import hashlib
from enum import StrEnum

from pydantic import Field

from common.media import Value


class Audio(StrEnum):
    """What to do with sound. Stripping is the default: voices in an operating room are personal data."""

    STRIP = "strip"
    KEEP = "keep"


class Recipe(Value):
    """How to encode. The digest of a recipe addresses its results: change a field and old results are not found."""

    transfer_syntax_uid: str = Field(description="target, e.g. 1.2.840.10008.1.2.4.102")
    codec: str = Field(description="h264, hevc or mpeg2video")
    encoder: str = Field(description="FFmpeg's encoder name, e.g. libx264")
    profile: str = Field(description="encoder's profile name, e.g. high")
    level: str = Field(description="e.g. 4.1")
    crf: int = Field(ge=0, le=51, description="constant rate factor; lower is better and larger")
    preset: str = "medium"
    max_rate_kbit: int = Field(description="VBV peak rate, kbit/s")
    buffer_kbit: int = Field(description="VBV buffer, kbit")
    gop_seconds: float = Field(default=1.0, description="longest distance between random access points, s")
    b_frames: int = 2
    threads: int = Field(
        default=6,
        ge=1,
        description="encoder's frame threads; part of the recipe, because they shape the bytes: the same on every node",
    )

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of all fields, hexadecimal."""
        return canonical_digest(self)


class Threshold(Value):
    """One demand on one pooled figure: ``statistic`` of ``metric`` over all frames is at least ``minimum``.

    Metrics: psnr_y, psnr_cb, psnr_cr (dB per frame), ssim (0–1), vmaf (0–100).
    Statistics: mean (arithmetic mean of the per-frame values; for PSNR the mean of per-frame dB, not the PSNR of the mean
    MSE), harmonic_mean, min, p1 (1st percentile, linear interpolation), p5.
    """

    metric: str
    statistic: str
    minimum: float


class Gate(Value):
    """The thresholds a result must meet, all of them."""

    thresholds: tuple[Threshold, ...]


class Profile(Value):
    """A named purpose: a ladder of recipes, each rung better than the one before, and the gate."""

    name: str
    purpose: str
    ladder: tuple[Recipe, ...] = Field(description="empty: never encode, only keep or rewrap")
    gate: Gate

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of all fields, hexadecimal."""
        return canonical_digest(self)


def canonical_digest(value: Value) -> str:
    """SHA-256 of the value's JSON with sorted keys and no spaces, hexadecimal."""
    import json

    text = json.dumps(value.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _h264_high_41(crf: int, preset: str) -> Recipe:
    """H.264 High@4.1 for .102; MaxBR 62.5 Mbit/s and MaxCPB 62.5 Mbit in High profile (H.264 Table A-1, cpbBrVclFactor 1250)."""
    return Recipe(
        transfer_syntax_uid="1.2.840.10008.1.2.4.102",
        codec="h264",
        encoder="libx264",
        profile="high",
        level="4.1",
        crf=crf,
        preset=preset,
        max_rate_kbit=50_000,
        buffer_kbit=62_500,
    )


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
        )
    )


ARCHIVE = Profile(
    name="archive",
    purpose="the only copy from now on: PSNR ≥ 40 dB, SSIM ≥ 0.97, VMAF ≥ 93, and no ruined second",
    ladder=tuple(_h264_high_41(crf, "medium") for crf in (18, 13, 8, 3)),
    gate=_gate(40, 0.97, 93, psnr_p1=36, ssim_p1=0.95, vmaf_p1=85),
)
DIAGNOSTIC = Profile(
    name="diagnostic",
    purpose="read for diagnosis: PSNR ≥ 44 dB, SSIM ≥ 0.985, VMAF ≥ 95",
    ladder=tuple(_h264_high_41(crf, "slow") for crf in (14, 9, 5, 2)),
    gate=_gate(44, 0.985, 95, psnr_p1=41, ssim_p1=0.975, vmaf_p1=90),
)
REVIEW = Profile(
    name="review",
    purpose="conference and teaching copies: PSNR ≥ 36 dB, SSIM ≥ 0.95, VMAF ≥ 88",
    ladder=tuple(_h264_high_41(crf, "medium") for crf in (23, 19, 15)),
    gate=_gate(36, 0.95, 88, psnr_p1=32, ssim_p1=0.92, vmaf_p1=78),
)
LOSSLESS = Profile(
    name="lossless",
    purpose="never decode: keep or rewrap only; what is not legal as it is fails with the reason",
    ladder=(),
    gate=Gate(thresholds=()),
)

PROFILES: dict[str, Profile] = {profile.name: profile for profile in (ARCHIVE, DIAGNOSTIC, REVIEW, LOSSLESS)}
