"""What viewers are shown of stored instances, as the servers ask the workers' code for it: one question, one answer, a JSON line each.

Pictures are decoded by the workers' code in a child under limits, for instances that were kept as they came are hostile input.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from common.media import Value

LONGEST_SIDE = 4096
"""Pixels of a picture that is asked for, each way."""


class Picture(Value):
    """One frame as a picture."""

    key: str = Field(description="of the instance in the store")
    frame: int = Field(ge=1, description="number, from 1, in the order of showing")
    width: int | None = Field(default=None, ge=1, le=LONGEST_SIDE, description="it is made to fit; None: as it is")
    height: int | None = Field(default=None, ge=1, le=LONGEST_SIDE)
    kind: Literal["jpeg", "png"] = "jpeg"
    quality: int = Field(default=85, ge=1, le=100, description="of JPEG")

    @property
    def media_type(self) -> str:
        """Of the answer."""
        return f"image/{self.kind}"
