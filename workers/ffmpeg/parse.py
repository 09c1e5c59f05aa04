"""FFmpeg's text becomes a type at once: progress blocks and libvmaf's per-frame log."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from common.errors import InternalFault
from common.recipes import Figure
from common.region import INSIDE
from workers.ffmpeg.measurement import Measurement, inside_figures

Scores = dict[str, NDArray[np.float32]]
"""Metric name → one value per frame, in display order. Names as in common.recipes.Threshold."""

PSNR_CAP = 100.0
"""dB: what an infinite PSNR of equal pictures counts as."""

COLUMNS = {"psnr_y": "psnr_y", "psnr_cb": "psnr_cb", "psnr_cr": "psnr_cr", "float_ssim": "ssim", "vmaf": "vmaf"}
"""libvmaf's column → our metric."""

MORE_COLUMNS = {
    Figure.MS_SSIM: {"float_ms_ssim": "ms_ssim"},
    Figure.VMAF_NEG: {"vmaf_neg": "vmaf_neg"},
    Figure.CAMBI: {"cambi": "cambi", "cambi_source": "cambi_source", "cambi_full_reference": "cambi_added"},
}
"""The same of further figures."""


@dataclass(frozen=True)
class Progress:
    """One report of a running FFmpeg; its times and speed are of the measuring outputs' own clocks, and say nothing."""

    frame: int  # frames encoded
    fps: float  # frames per second of wall time
    size_bytes: int  # written so far


class ProgressReader:
    """Collects ``key=value`` lines of ``-progress`` and hands on one Progress per block."""

    def __init__(self, report: Callable[[Progress], None] | None = None) -> None:
        self.last: Progress | None = None
        self._report = report
        self._block: dict[str, str] = {}

    def line(self, text: str) -> None:
        """Take one line; ``progress=`` ends a block."""
        key, _, value = text.strip().partition("=")
        self._block[key] = value.strip()
        if key != "progress":
            return
        block, self._block = self._block, {}
        self.last = Progress(
            frame=int(_number(block.get("frame"))),
            fps=_number(block.get("fps")),
            size_bytes=int(_number(block.get("total_size"))),
        )
        if self._report is not None:
            self._report(self.last)


def _number(text: str | None) -> float:
    """FFmpeg writes N/A for what it does not know yet, and 'x' after a speed."""
    try:
        number = float((text or "0").rstrip("x"))
    except ValueError:
        return 0.0
    return number if 0.0 <= number < inf else 0.0


def read_scores(folder: Path, measurement: Measurement, frame_count: int) -> Scores:
    """All that a measurement of so many frames wrote into this folder.

    Raises:
        InternalFault: a metric, a frame or a value is missing.
    """
    log, figures, stride = folder / measurement.log, measurement.figures, measurement.stride
    scores = parse_scores(log, frame_count, figures=figures, stride=stride)
    if Figure.PSNR_RGB in figures:
        scores["psnr_rgb"] = _rgb(folder / measurement.rgb_log)
        if len(scores["psnr_rgb"]) != len(scores["vmaf"]):
            raise InternalFault(f"{len(scores['psnr_rgb'])} frames were measured in RGB, not {len(scores['vmaf'])}")
    if measurement.inside is not None:
        inner = inside_figures((measurement.inside[2], measurement.inside[3])) & figures
        inside = parse_scores(folder / measurement.inside_log, frame_count, figures=inner, stride=stride)
        scores |= {f"{metric}{INSIDE}": values for metric, values in inside.items()}
    return scores


def parse_scores(path: Path, frame_count: int, *, figures: Collection[Figure] = (), stride: int = 1) -> Scores:
    """Read libvmaf's CSV log; rows are streamed, four bytes per value are kept. At a stride of n it holds frames 0, n, 2n …

    Raises:
        InternalFault: a metric, a frame or a value is missing; that is never an empty result.
    """
    columns = dict(COLUMNS)
    for figure in figures:
        columns |= MORE_COLUMNS.get(figure, {})
    try:
        with path.open(newline="", encoding="ascii") as text:
            scores = _columns(csv.reader(text), columns, stride)
    except OSError as error:
        raise InternalFault("the measurement wrote no log") from error
    except (ValueError, IndexError, StopIteration, csv.Error) as error:
        raise InternalFault("the log of the measurement cannot be read") from error
    measured, expected = len(scores["vmaf"]), -(-frame_count // stride)
    if measured != expected:
        raise InternalFault(f"{measured} frames were measured and {expected} were expected")
    for metric, values in scores.items():
        if not np.isfinite(values).all():
            raise InternalFault(f"{metric} of frame {int(np.isfinite(values).argmin())} is no number")
    return scores


_RGB_KEY = "lavfi.psnr.psnr_avg="


def _rgb(path: Path) -> NDArray[np.float32]:
    """The log of the ``metadata`` filter behind ``psnr``: a value a frame; equal pictures are infinite."""
    try:
        with path.open(encoding="ascii") as lines:
            values = array("f", (float(line[len(_RGB_KEY) :]) for line in lines if line.startswith(_RGB_KEY)))
    except OSError as error:
        raise InternalFault("the measurement in RGB wrote no log") from error
    except ValueError as error:
        raise InternalFault("the log of the measurement in RGB cannot be read") from error
    column = np.minimum(np.frombuffer(values, dtype=np.float32), np.float32(PSNR_CAP))
    if np.isnan(column).any():
        raise InternalFault(f"psnr_rgb of frame {int(np.isnan(column).argmax())} is no number")
    return cast("NDArray[np.float32]", column)


def parse_places(path: Path) -> list[int]:
    """Read the log of the ``metadata`` filter: the time stamp of each frame that passed it, in its time base.

    Raises:
        InternalFault: it is not there, or a time stamp does not come after the one before it.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        places = [int(line.partition("pts:")[2].split()[0]) for line in lines if line.startswith("frame:")]
    except (OSError, ValueError, IndexError) as error:
        raise InternalFault("the log of the frames' places cannot be read") from error
    if not places or any(after <= before for before, after in pairwise(places)):
        raise InternalFault("the frames' places do not ascend")
    return places


def _columns(rows: Iterable[list[str]], columns: dict[str, str], stride: int) -> Scores:
    """Pick our columns out of the rows; the first row names them, the first column numbers the frames from 0."""
    rows = iter(rows)
    header = next(rows)
    missing = [name for name in ("Frame", *columns) if name not in header]
    if missing:
        raise InternalFault(f"the measurement lacks {', '.join(missing)}")
    number = header.index("Frame")
    places = [header.index(name) for name in columns]
    values = [array("f") for _ in columns]
    for expected, row in enumerate(rows):
        if int(row[number]) != expected * stride:
            raise InternalFault(f"the measurement skipped frame {expected * stride}")
        for column, place in zip(values, places, strict=True):
            column.append(float(row[place]))
    return {
        metric: cast("NDArray[np.float32]", np.frombuffer(column, dtype=np.float32))
        for metric, column in zip(columns.values(), values, strict=True)
    }
