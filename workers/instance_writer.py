"""Write an instance into the store, and beside it what viewers will ask of it (common.dicom.companion)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from common.dicom.companion import companion_key
from common.dicom.layout import Layout
from common.errors import CinefarmError
from common.logs import logger
from common.store import ObjectStore
from common.store.base import ObjectWriter, Stored

log = logger(__name__)


class InstanceWriter:
    """An ObjectWriter that looks at what passes. What it cannot read costs viewers their look, and never the instance."""

    def __init__(self, inner: ObjectWriter) -> None:
        self._inner = inner
        self._layout: Layout | None = Layout()

    def write(self, data: bytes | memoryview) -> int:
        """Append."""
        if self._layout is not None:
            try:
                self._layout.feed(data)
            except CinefarmError as error:
                self._give_up(error)
        return self._inner.write(data)

    @property
    def stored(self) -> Stored:
        """Size and digest; only after the block has ended well."""
        return self._inner.stored

    def companion(self) -> bytes | None:
        """JSON of what was seen; None where it could not be read."""
        if self._layout is None:
            return None
        try:
            return self._layout.companion().model_dump_json().encode()
        except Exception as error:  # pydicom raises what it likes on a kept source's odd values
            self._give_up(error)
            return None

    def _give_up(self, error: Exception) -> None:
        self._layout = None
        log.warning("instance_not_viewable", error=type(error).__name__)


@contextmanager
def instance_writer(store: ObjectStore, key: str) -> Iterator[InstanceWriter]:
    """Like ``ObjectStore.writer``; the companion appears just before the instance does."""
    with store.writer(key) as inner:
        writer = InstanceWriter(inner)
        yield writer
        if (companion := writer.companion()) is not None:
            store.put(companion_key(key), companion)


def forget_instance(store: ObjectStore, key: str) -> None:
    """Delete an instance and what was noted of it."""
    store.delete(key)
    store.delete(companion_key(key))
