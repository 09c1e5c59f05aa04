"""Copy a header so that it can be written in Explicit VR Little Endian without decoding it: odd bytes survive as they are."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement, RawDataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

_WORD_BYTES = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
"""VRs whose values are words (PS3.5 6.2)."""

MAX_DEPTH = 64
"""Sequences nested deeper are no DICOM object anybody wrote; Python's own limit on recursion is about 1000 frames."""


def explicit_copy(dataset: Dataset) -> Dataset:
    """A deep copy with raw elements kept raw; group lengths, which are retired (PS3.5 7.2), are left out.

    An element of an Implicit VR Little Endian source gets its VR from the data dictionary, or UN (PS3.5 6.2.2): its bytes are
    the same in both encodings, so a value in the wrong character set is not touched. Elements of a big-endian source and
    those whose VR depends on others are decoded. What is neither raw nor in need of that is copied as it is.

    Raises:
        UnsupportedSource: sequences are nested beyond MAX_DEPTH.
    """
    return _copy(dataset, 0)


def _copy(dataset: Dataset, depth: int) -> Dataset:
    from pydicom.dataset import Dataset
    from pydicom.filewriter import correct_ambiguous_vr

    from common.errors import UnsupportedSource

    if depth > MAX_DEPTH:
        raise UnsupportedSource(f"sequences are nested more than {MAX_DEPTH} deep")
    tags = [tag for tag in dataset.keys() if tag.element or tag.is_private_creator]  # noqa: SIM118 - elements stay raw
    # elements are handed over at once: Dataset.__setitem__ would decode the private ones
    elements = {tag: _element(dataset, tag, depth) for tag in tags}
    copy = Dataset(elements, parent_encoding=dataset.original_character_set)
    copy.set_original_encoding(False, True, dataset.original_character_set)
    return correct_ambiguous_vr(copy, True) if depth == 0 else copy


def _element(dataset: Dataset, tag: BaseTag, depth: int) -> DataElement | RawDataElement:
    from pydicom.dataelem import DataElement, RawDataElement
    from pydicom.sequence import Sequence

    element = cast("DataElement | RawDataElement", dataset.get_item(tag))  # pydicom's annotation forgets the raw ones
    if isinstance(element, RawDataElement):
        vr = element.VR or _known_vr(dataset, tag)
        if element.is_little_endian and (not element.is_implicit_VR or (vr != "SQ" and len(vr) == 2)):
            return element._replace(VR=vr, is_implicit_VR=False)
        element = dataset[tag]
    if element.VR == "SQ":
        return DataElement(tag, "SQ", Sequence([_copy(item, depth + 1) for item in element.value or []]))
    if dataset.original_encoding[1] is False and element.VR in _WORD_BYTES and isinstance(element.value, bytes):
        return DataElement(tag, element.VR, _swapped(element.value, _WORD_BYTES[element.VR]))
    return deepcopy(element)


def _swapped(value: bytes, word_bytes: int) -> bytes:
    """Words of a big-endian source, which pydicom leaves as they lie (PS3.5 7.3): palettes, lookup tables, overlays."""
    import numpy as np

    whole = len(value) - len(value) % word_bytes
    return np.frombuffer(value[:whole], f">u{word_bytes}").astype(f"<u{word_bytes}").tobytes() + value[whole:]


def _known_vr(dataset: Dataset, tag: BaseTag) -> str:
    """VR of an element that came without one."""
    from pydicom.datadict import dictionary_VR, private_dictionary_VR

    try:
        if not tag.is_private:
            return dictionary_VR(tag)
        if tag.is_private_creator:
            return "LO"
        creator = dataset.get_item((tag.group, tag.element >> 8)).value
        return private_dictionary_VR(tag, creator.decode("ascii").strip() if isinstance(creator, bytes) else creator)
    except (KeyError, AttributeError, UnicodeDecodeError):
        return "UN"
