"""Chroma of a picture that is turned lies where decoders look for it: against the picture turned before its chroma was reduced."""

from __future__ import annotations

import subprocess
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from common.ffmpeg import ffmpeg_program
from workers.ffmpeg.conversion import Picture, conversion
from workers.ffmpeg.measurement import chained

WIDTH, HEIGHT = 320, 240
TO_420 = (
    "scale=in_range=limited:out_range=limited:in_color_matrix=bt709:out_color_matrix=bt709:out_chroma_loc=left:"
    "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact:sws_dither=none,format=yuv420p"
)
LEAST_GAIN = 5.0
"""dB. Measured with waves of 8, 16, 32 and 64 pixels: 5.8 and more at a quarter turn back, 13 and more in the other turns."""

Planes = NDArray[np.uint8]


@pytest.mark.parametrize("wave", [8, 32])
@pytest.mark.parametrize(("rotation", "mirrored"), [(90, False), (180, False), (270, False), (90, True), (0, True)])
def test_turned_chroma_is_nearer_the_ideal_than_samples_that_were_only_moved(
    wave: int, rotation: int, mirrored: bool
) -> None:
    scene = waves(wave)
    source = filtered(scene, TO_420)
    ideal = chroma(filtered(turned(scene, rotation, mirrored=mirrored), TO_420))
    moved = chroma_moved(source, rotation, mirrored=mirrored)
    picture = Picture(
        WIDTH, HEIGHT, "yuv420p", Fraction(25), False, "bt709", "bt709", "bt709", rotation=rotation, mirrored=mirrored
    )
    made = chroma(filtered(source, chained(conversion(picture).filters), form="yuv420p"))
    assert psnr(made, ideal) > psnr(moved, ideal) + LEAST_GAIN
    assert psnr(made, ideal) > (48 if wave > 8 else 31)


def test_what_is_turned_upside_down_keeps_every_sample() -> None:
    source = filtered(waves(8), TO_420)
    picture = Picture(
        WIDTH, HEIGHT, "yuv420p", Fraction(25), False, "bt709", "bt709", "bt709", rotation=180, mirrored=True
    )
    made = filtered(source, chained(conversion(picture).filters), form="yuv420p")
    size = WIDTH * HEIGHT
    np.testing.assert_array_equal(made[:size].reshape(HEIGHT, WIDTH), source[:size].reshape(HEIGHT, WIDTH)[::-1])
    blue, upright = (each[size : size * 5 // 4].reshape(HEIGHT // 2, WIDTH // 2) for each in (source, made))
    np.testing.assert_array_equal(upright, blue[::-1])


def waves(length: int) -> Planes:
    """Grey luma, colours that change along both sides; planes of Y'CbCr in 4:4:4."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    turn = 2 * np.pi / length
    blue = 128 + 80 * np.sin(turn * columns) * np.cos(0.7 * turn * rows)
    red = 128 + 80 * np.cos(turn * (columns + rows))
    return np.stack([np.full_like(blue, 120), blue, red]).round().astype(np.uint8)


def turned(planes: Planes, rotation: int, *, mirrored: bool) -> Planes:
    shown = planes[:, :, ::-1] if mirrored else planes
    return np.ascontiguousarray(np.rot90(shown, k=-(rotation // 90), axes=(1, 2)))


def chroma_moved(source: Planes, rotation: int, *, mirrored: bool) -> Planes:
    half = source[WIDTH * HEIGHT :].reshape(2, HEIGHT // 2, WIDTH // 2)
    return turned(half, rotation, mirrored=mirrored).ravel()


def filtered(planes: Planes, chain: str, *, form: str = "yuv444p") -> Planes:
    """One picture through FFmpeg's filters, as samples."""
    size = (planes.shape[2], planes.shape[1]) if planes.ndim == 3 else (WIDTH, HEIGHT)
    raw = ("-f", "rawvideo", "-pixel_format", form, "-s", f"{size[0]}x{size[1]}", "-i", "pipe:0")
    command = [ffmpeg_program(), "-v", "error", *raw, "-vf", chain, "-f", "rawvideo", "pipe:1"]
    made = subprocess.run(command, input=planes.tobytes(), stdout=subprocess.PIPE, check=True)
    return np.frombuffer(made.stdout, np.uint8)


def chroma(samples: Planes) -> Planes:
    return samples[WIDTH * HEIGHT :]


def psnr(one: Planes, other: Planes) -> float:
    error = float(np.mean((one.astype(float) - other) ** 2))
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))
