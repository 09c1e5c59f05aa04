"""The options that say how sources are handled (docs/sources.md): the same for every command that plans."""

from __future__ import annotations

from typing import Annotated

import typer

from common.handling import DynamicRange, Interlaced, RatePolicy, Stereo

Fields = Annotated[
    Interlaced,
    typer.Option("--interlaced", help="keep: fields stay fields; deinterlace: one frame for each coded frame"),
]
Pace = Annotated[
    RatePolicy,
    typer.Option(
        "--rate",
        help="keep: a variable rate stays, with its times in the header; constant: frames are repeated, none lost",
    ),
]
Range = Annotated[
    DynamicRange,
    typer.Option("--dynamic-range", help="keep: HDR stays HDR, in 10 bits; tone-map: HDR becomes BT.709"),
]
Views = Annotated[
    Stereo,
    typer.Option("--stereo", help="how two views lie in a frame of sources that do not say so themselves"),
]
Inside = Annotated[
    str,
    typer.Option(
        "--region",
        help="where the gate is held a second time, so that a black border flatters no score: auto (an endoscope's mask is looked "
        "for), none, circle=X,Y,RADIUS or rectangle=LEFT,TOP,WIDTH,HEIGHT in pixels of the result",
    ),
]
