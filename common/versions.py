"""What releases may say to each other: orders and results carry a version, and a farm may run two releases at once.

An **order** asks for something, so it is understood whole or not taken: a worker hands back, unharmed, what has a version or a
field that it does not know. An order's version is the lowest that can read it: fields that came later (``LATER``) are left out
where they say nothing, so that a newer orchestrator gives older workers all the work that they can do.

A **result** answers what was asked and may say more: an orchestrator leaves out what it does not know.

Version 1 announced nothing and refused every unknown field, also in results. From version 2 on workers announce what they read
(common.leases.WorkerInfo), hand back, and orchestrators read the results of newer workers. docs/upgrade.md has the rules for people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel

WIRE_VERSION = 2
"""Raised when a release adds a field or a kind to orders, or changes what one means."""

FIRST_VERSION = 1
"""Of workers that do not say which version they read."""

LATER: dict[str, dict[str, int]] = {"Gate": {"exact": 2}}
"""Class → field that version 1 did not have → the version that brought it. Its default must mean: as before."""


def needed(order: BaseModel) -> int:
    """The lowest version that reads an order: of its later fields, the latest that says something."""
    return max((version for _, _, version, silent in _later(order) if not silent), default=FIRST_VERSION)


def for_wire(order: BaseModel) -> dict[str, Any]:
    """An order as JSON values with its version; later fields that say nothing are left out."""
    values = order.model_dump(mode="json")
    for path, name, _, silent in _later(order):
        if silent:
            _at(values, path).pop(name, None)
    return values | {"version": needed(order)}


def is_readable(values: Mapping[str, Any]) -> bool:
    """Whether an order's version, as it stands in its JSON values, is one that this release knows."""
    return int(values.get("version", FIRST_VERSION)) <= WIRE_VERSION


Step = str | int


def _later(value: object, path: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], str, int, bool]]:
    """Every later field below a value: where it stands, its name, its version, and whether it is at its default."""
    if isinstance(value, BaseModel):
        names = type(value).model_fields
        for name, version in _later_fields(type(value)).items():
            yield path, name, version, getattr(value, name) == names[name].get_default(call_default_factory=True)
        for name in _ways(type(value)):
            yield from _later(getattr(value, name), (*path, name))
    elif isinstance(value, tuple):
        for number, each in enumerate(value):
            yield from _later(each, (*path, number))


def _later_fields(model: type[BaseModel]) -> dict[str, int]:
    return {name: version for base in model.__mro__ for name, version in LATER.get(base.__name__, {}).items()}


@lru_cache
def _ways(model: type[BaseModel]) -> tuple[str, ...]:
    """Fields below which later ones may stand: the others are never looked at."""
    return tuple(
        name
        for name, field in model.model_fields.items()
        if any(_later_fields(other) or _ways(other) for other in models_in(field.annotation) if other is not model)
    )


def models_in(annotation: Any) -> set[type[BaseModel]]:
    """The models that a field may hold, at any depth of tuples and unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {model for part in get_args(annotation) for model in models_in(part)}


def _at(values: Any, path: tuple[Step, ...]) -> dict[str, Any]:
    for step in path:
        values = values[step]
    found: dict[str, Any] = values
    return found
