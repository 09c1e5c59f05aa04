from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from common.dicom.display import (
    GreyPipeline,
    Lookup,
    Window,
    grey_pipeline,
    grey_table,
    is_identity,
    palette_table,
    stored_values,
    varies_by_frame,
    windowed,
)
from common.errors import UnreadableSource, UnsupportedSource


def header(**attributes: object) -> Dataset:
    dataset = Dataset()
    dataset.set_original_encoding(False, True)
    plain = {"PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 8, "PixelRepresentation": 0}
    for keyword, value in (plain | attributes).items():
        setattr(dataset, keyword, value)
    return dataset


def item(**attributes: object) -> Dataset:
    dataset = Dataset()
    dataset.set_original_encoding(False, True)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def shown(values: list[float], window: Window) -> list[float]:
    return [float(value) for value in windowed(np.array(values, dtype=np.float64), window)]


def test_the_linear_window_follows_its_pseudo_code_to_the_half_pixel() -> None:
    # PS3.3 C.11.2.1.2.1: c=2048, w=4096 takes 0…4095 to the whole output range; half of it lies at 2047.5
    assert shown([-5, 0, 2047.5, 4095, 9000], Window(2048, 4096)) == [0, 0, 0.5, 1, 1]
    # c=0, w=100: black up to −50, white above 49
    assert shown([-51, -50, -0.5, 49, 50], Window(0, 100)) == [0, 0, 0.5, 1, 1]


def test_a_linear_window_of_width_one_is_a_threshold() -> None:
    assert shown([9, 9.5, 9.6, 10], Window(10, 1)) == [0, 0, 1, 1]


def test_the_exact_window_has_its_centre_at_half() -> None:
    assert shown([-60, -50, 0, 25, 50, 60], Window(0, 100, "LINEAR_EXACT")) == [0, 0, 0.5, 0.75, 1, 1]


def test_the_sigmoid_window_has_its_slope_at_the_centre_and_survives_far_values() -> None:
    low, middle, upper, high = shown([-1e9, 40, 60, 1e9], Window(40, 80, "SIGMOID"))
    assert (low, middle, high) == (pytest.approx(0, abs=1e-12), 0.5, 1)
    assert upper == pytest.approx(1 / (1 + np.exp(-1)))


@given(bits=st.integers(2, 16))
@settings(deadline=None, max_examples=15)
def test_the_full_window_equals_the_full_range_of_the_stored_bits(bits: int) -> None:
    plain = grey_table(GreyPipeline(bits, signed=False))
    windowed_table = grey_table(GreyPipeline(bits, signed=False, voi=Window(2 ** (bits - 1), 2**bits)))
    assert (plain[0], plain[-1]) == (0, 255)
    assert np.abs(plain.astype(int) - windowed_table).max() <= (bits > 8)  # a tie may round either way


def test_eight_bits_without_a_window_are_shown_as_stored() -> None:
    assert is_identity(grey_table(grey_pipeline(header())))
    assert is_identity(grey_table(grey_pipeline(header(WindowCenter="128", WindowWidth="256"))))
    assert not is_identity(grey_table(grey_pipeline(header(WindowCenter="100", WindowWidth="50"))))


@given(
    bits=st.integers(1, 12),
    signed=st.booleans(),
    slope=st.floats(0.01, 50),
    intercept=st.floats(-5000, 5000),
    center=st.floats(-5000, 5000),
    width=st.floats(1, 9000),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)
@settings(deadline=None, max_examples=60)
def test_brighter_never_turns_darker_and_monochrome1_is_the_exact_negative(
    bits: int, signed: bool, slope: float, intercept: float, center: float, width: float, function: str
) -> None:
    voi = Window(center, width, function)
    table = grey_table(GreyPipeline(bits, signed, slope, intercept, voi=voi))
    negative = grey_table(GreyPipeline(bits, signed, slope, intercept, voi=voi, inverted=True))
    by_value = table[np.argsort(stored_values(bits, signed=signed))]
    assert (np.diff(by_value.astype(int)) >= 0).all()
    assert (table.astype(int) + negative == 255).all()


def test_signed_samples_are_indexed_by_their_bit_pattern() -> None:
    table = grey_table(GreyPipeline(12, signed=True))
    assert (table[0x800], table[0x7FF]) == (0, 255)  # −2048 and 2047
    assert table[0xFFF] == table[0] - (table[0] > table[0xFFF])  # −1 lies just below 0


def test_the_window_is_in_units_after_the_rescale() -> None:
    pipeline = grey_pipeline(
        header(
            BitsStored=12,
            RescaleSlope="2",
            RescaleIntercept="-1024",
            WindowCenter=["40", "9"],
            WindowWidth=["400", "9"],
        )
    )
    table = grey_table(pipeline)
    assert table[(-160 + 1024) // 2] == 0
    assert table[(239 + 1024) // 2 + 1] == 255
    assert table[(40 + 1024) // 2] == pytest.approx(127.5, abs=1)


def test_a_modality_lut_stands_in_for_the_rescale() -> None:
    lut = item(LUTDescriptor=[4, 2, 8], LUTData=[0, 100, 200, 255])
    table = grey_table(grey_pipeline(header(BitsStored=4, ModalityLUTSequence=[lut])))
    assert table.tolist()[:7] == [0, 0, 0, 100, 200, 255, 255]


def test_a_voi_lut_is_taken_before_a_window() -> None:
    lut = item(LUTDescriptor=[256, 0, 16], LUTData=np.arange(65535, -1, -257).astype("<u2").tobytes())
    table = grey_table(grey_pipeline(header(VOILUTSequence=[lut], WindowCenter="10", WindowWidth="5")))
    assert table.tolist() == list(range(255, -1, -1))


def test_a_lut_may_start_below_zero() -> None:
    lut = item(LUTDescriptor=[2, 65535, 8], LUTData=[0, 255])  # −1 as US
    table = grey_table(grey_pipeline(header(BitsStored=8, PixelRepresentation=1, VOILUTSequence=[lut])))
    assert (table[0xFF], table[0x00]) == (0, 255)


def test_a_lut_that_contradicts_its_descriptor_is_unreadable() -> None:
    lut = item(LUTDescriptor=[9, 0, 8], LUTData=[0, 255])
    with pytest.raises(UnreadableSource, match="descriptor"):
        grey_pipeline(header(VOILUTSequence=[lut]))


@pytest.mark.parametrize("width", ["0", "0.5", "-10"])
def test_a_window_of_a_forbidden_width_is_passed_over(width: str) -> None:
    assert grey_pipeline(header(WindowCenter="10", WindowWidth=width)).voi is None


def test_a_frame_has_its_own_window_else_the_shared_one() -> None:
    own = item(FrameVOILUTSequence=[item(WindowCenter="10", WindowWidth="20")])
    shared = item(FrameVOILUTSequence=[item(WindowCenter="99", WindowWidth="20")])
    dataset = header(PerFrameFunctionalGroupsSequence=[own, item()], SharedFunctionalGroupsSequence=[shared])
    assert varies_by_frame(dataset)
    assert [grey_pipeline(dataset, frame).voi for frame in (0, 1)] == [Window(10, 20), Window(99, 20)]


def test_an_unknown_voi_function_is_refused() -> None:
    with pytest.raises(UnsupportedSource):
        grey_pipeline(header(WindowCenter="1", WindowWidth="2", VOILUTFunction="LOGARITHMIC"))


def test_grey_shown_in_colour_is_refused() -> None:
    dataset = header(PixelPresentation="COLOR", RedPaletteColorLookupTableDescriptor=[1, 0, 8])
    with pytest.raises(UnsupportedSource, match="palette"):
        grey_pipeline(dataset)


def palette(bits: int, values: list[int], first: int = 0) -> Dataset:
    dataset = header(PhotometricInterpretation="PALETTE COLOR")
    dataset.BitsAllocated = 8
    data = np.array(values, "<u2" if bits == 16 else "u1").tobytes()
    for colour in ("Red", "Green", "Blue"):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [len(values), first, bits])
        setattr(dataset, f"{colour}PaletteColorLookupTableData", data)
    return dataset


@pytest.mark.parametrize("factor", [256, 257], ids=["shifted", "scaled"])
def test_sixteen_bit_palettes_keep_their_high_byte_however_they_were_filled(factor: int) -> None:
    table = palette_table(palette(16, [value * factor for value in range(256)]))
    assert table.shape == (256, 3)
    assert table[:, 0].tolist() == list(range(256))


def test_a_palette_declared_too_deep_keeps_its_values() -> None:
    assert palette_table(palette(16, list(range(256))))[:, 1].tolist() == list(range(256))


def test_patterns_outside_the_palette_take_its_ends() -> None:
    table = palette_table(palette(8, [7, 8, 9, 10], first=2))
    assert table[:7, 2].tolist() == [7, 7, 7, 8, 9, 10, 10]


def test_a_segmented_palette_is_expanded() -> None:
    dataset = palette(16, [0])
    segments = np.array([0, 1, 0, 1, 255, 65535], "<u2").tobytes()  # discrete 0, then linear to 65535 in 255 steps
    for colour in ("Red", "Green", "Blue"):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        delattr(dataset, f"{colour}PaletteColorLookupTableData")
        setattr(dataset, f"Segmented{colour}PaletteColorLookupTableData", segments)
    assert np.abs(palette_table(dataset)[:, 0].astype(int) - np.arange(256)).max() <= 1


def test_a_missing_palette_is_unreadable() -> None:
    with pytest.raises(UnreadableSource, match="palette"):
        palette_table(header(PhotometricInterpretation="PALETTE COLOR"))


def test_no_table_is_made_for_more_than_sixteen_bits() -> None:
    with pytest.raises(UnsupportedSource):
        grey_table(GreyPipeline(17, signed=False))


def test_a_lookup_clamps_at_both_ends() -> None:
    lookup = Lookup(10, 8, np.array([1, 2, 3], np.uint16))
    assert lookup(np.array([-5.0, 10, 11, 12, 99])).tolist() == [1, 1, 2, 3, 3]
