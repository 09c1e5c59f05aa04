"""Read the values of a data element, whether it holds none, one or many."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def texts(dataset: Dataset, keyword: str) -> list[str]:
    """The values as printed; an empty single value stands for ``""``, an absent or empty element gives no values."""
    value = dataset.get(keyword)
    if value is None or value == "":
        return []
    return [str(item if item is not None else "") for item in value] if hasattr(value, "append") else [str(value)]


def has_value(dataset: Dataset, keyword: str) -> bool:
    """True when the element is there and not empty; it is not decoded."""
    if keyword not in dataset:
        return False
    element = dataset.get_item(keyword)
    return bool(element.value) if element.is_raw else not element.is_empty
