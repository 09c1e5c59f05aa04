"""Frames as FFmpeg decodes them from our feed, against pydicom's own decoding of the same file."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, ExplicitVRBigEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from common.process import run

if TYPE_CHECKING:
    from tests.integration.workers.frames.conftest import Lab

BASELINE = "1.2.840.10008.1.2.4.50"
EXTENDED = "1.2.840.10008.1.2.4.51"
DEFLATED = "1.2.840.10008.1.2.8.1"


@pytest.mark.parametrize("planar", [0, 1])
def test_native_rgb_arrives_as_it_is(lab: Lab, planar: int) -> None:
    pixels = lab.colours()
    made = lab.dataset(pixels, "RGB", PlanarConfiguration=planar)
    if planar:
        made.PixelData = pixels.transpose(0, 3, 1, 2).tobytes()
    media, frames = lab.decoded(lab.saved(made, "x.dcm"), "rgb24")
    assert (media.pixel_format, media.full_range, media.matrix, media.seekable) == ("rgb24", None, None, False)
    assert np.array_equal(frames, pixels)


@pytest.mark.parametrize("planar", [0, 1])
def test_native_ybr_full_reaches_ffmpeg_without_becoming_rgb(lab: Lab, planar: int) -> None:
    pixels = lab.colours()
    made = lab.dataset(pixels, "YBR_FULL", PlanarConfiguration=planar)
    if planar:
        made.PixelData = pixels.transpose(0, 3, 1, 2).tobytes()
    path = lab.saved(made, "x.dcm")
    media, planes = lab.decoded(path, "yuv444p")
    assert (media.pixel_format, media.full_range, media.matrix) == ("yuv444p", True, "bt470bg")
    assert np.array_equal(planes.reshape(lab.frames, 3, lab.rows, lab.columns), pixels.transpose(0, 3, 1, 2))
    assert np.abs(lab.decoded(path, "rgb24")[1].astype(int) - lab.reference(path)).max() <= 1


def test_native_4_2_2_keeps_its_samples(lab: Lab) -> None:
    packed = np.random.default_rng(1).integers(0, 256, (lab.frames, lab.rows, lab.columns // 2, 4), np.uint8)
    made = lab.dataset(lab.colours(), "YBR_FULL_422")
    made.PixelData = packed.tobytes()
    media, planes = lab.decoded(lab.saved(made, "x.dcm"), "yuv422p")
    assert (media.pixel_format, media.full_range) == ("yuv422p", True)
    luma, cb = planes[:, : lab.rows * lab.columns], planes[:, lab.rows * lab.columns : lab.rows * lab.columns * 3 // 2]
    assert np.array_equal(luma.reshape(lab.frames, lab.rows, lab.columns // 2, 2), packed[..., :2])
    assert np.array_equal(cb.reshape(lab.frames, lab.rows, lab.columns // 2), packed[..., 2])


def test_monochrome1_is_inverted_and_monochrome2_is_not(lab: Lab) -> None:
    pixels = lab.colours()[..., 0]
    _, plain = lab.decoded(lab.saved(lab.dataset(pixels, "MONOCHROME2"), "2.dcm"), "gray")
    _, inverted = lab.decoded(lab.saved(lab.dataset(pixels, "MONOCHROME1"), "1.dcm"), "gray")
    assert np.array_equal(plain, pixels)
    assert np.array_equal(inverted, 255 - pixels)


@pytest.mark.parametrize("stored", [10, 12, 16])
@pytest.mark.parametrize("kind", ["u2", "i2"])
def test_deep_grey_goes_through_the_window(lab: Lab, stored: int, kind: str) -> None:
    top = 2**stored
    pixels = np.linspace(0, top - 1, lab.frames * lab.rows * lab.columns).reshape(lab.frames, lab.rows, lab.columns)
    pixels = (pixels - (top // 2) * (kind == "i2")).astype(kind)
    made = lab.dataset(pixels, "MONOCHROME2", BitsStored=stored, HighBit=stored - 1)
    made.WindowCenter, made.WindowWidth = str(top // 8), str(top // 2)
    from pydicom.pixels import apply_voi_lut  # type: ignore[attr-defined]

    windowed = apply_voi_lut(pixels, made)  # pydicom's output range is that of the stored bits
    low = -(top // 2) * (kind == "i2")
    expected = (np.asarray(windowed, float) - low) / (top - 1) * 255
    _, frames = lab.decoded(lab.saved(made, "x.dcm"), "gray")
    assert np.abs(frames - expected).max() <= 0.51


def test_bits_above_and_below_the_stored_ones_are_ignored(lab: Lab) -> None:
    grey = lab.colours()[..., 0]
    dirty = (grey.astype("u2") << 4) | 0xF00A
    made = lab.dataset(dirty, "MONOCHROME2", BitsStored=8, HighBit=11)
    assert np.array_equal(lab.decoded(lab.saved(made, "x.dcm"), "gray")[1], grey)


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_big_endian_samples(lab: Lab, kind: str) -> None:
    pixels = lab.colours()[..., 0].astype(kind) * (257 if kind == "u2" else 1)
    made = lab.dataset(pixels, "MONOCHROME2")
    made.PixelData = pixels.astype(">u2").tobytes() if kind == "u2" else pixels.view("u2").byteswap().tobytes()
    made["PixelData"].VR = "OW"
    made.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    path = lab.saved(made, "x.dcm")
    assert np.array_equal(lab.decoded(path, "gray")[1], lab.colours()[..., 0])


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=["rle", "jpeg-ls", "jpeg-2000"])
@pytest.mark.parametrize("photometric", ["RGB", "MONOCHROME1", "MONOCHROME2", "YBR_FULL"])
def test_lossless_frames_equal_pydicom(lab: Lab, syntax: UID, photometric: str) -> None:
    pixels = lab.colours() if photometric in ("RGB", "YBR_FULL") else lab.colours()[..., 0]
    made = lab.dataset(pixels, photometric)
    made.compress(syntax, generate_instance_uid=False)
    path = lab.saved(made, "x.dcm")
    media, frames = lab.decoded(path, "rgb24" if pixels.ndim == 4 else "gray")
    assert media.pixel_format == {"RGB": "rgb24", "YBR_FULL": "yuv444p"}.get(photometric, "gray")
    expected = lab.reference(path)
    if photometric == "MONOCHROME1":
        expected = 255 - expected
    assert np.abs(frames.astype(int) - expected).max() <= (photometric == "YBR_FULL")


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=["rle", "jpeg-ls", "jpeg-2000"])
def test_deep_lossless_grey_equals_its_native_twin(lab: Lab, syntax: UID) -> None:
    pixels = (lab.colours()[..., 0].astype("u2") << 4) + 7
    options = {"BitsStored": 12, "HighBit": 11, "WindowCenter": "1500", "WindowWidth": "2000"}
    native = lab.saved(lab.dataset(pixels, "MONOCHROME2", **options), "native.dcm")
    made = lab.dataset(pixels, "MONOCHROME2", **options)
    made.compress(syntax, generate_instance_uid=False)
    assert np.array_equal(lab.decoded(lab.saved(made, "x.dcm"), "gray")[1], lab.decoded(native, "gray")[1])


def test_frames_of_several_fragments_are_joined(lab: Lab) -> None:
    pixels = lab.colours()
    made = lab.dataset(pixels, "RGB")
    made.compress(JPEGLSLossless, generate_instance_uid=False)
    whole = list(generate_frames(made.PixelData, number_of_frames=lab.frames))
    made.PixelData = encapsulate(whole, fragments_per_frame=2, has_bot=True)
    made["PixelData"].is_undefined_length = True
    assert np.array_equal(lab.decoded(lab.saved(made, "x.dcm"), "rgb24")[1], pixels)


def test_deflated_frames_are_inflated(lab: Lab) -> None:
    pixels = lab.colours()
    frames = []
    for frame in pixels:
        deflater = zlib.compressobj(wbits=-15)
        frames.append(deflater.compress(frame.tobytes()) + deflater.flush())
    path = lab.saved(lab.dataset(pixels, "RGB"), "x.dcm", frames, DEFLATED)
    assert np.array_equal(lab.decoded(path, "rgb24")[1], pixels)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "color-pl.dcm",
            "color-px.dcm",
            "SC_rgb_2frame.dcm",
            "SC_rgb_16bit_2frame.dcm",
            "SC_rgb_rle_16bit_2frame.dcm",
        ),
        *(
            "SC_rgb_expb_16bit_2frame.dcm",
            "SC_rgb_jpeg_gdcm.dcm",
            "SC_rgb_jls_lossy_line.dcm",
            "SC_rgb_jls_lossy_sample.dcm",
        ),
        *("examples_jpeg2k.dcm", "US1_J2KI.dcm", "US1_J2KR.dcm", "SC_ybr_full_uncompressed.dcm"),
        *("SC_jpeg_no_color_transform.dcm", "SC_rgb_jpeg.dcm", "SC_rgb_dcmtk_+eb+cr.dcm"),
    ],
)
def test_colour_files_equal_pydicom(lab: Lab, name: str) -> None:
    path = lab.ours(name)
    expected = lab.reference(path)
    _, frames = lab.decoded(path, "rgb24")
    assert np.array_equal(frames, expected >> 8 if expected.dtype.itemsize == 2 else expected)


@pytest.mark.parametrize("name", ["examples_palette.dcm", "OBXXXX1A_rle_2frame.dcm", "gdcm-US-ALOKA-16.dcm"])
def test_palettes_equal_pydicom(lab: Lab, name: str) -> None:
    from pydicom.pixels import apply_color_lut  # type: ignore[attr-defined]

    path = lab.ours(name)
    expected = np.asarray(apply_color_lut(lab.reference(path), pydicom.dcmread(path)))
    _, frames = lab.decoded(path, "rgb24")
    assert np.array_equal(frames, expected >> 8 if expected.dtype.itemsize == 2 else expected)


@pytest.mark.parametrize("name", ["emri_small_RLE", "emri_small_jpeg_2k_lossless", "emri_small_jpeg_ls_lossless"])
def test_compressed_twins_of_one_series_show_the_same(lab: Lab, name: str) -> None:
    _, native = lab.decoded(lab.ours("emri_small.dcm"), "gray")
    _, frames = lab.decoded(lab.ours(f"{name}.dcm"), "gray")
    assert len(frames) == 10
    assert native.std() > 1
    assert np.array_equal(frames, native)


@pytest.mark.parametrize(
    ("name", "pixel_format", "tolerance"),
    [
        ("examples_ybr_color.dcm", "yuvj420p", 8),  # chroma is upsampled by another filter than pillow's
        ("SC_rgb_dcmtk_+eb+cy+s2.dcm", "yuvj422p", 2),
        ("SC_rgb_dcmtk_+eb+cy+s4.dcm", "yuvj444p", 2),
        ("SC_rgb_jpeg_app14_dcmd.dcm", "gbrp", 2),
    ],
)
def test_jpeg_that_ffmpeg_reads_rightly_is_passed_through(
    lab: Lab, name: str, pixel_format: str, tolerance: int
) -> None:
    path = lab.ours(name)
    media, frames = lab.decoded(path, "rgb24")
    assert media.pixel_format == pixel_format
    assert "mjpeg" in media.args
    difference = np.abs(frames.astype(int) - lab.reference(path))
    assert difference.max() <= tolerance
    assert difference.mean() < 1


def test_rgb_in_a_jpeg_without_markers_is_not_taken_for_ycbcr(lab: Lab) -> None:
    media, _ = lab.decoded(lab.ours("SC_jpeg_no_color_transform.dcm"), "rgb24")
    assert (media.pixel_format, "mjpeg" in media.args) == ("rgb24", False)


def test_grey_jpeg_passes_through_unless_the_header_changes_it(lab: Lab) -> None:
    pixels = lab.colours()[..., 0]
    coded = [lab.jpeg(frame) for frame in pixels]
    plain = lab.saved(lab.dataset(pixels, "MONOCHROME2"), "2.dcm", coded, EXTENDED)
    media, frames = lab.decoded(plain, "gray")
    assert (media.pixel_format, "mjpeg" in media.args) == ("gray", True)
    negative, inverted = lab.decoded(lab.saved(lab.dataset(pixels, "MONOCHROME1"), "1.dcm", coded, BASELINE), "gray")
    assert "rawvideo" in negative.args
    assert np.abs(frames.astype(int) - pixels).max() <= 12  # quality 95
    assert np.abs(255 - inverted.astype(int) - frames).max() <= 1


@pytest.mark.peer("dcmcjpeg")
def test_twelve_bit_jpeg_equals_dcmtk(lab: Lab) -> None:
    y, x = np.mgrid[0:64, 0:64]
    pixels = np.stack([(x * 40 + y * 20 + 100 * n) % 4096 for n in range(2)]).astype("u2")
    made = lab.dataset(pixels, "MONOCHROME2", BitsStored=12, HighBit=11, WindowCenter="2048", WindowWidth="4096")
    native, coded, back = (lab.folder / name for name in ("native.dcm", "coded.dcm", "back.dcm"))
    lab.saved(made, native)
    run(["dcmcjpeg", "+ee", "+ba", str(native), str(coded)], name="dcmcjpeg", limits=lab.limits)
    run(["dcmdjpeg", str(coded), str(back)], name="dcmdjpeg", limits=lab.limits)
    assert pydicom.dcmread(coded, stop_before_pixels=True).file_meta.TransferSyntaxUID == EXTENDED
    assert np.array_equal(lab.decoded(coded, "gray")[1], lab.decoded(back, "gray")[1])
