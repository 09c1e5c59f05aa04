"""The log of workers.ffmpeg.watch becomes two numbers a frame; lines are streamed."""

from __future__ import annotations

from array import array
from pathlib import Path

import numpy as np

from common.errors import InternalFault
from workers.ffmpeg.measurement import Measurement
from workers.ffmpeg.watch import BLACK, CHANGE
from workers.pictures import Watched


def read_watched(folder: Path, measurement: Measurement, frame_count: int) -> tuple[Watched, Watched]:
    """Source and result, of a measurement that ran in this folder. Raises: InternalFault."""
    return (
        parse_watch(folder / measurement.source_watch, frame_count),
        parse_watch(folder / measurement.output_watch, frame_count),
    )


def parse_watch(path: Path, frame_count: int) -> Watched:
    """One leg, frame by frame.

    Raises:
        InternalFault: it is not there, or a frame or a value is missing: what was not looked at is no clean picture.
    """
    values = {CHANGE: array("f"), BLACK: array("f")}
    frames = 0
    try:
        with path.open(encoding="ascii") as lines:
            for line in lines:
                name, mark, value = line.partition("=")
                if not mark and name.startswith("frame:"):
                    frames += 1
                elif name in values:
                    values[name].append(float(value))
    except (OSError, ValueError) as error:
        raise InternalFault("the log of the pictures cannot be read") from error
    if not frames == frame_count == len(values[CHANGE]) == len(values[BLACK]):
        raise InternalFault(f"{frames} frames were looked at and {frame_count} were expected")
    change, black = (np.frombuffer(values[name], dtype=np.float32) for name in (CHANGE, BLACK))
    return Watched(change, black)
