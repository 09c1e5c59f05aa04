"""Lists come a page at a time: a cursor says where the last page ended, by an indexed key, so that page 20,000 costs what page 1 does."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Query, Response
from pydantic import BaseModel, Field

from common.errors import PolicyError

T = TypeVar("T", bound=BaseModel)

LARGEST = 500

_MOST = 2**53
"""No number of ours is larger; a database refuses what has more than 64 bits."""

Cursor = Annotated[
    str | None, Query(max_length=512, description="`next` of the page before; without it: the first page")
]
Limit = Annotated[int, Query(ge=1, le=LARGEST, description="most entries of a page")]


class Page(BaseModel, Generic[T]):
    """Some entries of a list."""

    items: list[T]
    next: str | None = Field(default=None, description="cursor of the page after this one; null: this is the last")


def cursor_of(*key: int | str) -> str:
    """The cursor behind an entry with this key."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).rstrip(b"=").decode()


def key_of(text: str, *kinds: type) -> tuple[int | str, ...]:
    """The key in a cursor, whose parts have these types.

    Raises:
        PolicyError: it is no cursor of this list.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        key = json.loads(raw)
    except (ValueError, binascii.Error, RecursionError) as error:
        raise _wrong() from error
    fits = isinstance(key, list) and len(key) == len(kinds)
    if not fits or any(type(part) is not kind for part, kind in zip(key, kinds, strict=True)):
        raise _wrong()
    if any(isinstance(part, int) and not -_MOST <= part <= _MOST for part in key) or "\0" in str(key):
        raise _wrong()
    return tuple(key)


def page(entries: Sequence[T], limit: int, keys: Sequence[tuple[int | str, ...]]) -> Page[T]:
    """A page of ``limit`` entries out of those that were found, one more where there is another page; ``keys``: of each."""
    more = len(entries) > limit
    return Page(items=list(entries[:limit]), next=cursor_of(*keys[limit - 1]) if more else None)


def as_json(answer: BaseModel) -> Response:
    """The answer as it is: FastAPI would validate each of 500 entries once more."""
    return Response(answer.model_dump_json(), media_type="application/json")


def _wrong() -> PolicyError:
    return PolicyError(
        "the cursor is none of this list", hint="Take `next` of the page before, or begin without a cursor."
    )
