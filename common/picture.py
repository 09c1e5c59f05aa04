"""The size of the pictures that an encode makes: square pixels, turned upright, even sides. Nothing is cropped."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from common.media import Scan, VideoStream


def square_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """Size with square pixels: a pixel's short side is stretched, never its long side shrunk; the new side is even."""
    if aspect == 1:
        return width, height
    if aspect > 1:
        return 2 * round(width * aspect / 2), height
    return width, 2 * round(height / aspect / 2)


def turned_size(size: tuple[int, int], rotation: int) -> tuple[int, int]:
    """Size after a turn by clockwise degrees."""
    return size if rotation in (0, 180) else (size[1], size[0])


def padded_size(width: int, height: int, scan: Scan) -> tuple[int, int]:
    """4:2:0 needs even sizes (H.264 6.2), and fields that are even themselves."""
    rows = 2 if scan is Scan.PROGRESSIVE else 4
    return 2 * ceil(width / 2), rows * ceil(height / rows)


def encoded_size(video: VideoStream, *, keep_aspect: bool = False) -> tuple[int, int]:
    """Width and height of what a stream becomes when it is encoded. ``keep_aspect``: its pixels keep their shape."""
    square = square_size(video.width, video.height, Fraction(1) if keep_aspect else video.pixel_aspect)
    return padded_size(*turned_size(square, video.rotation), video.scan)
