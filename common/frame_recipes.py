"""How frames are coded one by one (a recipe), and the recipes of each frame-based transfer syntax, as data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from common.dicom.frame_syntaxes import (
    HTJ2K_LOSSLESS,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LS_LOSSLESS,
    frame_syntax,
)
from common.dicom.transfer_syntaxes import RLE_LOSSLESS
from common.media import Value


class FrameRecipe(Value):
    """How to code each frame. Lossless recipes give the same values whoever codes; ``tool`` is the one that is tried first."""

    transfer_syntax_uid: str = Field(description="target, e.g. 1.2.840.10008.1.2.4.80")
    codec: Literal["jpegls", "jpeg2000", "htj2k", "rle", "jpeg"]
    tool: str = Field(description="library that codes: charls, openjpeg, openjph, gdcm or libjpeg")
    quality: int | None = Field(default=None, ge=1, le=100, description="libjpeg's scale; None: lossless")
    sampling: Literal["4:2:2", "4:4:4"] = Field(default="4:4:4", description="chroma of coded colour (JPEG only)")

    @property
    def lossless(self) -> bool:
        """Every stored value comes back as it was."""
        return self.quality is None

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of all fields, hexadecimal."""
        from common.recipes import canonical_digest

        return canonical_digest(self)

    @property
    def words(self) -> str:
        """For people."""
        how = "" if self.lossless else f" at quality {self.quality}, {self.sampling}"
        return f"{frame_syntax(self.transfer_syntax_uid).name}{how}"


def _jpeg(quality: int, sampling: Literal["4:2:2", "4:4:4"]) -> FrameRecipe:
    return FrameRecipe(
        transfer_syntax_uid=JPEG_BASELINE, codec="jpeg", tool="libjpeg", quality=quality, sampling=sampling
    )


JPEG_LS = FrameRecipe(transfer_syntax_uid=JPEG_LS_LOSSLESS, codec="jpegls", tool="charls")
JPEG_2000 = FrameRecipe(transfer_syntax_uid=JPEG_2000_LOSSLESS, codec="jpeg2000", tool="openjpeg")
HTJ2K = FrameRecipe(transfer_syntax_uid=HTJ2K_LOSSLESS, codec="htj2k", tool="openjph")
RLE = FrameRecipe(transfer_syntax_uid=RLE_LOSSLESS, codec="rle", tool="gdcm")

FRAME_LADDERS: dict[str, tuple[FrameRecipe, ...]] = {
    JPEG_LS_LOSSLESS: (JPEG_LS,),
    JPEG_2000_LOSSLESS: (JPEG_2000,),
    HTJ2K_LOSSLESS: (HTJ2K,),
    RLE_LOSSLESS: (RLE,),
    JPEG_BASELINE: (_jpeg(92, "4:2:2"), _jpeg(96, "4:2:2"), _jpeg(98, "4:4:4"), _jpeg(100, "4:4:4")),
}
"""Transfer syntax → its recipes, each rung nearer to the source than the one before."""

PRIMARY_LADDER: tuple[FrameRecipe, ...] = (JPEG_LS, JPEG_2000, RLE)
"""For primary diagnosis: JPEG-LS is widely read and codes fast; the next where it is not taken or cannot hold every bit."""


def frame_ladder(uid: str) -> tuple[FrameRecipe, ...]:
    """The recipes of a frame-based transfer syntax.

    Raises:
        NoLegalPath: Cinefarm writes no frames under it.
    """
    return FRAME_LADDERS[frame_syntax(uid).uid]
