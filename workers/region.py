"""Where the picture is inside its black border, from a few small grey pictures of a video. Pure.

Endoscopes show a circle, a circle cut at top and bottom, an octagon or a rounded rectangle in a frame that is black for the
rest, with text beside it. The border is what is black in every picture, flat, and ends at a sharp edge; the region is the convex
hull of the largest connected rest. A dark scene that fills the frame has no such edge, and a fade from black no such pictures.
A region that is found though there is none makes a gate stricter and never milder.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from common.errors import PolicyError
from common.region import SMALLEST, Box, Region

Pictures = NDArray[np.uint8]  # (pictures, rows, columns), full-range grey, square cells
Mask = NDArray[np.bool_]

COLUMNS = 192
"""Cells a row of the pictures that are looked at; each is the mean of its pixels, which takes noise away."""

FEWEST = 3
"""Lit pictures: of fewer nobody can say what stays black."""

BLACK = 28
"""Of 255, full range: brighter cells show something. Black that a camera coded as 16 of a full range, and noise, stay below."""

SWING = 10
"""Most that a cell of the border changes between pictures."""

FLAT = 8.0
"""Most that the border's cells differ from each other, from their 5th to their 90th percentile: a dark scene is not flat."""

EDGE = 20.0
"""Least step of brightness at the border's edge, in the median: an endoscope's mask is sharp, shadow is not."""

LEAST, MOST = 0.10, 0.97
"""Parts of the picture that a region takes: below, nothing is left to judge; above, nothing is left out."""

CONVEX = 0.90
"""Part of its hull that the lit area fills, unlit pixels that it surrounds included."""

LIT_BESIDE = 0.30
"""Most of the area outside that text and logos light."""

_ROUND = 0.02
"""Of the radius: a circle's edge lies this close to it (root mean square). That of an octagon is 2.6 % away."""

_FILLS_BOX = 0.985
"""Part of its bounding box that makes a shape a rectangle."""

_GRID = 480
"""Cells a row in which a given circle is drawn."""


def find_region(pictures: Pictures, width: int, height: int) -> tuple[Region | None, str]:
    """The region of a video whose pictures are of this size (pixels), or None and the reason why there is none."""
    lit_pictures = pictures[[bool(np.percentile(one, 95) > 40) for one in pictures]] if len(pictures) else pictures
    if len(lit_pictures) < FEWEST:
        return None, f"{len(lit_pictures)} pictures that show something are too few to tell what stays black"
    brightest, darkest = pictures.max(axis=0), pictures.min(axis=0)
    lit = (brightest > BLACK) | (brightest.astype(np.int16) - darkest > SWING)
    if lit.mean() > MOST:
        return None, "no static black border"
    body = _largest(_opened(lit))
    if body.mean() < LEAST:
        return None, "no large area is lit"
    hull = _hull(_grown(body) & lit)
    if reason := _doubt(hull, lit, brightest):
        return None, reason
    inner = inner_box(hull & _shrunk(hull), width, height)
    if inner is None:
        return None, f"what is lit is smaller than {SMALLEST} pixels a side"
    return _described(hull, inner, width, height), ""


def lay_region(asked: Region, width: int, height: int) -> Region:
    """A given region in pictures of this size (pixels).

    Raises:
        PolicyError: it does not lie in them, or too little of it.
    """
    mask, shown = _drawn(asked, width, height)
    if asked.shape == "rectangle" and asked.rectangle is not None:
        left, top, wide, high = asked.rectangle
        outside = left < 0 or top < 0 or left + wide > width or top + high > height
        inner = None if outside else _even(left, top, left + wide, top + high)
    else:
        x, y, _ = asked.circle or (0.0, 0.0, 0.0)
        inner = inner_box(mask, width, height) if 0 <= x <= width and 0 <= y <= height else None
    if inner is None:
        raise PolicyError(
            f"{asked.words} does not lie in pictures of {width}×{height} with {SMALLEST} pixels a side",
            hint="Give it in pixels of the result, or 'auto' to have it found in each video.",
        )
    return asked.model_copy(
        update={"inner": inner, "share": shown, "rectangle": asked.rectangle or _box(mask, width, height)}
    )


