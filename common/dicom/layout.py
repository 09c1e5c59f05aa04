"""Follow a whole DICOM file while it is written: keep its header, note where its pixels lie. Nothing is read again.

Memory is that of the header and 16 bytes a fragment.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, cast

from common.dicom.companion import Companion, Pixels
from common.errors import UnreadableSource, UnsupportedSource

if TYPE_CHECKING:
    from typing import BinaryIO

    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

LOOKS = tuple(1 << power for power in (16, 18, 20, 22, 24, 26))
"""Bytes after which the header is looked for: most are shorter than the first, none in use is longer than the last (64 MiB)."""

MOST_FRAGMENTS = 1 << 17
"""Noted one by one: 72 minutes at 30 frames/s. An object with more is served as a whole."""

MOST_BINARY = 64 << 10
"""Longest binary value of the header that goes into its JSON, bytes; longer ones (offset tables, spectra) are left out."""

_PIXEL_DATA, _STREAM_LENGTH = 0x7FE00010, 0x7FE00003
_UNDEFINED = 0xFFFFFFFF
_ITEM = struct.Struct("<HHI")
_MOST_TABLE = 4 * MOST_FRAGMENTS


class Layout:
    """``feed`` it the bytes of a file in order; ``companion`` says what was seen."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._dataset: Dataset | None = None
        self._pixels = Pixels(offset=0, length=0)
        self._items: list[tuple[int, int]] = []
        self._table = b""
        self._position = 0  # of the next byte that the walk gets
        self._steps: Generator[int, bytes, None] | None = None
        self._needed = 0
        self._waiting = bytearray()
        self._looks = iter(LOOKS)
        self._next_look = next(self._looks)

    def feed(self, data: bytes | memoryview) -> None:
        """The next bytes.

        Raises:
            UnreadableSource: no DICOM header can be read from the first ones, or the pixels are no fragments.
            UnsupportedSource: the header is longer than the last of LOOKS.
        """
        if self._dataset is not None:
            self._walk(memoryview(data).cast("B"))
            return
        self._head += data
        while self._dataset is None and len(self._head) >= self._next_look:
            self._look()
            following = next(self._looks, None)
            if self._dataset is None and following is None:
                raise UnsupportedSource("the header is too long to be kept")
            self._next_look = following or self._next_look

    def companion(self) -> Companion:
        """What was seen, once all bytes have gone by.

        Raises:
            UnreadableSource: there was no header, or no Pixel Data behind it.
        """
        if self._dataset is None:
            self._look()
        if self._dataset is None:
            raise UnreadableSource("the instance has no Pixel Data")
        whole = len(self._items) <= MOST_FRAGMENTS + 1
        fragments = tuple(self._items[1:]) if whole else ()
        table = struct.unpack(f"<{len(self._table) // 4}I", self._table[: len(self._table) // 4 * 4])
        pixels = self._pixels.model_copy(update={"fragments": fragments, "offset_table": table if whole else ()})
        syntax = str(self._dataset.file_meta.TransferSyntaxUID)
        return Companion(transfer_syntax_uid=syntax, dataset=_json(self._dataset), pixels=pixels)

    def _look(self) -> None:
        """Read the header from what has come; what is behind it goes to the walk."""
        from pydicom.filereader import read_partial

        found: list[tuple[int, int]] = []
        stream = io.BytesIO(bytes(self._head))

        def stop(tag: BaseTag, _vr: str | None, length: int) -> bool:
            if tag == _PIXEL_DATA:
                found.append((stream.tell(), length))
            return bool(found)

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset = read_partial(cast("BinaryIO", stream), stop_when=stop, force=False)
        except Exception as error:  # pydicom raises what it likes on bytes that end early
            if len(self._head) >= LOOKS[-1]:
                raise UnreadableSource("the header of the instance cannot be read") from error
            return
        if not found:
            return
        offset, length = found[0]
        stream_length = dataset.get(_STREAM_LENGTH)
        self._pixels = Pixels(
            offset=offset,
            length=None if length == _UNDEFINED else length,
            stream_length=int(stream_length.value) if stream_length is not None else None,
        )
        self._dataset, self._position = dataset, offset
        rest, self._head = bytes(self._head[offset:]), bytearray()
        if length == _UNDEFINED:
            self._steps = self._fragments()
            self._needed = next(self._steps)
        self._walk(memoryview(rest))

    def _walk(self, data: memoryview) -> None:
        """Give the walk over the items what it asks for; a negative number of bytes is stepped over."""
        at = 0
        while self._steps is not None and at < len(data):
            if self._needed < 0:
                stepped = min(-self._needed, len(data) - at)
                self._needed += stepped
                at, self._position = at + stepped, self._position + stepped
                if self._needed == 0:
                    self._go_on(b"")
                continue
            piece = data[at : at + self._needed - len(self._waiting)]
            self._waiting += piece
            at, self._position = at + len(piece), self._position + len(piece)
            if len(self._waiting) == self._needed:
                taken = bytes(self._waiting)
                self._waiting.clear()
                self._go_on(taken)

    def _go_on(self, taken: bytes) -> None:
        try:
            self._needed = cast("Generator[int, bytes, None]", self._steps).send(taken)
        except StopIteration:
            self._steps = None

    def _fragments(self) -> Generator[int, bytes, None]:
        """Items up to the delimiter (PS3.5 A.4); the first holds the Basic Offset Table."""
        while True:
            group, element, length = _ITEM.unpack((yield _ITEM.size))
            if (group, element) == (0xFFFE, 0xE0DD):
                return
            if (group, element) != (0xFFFE, 0xE000) or length == _UNDEFINED:
                raise UnreadableSource("the pixel data is not a sequence of fragments")
            first, start = not self._items, self._position
            if len(self._items) <= MOST_FRAGMENTS + 1:
                self._items.append((start, length))
            if first and 0 < length <= _MOST_TABLE:
                self._table = yield length
            elif length:
                yield -length


def _json(dataset: Dataset) -> dict[str, Any]:
    """DICOM JSON of a header. Binary values beyond MOST_BINARY and the pixels' own group are left out."""

    def long(element: Any) -> str:
        too_long.append(f"{element.tag.group:04X}{element.tag.element:04X}")
        return ""

    too_long: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values; whoever uses one judges it
        found: dict[str, Any] = dataset.to_json_dict(MOST_BINARY, long, suppress_invalid_tags=True)
    return {tag: value for tag, value in found.items() if not tag.startswith(("7FE0", "0002")) and tag not in too_long}
