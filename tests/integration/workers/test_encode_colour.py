"""Colour and geometry, judged where people see them: in the RGB a player shows."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from common.errors import UnsupportedSource
from common.media import Scan

if TYPE_CHECKING:
    from tests.integration.workers.conftest import Clip, Studio

WIDTH, HEIGHT = 160, 120
TOLERANCE = 2.0  # mean absolute difference per sample, of 255: 8-bit rounding both ways and 4:2:0 at the bars' edges


def card(width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """Soft colour bars above, gradients below: no two turns or flips look alike, and no edge that 4:2:0 would smear."""
    rows, columns = np.mgrid[:height, :width]
    hues = [0.5 + 0.5 * np.tanh(9 * np.sin(np.pi * columns * turns / width + 0.4)) for turns in (2, 4, 1)]
    bars = np.stack(hues, axis=-1) * 191 + 32
    ramps = np.stack([255 * columns / width, 255 * rows / height, 255 - 255 * columns / width], axis=-1)
    fade = np.clip((rows - height / 2) / 8 + 0.5, 0, 1)[:, :, None]
    return np.rint(bars * (1 - fade) + ramps * fade).astype(np.uint8)


def shot(studio: Studio, path: Path, *words: object, count: int = 5, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """The card as a file of another form."""
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", 25, "-i", "-")
    studio.ffmpeg(*raw, *words, path, feed=card(*size).tobytes() * count)
    return path


def difference(shown: NDArray[np.float64], wanted: NDArray[np.uint8]) -> float:
    assert shown.shape[1:] == wanted.shape
    return float(np.abs(shown - wanted).mean())


def fine(studio: Studio, clip: Clip) -> Path:
    """Encode with so little loss that what differs is the conversion."""
    return studio.encode(clip, crf=3).path


def test_rgb_frames_keep_their_colours(studio: Studio) -> None:
    output = fine(studio, studio.raw(np.stack([card()] * 5), "rgb24"))
    assert difference(studio.rgb(output, WIDTH, HEIGHT), card()) < TOLERANCE


def test_grey_frames_stay_grey_and_keep_black_and_white(studio: Studio) -> None:
    ramp = np.linspace(0, 255, WIDTH).astype(np.uint8)
    output = fine(studio, studio.raw(np.broadcast_to(ramp, (5, HEIGHT, WIDTH)).copy(), "gray"))
    shown = studio.rgb(output, WIDTH, HEIGHT)
    assert difference(shown, np.broadcast_to(ramp[:, None], (HEIGHT, WIDTH, 3)).copy()) < TOLERANCE
    assert np.abs(shown - shown.mean(axis=-1, keepdims=True)).max() <= 1


@pytest.mark.parametrize("chroma", ["yuvj420p", "yuvj422p", "yuvj444p"])
def test_full_range_jpeg_keeps_its_colours(studio: Studio, chroma: str) -> None:
    convert = f"scale=out_color_matrix=bt601:out_range=full:flags=accurate_rnd+full_chroma_int,format={chroma}"
    path = shot(studio, studio.folder / "source.avi", "-vf", convert, "-c:v", "mjpeg", "-q:v", 2)
    output = fine(studio, studio.file(path, full_range=True, matrix="bt470bg"))
    flags = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
    jfif = f"scale=in_color_matrix=bt601:in_range=full:in_chroma_loc=center:{flags},format=rgb24"
    wanted = np.frombuffer(studio.ffmpeg("-i", path, "-vf", jfif, "-f", "rawvideo", "-"), np.uint8)
    assert difference(studio.rgb(output, WIDTH, HEIGHT), wanted.reshape(-1, HEIGHT, WIDTH, 3)[0]) < TOLERANCE
    assert difference(studio.rgb(output, WIDTH, HEIGHT), card()) < 2 * TOLERANCE


@pytest.mark.parametrize("matrix", ["smpte170m", "bt470bg", "bt709", "fcc", "smpte240m"])
def test_limited_range_keeps_matrix_samples_and_colours(studio: Studio, matrix: str) -> None:
    convert = f"scale=out_color_matrix={matrix}:out_range=limited:flags=accurate_rnd+full_chroma_int,format=yuv420p"
    words = ("-vf", convert, "-colorspace", matrix, "-color_range", "tv", "-c:v", "libx264", "-qp", 0)
    path = shot(studio, studio.folder / "source.mp4", *words)
    done = studio.encode(studio.file(path, full_range=False, matrix=matrix), crf=1)
    assert difference(studio.rgb(done.path, WIDTH, HEIGHT), card()) < TOLERANCE
    filters = done.argv[done.argv.index("-filter_complex") + 1]
    assert [chain for chain in filters.split(";") if "scale=" in chain and "gray" not in chain] == []


@pytest.mark.parametrize(
    ("size", "rate", "code"), [((160, 120), 25, 5), ((160, 120), 30, 6), ((1280, 64), 25, 1), ((64, 640), 30, 1)]
)
def test_untagged_video_gets_the_tags_that_players_assume(
    studio: Studio, size: tuple[int, int], rate: int, code: int
) -> None:
    path = shot(studio, studio.folder / "source.avi", "-pix_fmt", "yuv420p", "-c:v", "mpeg4", size=size)
    output = studio.encode(studio.file(path, frame_rate=Fraction(rate))).path
    with av.open(str(output)) as container:
        assert int(container.streams.video[0].codec_context.colorspace) == code


def test_ten_bits_of_422_become_eight_of_420(studio: Studio) -> None:
    convert = "scale=out_color_matrix=bt709:out_range=limited:flags=accurate_rnd+full_chroma_int,format=yuv422p10le"
    words = ("-vf", convert, "-colorspace", "bt709", "-c:v", "libx264", "-qp", 0)
    path = shot(studio, studio.folder / "source.mp4", *words)
    output = fine(studio, studio.file(path, full_range=False, matrix="bt709"))
    assert difference(studio.rgb(output, WIDTH, HEIGHT), card()) < TOLERANCE


def test_palette_and_alpha_are_shown_as_their_colours(studio: Studio) -> None:
    frames = np.concatenate([card(), np.full((HEIGHT, WIDTH, 1), 255, np.uint8)], axis=-1)
    output = fine(studio, studio.raw(np.stack([frames] * 3), "rgba"))
    assert difference(studio.rgb(output, WIDTH, HEIGHT), card()) < TOLERANCE


def test_hdr_is_refused(studio: Studio) -> None:
    path = shot(studio, studio.folder / "source.mp4", "-pix_fmt", "yuv420p10le", "-c:v", "libx264")
    with pytest.raises(UnsupportedSource, match="HDR"):
        studio.encode(studio.file(path, matrix="bt2020nc", transfer="smpte2084"))


@pytest.mark.parametrize(("degrees", "quarters"), [(90, 3), (180, 2), (270, 1)])
def test_a_rotation_is_baked_in_once(studio: Studio, degrees: int, quarters: int) -> None:
    flat = shot(studio, studio.folder / "flat.mp4", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-qp", 4)
    path = studio.folder / "source.mp4"
    studio.ffmpeg("-display_rotation", -degrees, "-i", flat, "-c", "copy", path)
    output = fine(studio, studio.file(path, rotation=degrees))
    wanted = np.rot90(card(), quarters)
    assert difference(studio.rgb(output, wanted.shape[1], wanted.shape[0]), wanted) < 2 * TOLERANCE
    with av.open(str(output)) as container:
        assert next(container.decode(video=0)).rotation == 0


def test_the_test_source_of_a_rotation_is_shown_turned_by_a_player(studio: Studio) -> None:
    flat = shot(studio, studio.folder / "flat.mp4", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-qp", 4)
    path = studio.folder / "source.mp4"
    studio.ffmpeg("-display_rotation", -90, "-i", flat, "-c", "copy", path)
    assert difference(studio.rgb(path, HEIGHT, WIDTH), np.rot90(card(), 3)) < 2 * TOLERANCE


@pytest.mark.parametrize(("width", "height"), [(161, 121), (161, 120), (160, 121)])
def test_odd_sizes_grow_by_repeating_the_border_and_keep_the_content(studio: Studio, width: int, height: int) -> None:
    frames = np.stack([card(width, height)] * 3)
    output = fine(studio, studio.raw(frames, "rgb24"))
    even = (width + width % 2, height + height % 2)
    shown = studio.rgb(output, *even)
    assert difference(shown[:, :height, :width], card(width, height)) < TOLERANCE
    assert np.abs(shown[:, -1, :width] - card(width, height)[-1]).mean() < 3 * TOLERANCE
    assert np.abs(shown[:, :height, -1] - card(width, height)[:, -1]).mean() < 3 * TOLERANCE


@pytest.mark.parametrize(("aspect", "size"), [(Fraction(16, 15), (170, 120)), (Fraction(8, 9), (160, 136))])
def test_non_square_pixels_become_square_without_shrinking(
    studio: Studio, aspect: Fraction, size: tuple[int, int]
) -> None:
    path = shot(studio, studio.folder / "source.mp4", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-qp", 4)
    output = fine(studio, studio.file(path, pixel_aspect=aspect))
    assert difference(studio.rgb(output, *size), card(*size)) < 2 * TOLERANCE
    with av.open(str(output)) as container:
        assert container.streams.video[0].sample_aspect_ratio == 1


def test_interlaced_full_range_colour_is_converted_field_by_field(studio: Studio) -> None:
    top, bottom = np.full((2, HEIGHT, WIDTH, 3), 0, np.uint8)
    top[..., 0], bottom[..., 2] = 220, 220
    woven = np.where((np.arange(HEIGHT) % 2 == 0)[:, None, None], top, bottom)
    clip = studio.raw(np.stack([woven] * 3), "rgb24", scan=Scan.TOP_FIELD_FIRST)
    shown = studio.rgb(fine(studio, clip), WIDTH, HEIGHT // 2, "field=top")
    assert difference(shown, top[: HEIGHT // 2]) < 2 * TOLERANCE
