"""The part of a picture that shows something: where figures are taken a second time, so that a black border flatters no score."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from common.errors import PolicyError
from common.media import Value

SMALLEST = 64
"""Pixels a side of what is measured: VIF and ADM halve a picture four times, and less tells little."""

INSIDE = "_inside"
"""Ends the name of a metric that was taken of a region alone."""

Box = tuple[int, int, int, int]
"""Left, top, width, height; pixels of the result."""


class Region(Value):
    """A region as it was asked for, or (``inner`` is there) as it lies in pictures of one size. Pixels of the result.

    What is measured is ``inner``: the largest upright rectangle in the region, with even sides as 4:2:0 needs them. So every
    figure of the inside is that of the two videos cropped to it, which any other program can repeat.
    """

    shape: Literal["none", "circle", "rectangle", "polygon"] = Field(description="none: nothing is looked for")
    circle: tuple[float, float, float] | None = Field(
        default=None, description="x and y of the centre, radius; may be cut"
    )
    rectangle: Box | None = Field(default=None, description="the rectangle itself, or the box around another shape")
    inner: Box | None = Field(default=None, description="what is measured; None: not yet laid into a picture")
    share: float | None = Field(default=None, description="area of the shape as a part of the picture")
    automatic: bool = Field(default=False, description="found from the static black border, not given")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.shape == "circle" and (self.circle is None or self.circle[2] <= 0):
            raise ValueError("a circle is [x, y, radius], its radius above 0")
        if self.shape == "rectangle" and (self.rectangle is None or min(self.rectangle[2:]) <= 0):
            raise ValueError("a rectangle is [left, top, width, height], its sides above 0")
        return self

    @property
    def words(self) -> str:
        """For people."""
        if self.circle is not None:
            x, y, radius = self.circle
            return f"a circle of radius {radius:.0f} around ({x:.0f}, {y:.0f})"
        if self.rectangle is not None:
            left, top, width, height = self.rectangle
            return f"{'a rectangle' if self.shape == 'rectangle' else 'a shape'} of {width}×{height} at ({left}, {top})"
        return "no region"


NO_REGION = Region(shape="none")
"""Nobody looks for one."""

_FORMS = "auto, none, circle=X,Y,RADIUS or rectangle=LEFT,TOP,WIDTH,HEIGHT (pixels of the result)"


def parse_region(text: str) -> Region | None:
    """The region that a person asked for; None: it is to be found automatically.

    Raises:
        PolicyError: it is not understood.
    """
    word, _, numbers = text.strip().partition("=")
    if word in ("auto", "none") and not numbers:
        return NO_REGION if word == "none" else None
    try:
        values = [float(number) for number in numbers.split(",")]
        return given_region(word, values)
    except ValueError as error:
        raise PolicyError(f"the region {text!r} is not understood", hint=f"Give one of: {_FORMS}.") from error


def given_region(shape: str, values: list[float]) -> Region:
    """A circle or a rectangle from its numbers. Raises: ValueError: other numbers than it has."""
    if shape == "circle" and len(values) == 3:
        return Region(shape="circle", circle=(values[0], values[1], values[2]))
    if shape == "rectangle" and len(values) == 4 and all(value == int(value) for value in values):
        left, top, width, height = map(int, values)
        return Region(shape="rectangle", rectangle=(left, top, width, height))
    raise ValueError(_FORMS)
