"""The columns of the matrix, what planning alone says of every cell, and which cells are made and proven."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from support.matrix.sources import SOURCES, Source
from support.passage_to import planned

from common.errors import NoLegalPath
from common.media import Description
from common.orders import Path as Way
from common.orders import Plan
from common.settings import Settings
from workers.describe import describe_sandboxed

VIDEO = tuple(f".{x}" for x in range(100, 109))
FRAMES = (".80", ".90", ".201", "RLE", ".50")
FRAGMENTABLE = tuple(f"{target}.1" for target in VIDEO[:7])
"""Twins of .100 to .106: their plan is that of the base, the finished stream's length alone decides."""

TARGETS = (*VIDEO, *FRAMES)

MADE: Mapping[str, tuple[str, ...]] = {
    ".100": ("vcd", "dv-tape", "dvd", "avi-vga", "dicom-mpeg2"),
    ".101": ("mjpeg-720p50", "capture-1080i", "hdv-1080i"),
    ".102": ("phone", "us-rgb", "endoscope-720p50", "dicom-h264", "variable-rate"),
    ".103": ("mjpeg-720p50", "prores-1080p24", "blu-ray-1080p24"),
    ".104": ("phone", "us-palette", "endoscope-720p50"),
    ".105": ("side-by-side", "top-bottom", "untagged-stereo"),
    ".106": ("stereo-high", "stereo-high-ts", "dicom-stereo-high"),
    ".107": ("camera-hevc", "endoscope-4k", "avi-vga", "us-jpeg"),
    ".108": ("hdr10", "prores-1080p24", "grey-16"),
    ".80": ("us-rgb", "us-palette", "grey-16", "avi-vga"),
    ".90": ("us-rgb", "us-grey", "grey-12"),
    ".201": ("us-rgb", "us-palette", "grey-16"),
    "RLE": ("us-rgb", "us-palette", "grey-12"),
    ".50": ("us-jpeg", "us-rgb", "us-grey", "avi-vga"),
}
"""Target → the sources that are really brought there: every codec, scan and kind that it is likely to meet, three at least."""

TWINS: Mapping[str, tuple[str, ...]] = {target: MADE[target.removesuffix(".1")][:3] for target in FRAGMENTABLE}

CHOSEN: tuple[tuple[str, str], ...] = tuple(
    (name, target) for table in (MADE, TWINS) for target, names in table.items() for name in names
)
"""(source, target) of every cell that is made, in the order of the columns."""


@dataclass(frozen=True)
class Step:
    """What planning says of one cell. ``rule``: of what closed the last path, where all are closed."""

    plan: Plan | None
    rule: str = ""

    @property
    def words(self) -> str:
        """As it stands in the table."""
        return str(self.plan.path.value) if self.plan else f"– `{self.rule}`"


@dataclass
class Shelf:
    """Sources, each made and described once."""

    folder: Path
    _described: dict[str, tuple[Path, Description]] = field(default_factory=dict)

    def of(self, source: Source) -> tuple[Path, Description]:
        """The file and its description."""
        if source.name not in self._described:
            path = source.made(self.folder)
            self._described[source.name] = path, describe_sandboxed(path, path.suffix, Settings())
        return self._described[source.name]

    def step(self, source: Source, target: str) -> Step:
        """What a job with ``--syntax`` would do; a twin is planned as its base."""
        _, description = self.of(source)
        syntax = target.removesuffix(".1") if target in TWINS else target
        try:
            return Step(planned(description, syntax, frame_packing=source.packing))
        except NoLegalPath as refused:
            return Step(None, refused.rule)


@cache
def by_name(name: str) -> Source:
    """A row."""
    return next(source for source in SOURCES if source.name == name)


def is_frames(plan: Plan, description: Description) -> bool:
    """True when the result is a sequence of images."""
    return plan.path is Way.FRAMES or (
        plan.path is Way.KEEP and description.dicom is not None and not description.dicom.stream_length
    )
