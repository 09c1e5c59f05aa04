"""Filters that look at every frame of a leg as a small grey picture and log how it changes and how black it is. Pure.

About 1 ms a frame of 1080p. The log is read by workers.ffmpeg.parse_watch.
"""

from __future__ import annotations

from workers.ffmpeg.filters import Filter

WIDTH, HEIGHT = 128, 72
"""Cells of the small picture; each is the mean of its pixels."""

SOURCE_LEVEL, OUTPUT_LEVEL = 30, 22
"""Of 255: a cell below is black. FFmpeg's blackdetect takes 25 (its default, 10 %); the source gets a little more, the result a
little less."""

CHANGE, BLACK = "lavfi.scd.mafd", "lavfi.blackframe.pblack"
"""Mean absolute difference to the frame before, percent of full scale; percent of cells that are black."""


def watch_chain(level: int, log: str) -> tuple[Filter, ...]:
    """The chain of a branch that ends in no output; ``log``: a file in the folder that FFmpeg runs in."""
    return (
        Filter("metadata", (("mode", "delete"),)),  # a source's own may say anything
        Filter("scale", (("w", str(WIDTH)), ("h", str(HEIGHT)), ("flags", "area"), ("out_range", "full"))),
        Filter("format", (("pix_fmts", "gray"),)),
        Filter("scdet", (("t", "100"),)),
        Filter("blackframe", (("amount", "0"), ("threshold", str(level)))),
        Filter("metadata", (("mode", "print"), ("file", log))),
        Filter("nullsink"),
    )
