"""Pixel coordinates and spacings after padding, scaling and turning."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from common.dicom.geometry import Geometry, adapt_coordinates

SIDES = st.integers(min_value=2, max_value=4096)


def region(**values: float) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def header(*regions: Dataset, **values: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    if regions:
        dataset.SequenceOfUltrasoundRegions = list(regions)
    return dataset


def test_padding_an_odd_side_moves_nothing() -> None:
    assert Geometry.between((641, 479), (642, 480)).same_grid


def test_any_other_difference_is_scaling() -> None:
    assert Geometry.between((640, 480), (641, 480)).x == Fraction(641, 640)
    assert Geometry.between((640, 480), (320, 480)) == Geometry(x=Fraction(1, 2))


@pytest.mark.parametrize(("degrees", "turned"), [(0, False), (90, True), (180, True), (360, False)])
def test_a_rotation_is_a_turned_grid(degrees: int, turned: bool) -> None:
    assert Geometry.between((640, 480), (640, 480), degrees).turned is turned


@given(SIDES, SIDES, SIDES, SIDES)
@settings(deadline=None, max_examples=60)
def test_a_scaled_distance_is_the_same_in_millimetres(width: int, height: int, new_width: int, new_height: int) -> None:
    dataset = header(PixelSpacing=["0.25", "0.5"])
    adapt_coordinates(dataset, Geometry(x=Fraction(new_width, width), y=Fraction(new_height, height)))
    rows, columns = (float(value) for value in dataset.PixelSpacing)
    assert rows * new_height == pytest.approx(0.25 * height)
    assert columns * new_width == pytest.approx(0.5 * width)


@given(SIDES, SIDES)
@settings(deadline=None, max_examples=60)
def test_a_region_as_wide_as_the_picture_stays_as_wide_as_the_picture(width: int, new_width: int) -> None:
    full = region(RegionLocationMinX0=0, RegionLocationMaxX1=width - 1, PhysicalDeltaX=0.02)
    adapt_coordinates(header(full), Geometry(x=Fraction(new_width, width), y=Fraction(2)))
    assert (full.RegionLocationMinX0, full.RegionLocationMaxX1) == (0, new_width - 1)
    assert full.PhysicalDeltaX * new_width == pytest.approx(0.02 * width)


@given(st.integers(min_value=0, max_value=4095), SIDES, SIDES)
@settings(deadline=None, max_examples=60)
def test_a_point_within_the_picture_stays_within(point: int, width: int, new_width: int) -> None:
    point %= width
    item = region(ReferencePixelX0=point)
    adapt_coordinates(header(item), Geometry(x=Fraction(new_width, width), y=Fraction(2)))
    assert 0 <= item.ReferencePixelX0 < new_width


def test_a_region_is_scaled_on_both_axes() -> None:
    item = region(RegionLocationMinX0=10, RegionLocationMinY0=20, RegionLocationMaxX1=109, RegionLocationMaxY1=119)
    adapt_coordinates(header(item), Geometry(x=Fraction(1, 2), y=Fraction(2)))
    corners = [item.RegionLocationMinX0, item.RegionLocationMinY0, item.RegionLocationMaxX1, item.RegionLocationMaxY1]
    assert corners == [5, 40, 54, 239]


def test_the_spacing_of_functional_groups_is_scaled_too() -> None:
    shared, measures = Dataset(), header(PixelSpacing=["0.1", "0.2"])
    shared.PixelMeasuresSequence = [measures]
    adapt_coordinates(header(SharedFunctionalGroupsSequence=[shared]), Geometry(x=Fraction(1, 2), y=Fraction(1, 2)))
    assert [float(value) for value in measures.PixelSpacing] == [0.2, 0.4]


def test_what_cannot_be_moved_is_dropped_and_named() -> None:
    dataset = header(ShutterShape="CIRCULAR", RadiusOfCircularShutter="100", PatientID="P")
    dataset.add_new(0x60000010, "US", 480)
    dropped = adapt_coordinates(dataset, Geometry(x=Fraction(1, 2)))
    assert dropped == ("RadiusOfCircularShutter", "ShutterShape", "overlay planes")
    assert [element.keyword for element in dataset] == ["PatientID"]


def test_a_turned_picture_keeps_no_spacing_and_no_region() -> None:
    shared, measures = Dataset(), header(PixelSpacing=["0.1", "0.2"])
    shared.PixelMeasuresSequence = [measures]
    dataset = header(region(), PixelSpacing=["1", "2"], SharedFunctionalGroupsSequence=[shared])
    assert adapt_coordinates(dataset, Geometry(turned=True)) == ("PixelSpacing", "SequenceOfUltrasoundRegions")
    assert "PixelSpacing" not in measures


def test_the_same_grid_changes_nothing() -> None:
    dataset = header(region(RegionLocationMaxX1=9), ShutterShape="CIRCULAR", PixelSpacing=["1", "2"])
    before = dataset.to_json()
    assert adapt_coordinates(dataset, Geometry()) == ()
    assert dataset.to_json() == before