def inner_box(mask: Mask, width: int, height: int) -> Box | None:
    """The largest upright rectangle whose cells all lie in ``mask``, in pixels; None: smaller than SMALLEST a side."""
    rows, columns = mask.shape
    heights = np.zeros(columns, dtype=int)
    best, found = 0.0, (0, 0, 0, 0)
    for row in range(rows):
        heights = np.where(mask[row], heights + 1, 0)
        stack: list[tuple[int, int]] = []  # (first column, height), heights ascending
        for column, tall in enumerate([*heights.tolist(), 0]):
            first = column
            while stack and stack[-1][1] >= tall:
                first, high = stack.pop()
                if high * (column - first) > best:
                    best, found = high * (column - first), (first, row + 1 - high, column, row + 1)
            stack.append((first, tall))
    across, down = width / columns, height / rows
    left, top, right, bottom = found
    return _even(left * across, top * down, right * across, bottom * down)


def _even(left: float, top: float, right: float, bottom: float) -> Box | None:
    """The even pixels within, since 4:2:0 halves both sides."""
    x, y = 2 * int(np.ceil(left / 2)), 2 * int(np.ceil(top / 2))
    width, height = 2 * int((right - x) // 2), 2 * int((bottom - y) // 2)
    return (x, y, width, height) if min(width, height) >= SMALLEST else None


def _doubt(hull: Mask, lit: Mask, brightest: NDArray[np.uint8]) -> str:
    """Why this is no endoscope's mask; empty: it is one."""
    if not LEAST <= hull.mean() <= MOST:
        return "no static black border"
    if (_filled(lit & hull) & hull).sum() < CONVEX * hull.sum():
        return "what is lit has no convex shape"
    outside = ~_grown(_grown(hull))
    if not outside.any():
        return "no static black border"
    if (lit & outside).sum() > LIT_BESIDE * outside.sum():
        return "what lies around the lit area is not black"
    border = brightest[outside & ~_grown(lit)]
    if not border.size:
        return "what lies around the lit area is not black"
    low, high = np.percentile(border, (5, 90))
    if high - low > FLAT:
        return "what is dark around the lit area is no flat black"
    within = hull & ~_shrunk(_shrunk(_shrunk(hull))) & _shrunk(hull)
    step = float(np.median(brightest[within])) - float(np.median(border))
    return "" if step >= EDGE else "the dark area has no sharp edge"


def _described(hull: Mask, inner: Box, width: int, height: int) -> Region:
    box, share = _box(hull, width, height), float(hull.mean())
    found = Region(shape="polygon", rectangle=box, inner=inner, share=round(share, 4), automatic=True)
    if box[2] * box[3] * _FILLS_BOX <= share * width * height:
        return found.model_copy(update={"shape": "rectangle"})
    circle = _circle(hull)
    if circle is None:
        return found
    scale = width / hull.shape[1]
    exact = tuple(round(value * scale, 1) for value in circle)
    return found.model_copy(update={"shape": "circle", "circle": exact})


def _circle(hull: Mask) -> tuple[float, float, float] | None:
    """Centre and radius in cells of the circle that fits the edge where it is not cut by the picture's own (Kåsa's fit)."""
    edge = hull & ~_shrunk(hull)
    edge[:2], edge[-2:], edge[:, :2], edge[:, -2:] = False, False, False, False
    y, x = np.nonzero(edge)
    if len(x) < 12:
        return None
    known = np.column_stack((x, y, np.ones(len(x))))
    a, b, c = np.linalg.lstsq(known, (x * x + y * y).astype(float), rcond=None)[0]
    centre_x, centre_y = a / 2, b / 2
    radius = float(np.sqrt(max(c + centre_x**2 + centre_y**2, 0.0)))
    error = np.hypot(x - centre_x, y - centre_y) - radius
    # a cell's centre stands for the cell, and the edge runs along its outer side
    fits = (
        radius > 0
        and float(np.sqrt(np.mean(error**2))) <= max(_ROUND * radius, 0.5)
        and _turns(x - centre_x, y - centre_y)
    )
    return (centre_x + 0.5, centre_y + 0.5, radius + 0.5) if fits else None


def _turns(x: NDArray[np.float64], y: NDArray[np.float64]) -> bool:
    """True when an edge goes around its centre for at least a third of a circle: a straight line fits a large one, too."""
    covered = np.unique(np.floor(np.degrees(np.arctan2(y, x)) / 10))
    return len(covered) >= 12


def _drawn(asked: Region, width: int, height: int) -> tuple[Mask, float]:
    """The shape as cells that lie wholly within it, and its area as a part of the picture."""
    columns = min(_GRID, width)
    rows = max(1, round(columns * height / width))
    if asked.shape == "rectangle" and asked.rectangle is not None:
        _, _, wide, high = asked.rectangle
        return np.ones((rows, columns), dtype=bool), round(wide * high / (width * height), 4)
    centre_x, centre_y, radius = asked.circle or (0.0, 0.0, 0.0)
    x = np.abs(np.linspace(0, width, columns + 1) - centre_x)
    y = np.abs(np.linspace(0, height, rows + 1) - centre_y)
    far_x, far_y = np.maximum(x[:-1], x[1:]), np.maximum(y[:-1], y[1:])
    mask = np.hypot(far_x[None, :], far_y[:, None]) <= radius
    middle_x, middle_y = (np.arange(columns) + 0.5) * width / columns, (np.arange(rows) + 0.5) * height / rows
    area = np.hypot((middle_x - centre_x)[None, :], (middle_y - centre_y)[:, None]) <= radius
    return mask, round(float(area.mean()), 4)


def _box(mask: Mask, width: int, height: int) -> Box:
    """The box around the cells of a mask, in pixels."""
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    if not len(rows):
        return (0, 0, width, height)
    across, down = width / mask.shape[1], height / mask.shape[0]
    left, top = int(columns[0] * across), int(rows[0] * down)
    return left, top, round((columns[-1] + 1) * across) - left, round((rows[-1] + 1) * down) - top


def _grown(mask: Mask) -> Mask:
    """With the four neighbours of each cell."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def _shrunk(mask: Mask) -> Mask:
    """Without the cells that have a neighbour outside; the picture's own edge is no outside."""
    return ~_grown(~mask)


def _opened(mask: Mask) -> Mask:
    """Without what is at most four cells thick: lines, and text that touches the region."""
    return _grown(_grown(_shrunk(_shrunk(mask))))


def _largest(mask: Mask) -> Mask:
    """The largest connected part (by four neighbours); all False where there is none."""
    left, best = mask.copy(), np.zeros_like(mask)
    while left.any():
        start = np.unravel_index(int(left.argmax()), left.shape)
        part = _connected(left, (int(start[0]), int(start[1])))
        left &= ~part
        if part.sum() > best.sum():
            best = part
        if left.sum() <= best.sum():
            break
    return best


def _connected(mask: Mask, start: tuple[int, int]) -> Mask:
    rows, columns = mask.shape
    seen = np.zeros_like(mask)
    seen[start] = True
    queue = deque([start])
    while queue:
        row, column = queue.popleft()
        for y, x in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if 0 <= y < rows and 0 <= x < columns and mask[y, x] and not seen[y, x]:
                seen[y, x] = True
                queue.append((y, x))
    return seen


def _filled(mask: Mask) -> Mask:
    """With the holes that no way leads out of."""
    framed = np.pad(~mask, 1, constant_values=True)
    return ~_connected(framed, (0, 0))[1:-1, 1:-1]


def _hull(mask: Mask) -> Mask:
    """The cells whose centres lie in the convex hull of the mask's cells (Andrew's monotone chain)."""
    rows = np.nonzero(mask.any(axis=1))[0]
    ends = [(int(np.nonzero(mask[row])[0][at]), int(row)) for row in rows for at in (0, -1)]
    points = sorted(set(ends))
    lower, upper = _chain(points), _chain(points[::-1])
    corners = [*lower[:-1], *upper[:-1]]
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    inside = np.ones_like(mask)
    for (x0, y0), (x1, y1) in pairwise([*corners, corners[0]]):
        inside &= (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) >= 0
    return inside


def _chain(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    chain: list[tuple[int, int]] = []
    for x, y in points:
        while len(chain) > 1:
            (x0, y0), (x1, y1) = chain[-2], chain[-1]
            if (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) > 0:
                break
            chain.pop()
        chain.append((x, y))
    return chain
