"""Every codec at every depth: what the coder wrote, the other program reads; what was changed on the way, it notices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from common.frame_recipes import HTJ2K, JPEG_2000, JPEG_LS, RLE, FrameRecipe
from workers.frames import encoders
from workers.frames.encoders import encoder
from workers.frames.proof import digest, prover
from workers.frames.stored import Shape, as_signed

LOSSLESS = (JPEG_LS, JPEG_2000, RLE)


def shape(bits: int, *, signed: bool = False, samples: int = 1, rows: int = 34, columns: int = 40) -> Shape:
    return Shape(rows, columns, samples, bits, signed, "MONOCHROME2" if samples == 1 else "RGB")


def values(form: Shape, seed: int) -> NDArray[Any]:
    """Noise beside flat parts and both ends of the range."""
    rng = np.random.default_rng(seed)
    made = rng.integers(0, 2**form.stored, form.array)
    made[: form.rows // 2] = made.flat[0]
    made.flat[-1], made.flat[-2] = 2**form.stored - 1, 0
    return made.astype(form.dtype)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(LOSSLESS), st.integers(2, 16), st.booleans(), st.sampled_from([1, 3]), st.integers(0, 99))
def test_any_depth_comes_back(recipe: FrameRecipe, bits: int, signed: bool, samples: int, seed: int) -> None:
    if recipe.codec == "rle":
        bits, signed = (8 if bits <= 8 else 16), False  # whole cells
    if samples == 3:
        bits, signed = (8 if bits <= 8 else 16), False
    form = shape(bits, signed=signed, samples=samples)
    frame = values(form, seed)
    assert prover(recipe, form).digest(encoder(recipe, form).encode(frame)) == digest(frame)


@pytest.mark.parametrize(("bits", "samples", "signed"), [(8, 1, False), (16, 1, False), (16, 1, True), (8, 3, False)])
def test_htj2k_is_read_by_openjpeg(bits: int, samples: int, signed: bool) -> None:
    form = shape(bits, samples=samples, signed=signed)
    frame = values(form, 1)
    assert prover(HTJ2K, form).digest(encoder(HTJ2K, form).encode(frame)) == digest(frame)


@pytest.mark.parametrize("recipe", [*LOSSLESS, HTJ2K])
def test_one_value_off_by_one_is_noticed(recipe: FrameRecipe) -> None:
    form = shape(16)
    frame = values(form, 2)
    other = frame.copy()
    other[3, 5] ^= 1
    assert prover(recipe, form).digest(encoder(recipe, form).encode(other)) != digest(frame)


@pytest.mark.parametrize("recipe", [*LOSSLESS, HTJ2K])
def test_a_frame_that_cannot_be_read_has_no_digest(recipe: FrameRecipe) -> None:
    assert prover(recipe, shape(8)).digest(b"no image at all") == ""


def test_planes_of_odd_size_go_through_pydicoms_rle() -> None:
    form = shape(8, rows=33, columns=35)
    coder, frame = encoder(RLE, form), values(form, 3)
    assert coder.tool.startswith("pydicom")
    assert prover(RLE, form).digest(coder.encode(frame)) == digest(frame)


@pytest.mark.parametrize(("bits", "right"), [(8, True), (16, True), (12, False)])
def test_without_charls_gdcm_codes_and_its_wrong_depths_are_noticed(
    monkeypatch: pytest.MonkeyPatch, bits: int, right: bool
) -> None:
    monkeypatch.setattr(encoders, "find_spec", lambda _name: None)
    form = shape(bits)
    coder, frame = encoder(JPEG_LS, form), values(form, 4)
    assert coder.tool.startswith("python-gdcm")
    assert (prover(JPEG_LS, form).digest(coder.encode(frame)) == digest(frame)) == right


@given(st.integers(2, 16), st.integers(0, 99))
def test_signed_values_and_their_patterns_are_the_same_thing(bits: int, seed: int) -> None:
    form = shape(bits, signed=True)
    patterns = values(form, seed)
    signed = as_signed(patterns, form)
    assert signed.min() >= -(2 ** (bits - 1))
    assert signed.max() < 2 ** (bits - 1)
    np.testing.assert_array_equal(signed.view(form.dtype) & form.dtype.type(2**bits - 1), patterns)
