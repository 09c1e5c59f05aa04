"""Writes the golden orders and results of the current wire version: every field of every kind, with something in it.

    PYTHONPATH=tests python -m support.wire_golden tests/golden/wire/VERSION

Once a version is released its folder is never written again.
"""

from __future__ import annotations

import json
import sys
from enum import Enum
from fractions import Fraction
from pathlib import Path
from types import NoneType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from common.orders import AnyDone, AnyOrder, WorkResult
from common.versions import for_wire, models_in

GOLDEN = Path(__file__).parent.parent / "golden" / "wire"


CHOSEN: dict[str, dict[str, Any]] = {"Threshold": {"maximum": None}}
"""Class → fields that cannot say something beside each other."""

UNSET = ("version",)
"""Set where an order is sent."""


def filled(model: type[BaseModel]) -> BaseModel:
    """A value whose every field says something else than its default."""
    return model.model_validate(
        {name: _word(name, field) for name, field in model.model_fields.items() if name not in UNSET}
        | CHOSEN.get(model.__name__, {})
    )


def _word(name: str, field: FieldInfo) -> Any:
    least = next(
        (limit.ge if isinstance(limit, Ge) else limit.gt for limit in field.metadata if isinstance(limit, Ge | Gt)), 0
    )
    return _value(name, field.annotation, field.default, int(least))  # type: ignore[arg-type,call-overload]


def _value(name: str, kind: Any, default: Any, least: int) -> Any:
    origin, parts = get_origin(kind), [part for part in get_args(kind) if part is not NoneType]
    if origin is Literal:
        return next((word for word in reversed(parts) if word != default), parts[0])
    if origin is tuple:
        return [_value(name, part, None, least) for part in parts if part is not Ellipsis]
    if origin is dict:
        return {"vmaf": _value(name, parts[1], None, least)}
    if (
        origin is Union
        or (origin is not None and NoneType in get_args(kind))
        or str(origin) == "<class 'types.UnionType'>"
    ):
        return _value(name, parts[0], default, least)
    if origin is not None:  # Annotated
        return _value(name, parts[0], default, least)
    if not isinstance(kind, type):
        return name
    if issubclass(kind, BaseModel):
        return filled(kind)
    if issubclass(kind, Enum):
        return next(each for each in reversed(kind) if each != default)  # type: ignore[call-overload]
    if issubclass(kind, bool):
        return default is not True
    return {int: least + 3, float: 0.5, Fraction: "30000/1001", str: name}.get(kind, name)


def kinds() -> dict[str, type[BaseModel]]:
    """File name → model of every order and result."""
    orders = {f"order-{model.model_fields['kind'].default}": model for model in get_args(AnyOrder)}
    orders["order-count"] = orders.pop("order-PydanticUndefined")
    return orders | {f"done-{model.model_fields['kind'].default}": model for model in get_args(AnyDone)}


def golden() -> dict[str, Any]:
    """File name → JSON value."""
    values: dict[str, Any] = {name: filled(model) for name, model in kinds().items()}
    answer = filled(WorkResult)
    results = {
        name.replace("done", "result"): answer.model_copy(update={"done": done, "failure": None})
        for name, done in values.items()
        if name.startswith("done-")
    }
    results["result-failure"] = answer.model_copy(update={"done": None})
    sent = {name: for_wire(value) for name, value in values.items() if name.startswith("order-")}
    return sent | {name: value.model_dump(mode="json") for name, value in results.items()}


def fields(models: list[type[BaseModel]]) -> dict[str, list[str]]:
    """Class → its own and inherited fields, of these models and all below them."""
    found: dict[str, list[str]] = {}
    waiting = list(models)
    while waiting:
        model = waiting.pop()
        if model.__name__ not in found:
            found[model.__name__] = sorted(model.model_fields)
            waiting += [below for field in model.model_fields.values() for below in models_in(field.annotation)]
    return dict(sorted(found.items()))


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in golden().items():
        (folder / f"{name}.json").write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    of_orders = fields(list(get_args(AnyOrder)))
    (folder / "fields.json").write_text(json.dumps(of_orders, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
