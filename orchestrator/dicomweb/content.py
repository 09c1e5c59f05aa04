"""A long answer as parts: new bytes, and stretches of objects in the store. Nothing is copied, nothing is held."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import BinaryIO

from common.errors import StoreFault
from common.store import ObjectStore
from orchestrator.api.byte_ranges import CHUNK


@dataclass(frozen=True)
class Stretch:
    """Bytes of an object in the store."""

    key: str
    offset: int
    length: int

    def __len__(self) -> int:
        return self.length


Part = bytes | Stretch


@dataclass(frozen=True)
class Content:
    """The parts, one behind the other."""

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, parts: Iterable[Part]) -> Content:
        """Without the empty ones."""
        return cls(tuple(part for part in parts if len(part)))

    @property
    def length(self) -> int:
        """Bytes in all."""
        return self._ends[-1] if self._ends else 0

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(map(len, self.parts)))

    def read(self, store: ObjectStore, first: int, last: int) -> Iterator[bytes]:
        """The bytes from ``first`` to ``last`` (exclusive), in chunks of at most CHUNK.

        Raises:
            StoreFault: an object is not there, or is shorter than it was.
        """
        with _Reader(store) as reader:
            while first < last:
                number = bisect_right(self._ends, first)
                part = self.parts[number]
                begin = first - (self._ends[number] - len(part))
                wanted = min(len(part) - begin, last - first, CHUNK)
                data = part[begin : begin + wanted] if isinstance(part, bytes) else reader.read(part, begin, wanted)
                first += len(data)
                yield data


class _Reader:
    """Keeps the object open that was read last."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._key = ""
        self._stream: BinaryIO | None = None

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def read(self, part: Stretch, begin: int, wanted: int) -> bytes:
        if self._stream is None or self._key != part.key:
            self.__exit__()
            self._stream, self._key = self._store.open(part.key), part.key
        self._stream.seek(part.offset + begin)
        data = self._stream.read(wanted)
        if not data:
            raise StoreFault("an object is shorter than it was")
        return data
