"""What a hospital's video needs, from how many procedures there are: disk, network, workers, days. Pure; docs/estimates.md."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.errors import PolicyError
from common.recipes import PROFILES, Recipe
from orchestrator import estimates
from orchestrator.limits import parse_rate

MONTHS = 12

EXAMPLE = """Write [site] with days_a_year, hours_a_day, workers, gpus and link, and [[specialty]] with name, procedures_a_day, minutes,
size, rate and profile for each (docs/plan.md)."""


class Site(BaseModel):
    """The whole hospital."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days_a_year: int = Field(default=250, ge=1, le=366, description="days with procedures")
    hours_a_day: float = Field(default=24, gt=0, le=24, description="hours in which the farm works and sends")
    workers: int = Field(default=2, ge=1, description="transcodes at a time on CPUs")
    gpus: int = Field(default=0, ge=0, description="transcodes at a time on devices")
    link: str | None = Field(default=None, description="to the archive: 1Gbit/s, 20MB/s")


class Specialty(BaseModel):
    """One kind of procedure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    procedures_a_day: float = Field(gt=0)
    minutes: float = Field(gt=0, description="recorded of each procedure")
    size: str = Field(default="1920x1080", pattern=r"^\d{2,5}x\d{2,5}$")
    rate: float = Field(default=25, gt=0, le=300, description="frames per second")
    profile: str = "archive"
    bit_rate: str | None = Field(default=None, description="of results, measured at the site; else estimated")
    archive_hours: float = Field(default=0, ge=0, description="recorded already, to be migrated")


class Hospital(BaseModel):
    """The file of ``cinefarm plan --procedures``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    site: Site = Site()
    specialty: tuple[Specialty, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Speeds:
    """What this farm did: (encoder, preset) → luma samples/s of one order, and coded bits a luma sample; with how many orders."""

    speed: Mapping[tuple[str, str], float] = field(default_factory=dict)
    bits: Mapping[tuple[str, str, int], float] = field(default_factory=dict)
    orders: int = 0


@dataclass(frozen=True)
class Need:
    """What one specialty needs."""

    specialty: Specialty
    bit_rate: float  # bit/s of the results while they play
    procedure_bytes: int
    day_bytes: float  # on a day with procedures
    month_bytes: float
    year_bytes: float
    network_bit_rate: float  # bit/s, so that a day's results are away within the hours of work
    work_samples: float  # luma samples a day
    work_seconds: float  # of one worker a day
    archive_bytes: float
    archive_work_seconds: float
    measured: tuple[str, ...]  # what rests on this farm's own orders: "speed", "size"


@dataclass(frozen=True)
class Whole:
    """The sums, against what the site has."""

    site: Site
    needs: tuple[Need, ...]
    workers_needed: int
    link_share: float | None  # of the link's time in the hours of work; above 1: it does not suffice
    archive_days: float | None  # beside the daily work; None: there is no time left beside it, or nothing to migrate

    def total(self, name: str) -> float:
        """The sum of one figure over all specialties."""
        return float(sum(getattr(need, name) for need in self.needs))


def read_hospital(path: Path) -> Hospital:
    """The file as values.

    Raises:
        PolicyError: it cannot be read, is no TOML, or says something that is not known; the message names it.
    """
    try:
        hospital = Hospital.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise PolicyError(f"{path}: {error.strerror}", hint=EXAMPLE) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path} is no TOML: {error}", hint=EXAMPLE) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise PolicyError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}", hint=EXAMPLE) from error
    for specialty in hospital.specialty:
        if specialty.profile not in PROFILES or not PROFILES[specialty.profile].ladder:
            encoding = ", ".join(name for name, profile in PROFILES.items() if profile.ladder)
            raise PolicyError(
                f"{path}: {specialty.name}: {specialty.profile} is no profile that encodes; there are {encoding}"
            )
        if specialty.bit_rate:
            parse_rate(specialty.bit_rate)
    if hospital.site.link:
        parse_rate(hospital.site.link)
    return hospital


def reckon(hospital: Hospital, speeds: Speeds) -> Whole:
    """Everything that the file asks for."""
    site = hospital.site
    needs = tuple(need_of(specialty, site, speeds) for specialty in hospital.specialty)
    day_seconds = site.hours_a_day * 3600
    daily, waiting = sum(need.work_seconds for need in needs), sum(need.archive_work_seconds for need in needs)
    free = capacity(needs, site) * day_seconds - daily
    share = None
    if site.link:
        line = estimates.Line(parse_rate(site.link))
        objects = sum(need.specialty.procedures_a_day for need in needs)
        bytes_a_day = sum(need.day_bytes for need in needs)
        share = estimates.transfer_seconds(round(bytes_a_day), round(objects), line) / day_seconds
    days = waiting / free if waiting and free > 0 else None
    return Whole(site, needs, max(1, ceil(daily / day_seconds)), share, days)


def capacity(needs: tuple[Need, ...], site: Site) -> float:
    """Seconds of one CPU worker's work that the site does in a second: a device counts by its speed."""
    samples, seconds = sum(need.work_samples for need in needs), sum(need.work_seconds for need in needs)
    return site.workers + site.gpus * estimates.DEVICE_SPEED * seconds / samples


def need_of(specialty: Specialty, site: Site, speeds: Speeds) -> Need:
    """One specialty's needs: estimates.md's formulas over a day's procedures."""
    recipe: Recipe = PROFILES[specialty.profile].ladder[0]
    width, height = (int(side) for side in specialty.size.split("x"))
    seconds = 60 * specialty.minutes
    samples = (width + width % 2) * (height + height % 2) * specialty.rate * seconds
    speed = speeds.speed.get((recipe.encoder, recipe.preset))
    bits = speeds.bits.get((recipe.encoder, recipe.preset, recipe.crf))
    stream = _stream_bytes(specialty, recipe, samples, seconds, bits)
    each = estimates.container_bytes(stream, round(specialty.rate * seconds), "mp4") + estimates.DICOM_BYTES
    work = samples / (speed or estimates.encode_speed(recipe))
    day, recorded = each * specialty.procedures_a_day, specialty.archive_hours * 3600 / seconds
    year = day * site.days_a_year
    return Need(
        specialty=specialty,
        bit_rate=8 * stream / seconds,
        procedure_bytes=each,
        day_bytes=day,
        month_bytes=year / MONTHS,
        year_bytes=year,
        network_bit_rate=estimates.sustained_bit_rate(round(day), site.hours_a_day * 3600),
        work_samples=samples * specialty.procedures_a_day,
        work_seconds=work * specialty.procedures_a_day,
        archive_bytes=each * recorded,
        archive_work_seconds=work * recorded,
        measured=(*(("speed",) if speed else ()), *(("size",) if bits and not specialty.bit_rate else ())),
    )


def _stream_bytes(specialty: Specialty, recipe: Recipe, samples: float, seconds: float, bits: float | None) -> int:
    if specialty.bit_rate:
        return estimates.storage_bytes(8 * parse_rate(specialty.bit_rate), seconds)
    if bits is not None:
        return ceil(samples * bits / 8)
    return estimates.encoded_stream_bytes(recipe, round(samples), seconds)
