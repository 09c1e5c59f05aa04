"""One association for many questions: opened when needed, and again when it broke."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from common.destinations import DicomDestination
from common.network.association import Caller, associate

if TYPE_CHECKING:
    from pynetdicom.association import Association


class Asker(ABC):
    """Whoever asks by C-FIND derives from it. Use it as a context manager."""

    def __init__(self, contexts: Mapping[str, Sequence[str]], peer: DicomDestination, caller: Caller) -> None:
        """Nothing is opened yet. ``contexts``: information models and their transfer syntaxes."""
        self._contexts, self._peer, self._caller = contexts, peer, caller
        self._open = ExitStack()
        self._association: Association | None = None
        self._message_id = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the association; the next question opens another."""
        self._association = None
        self._open.close()

    def _connected(self) -> Association:
        """An association that stands, looked at by ``_agreed`` when it is new.

        Raises:
            DestinationUnavailable, DestinationRefused: see associate and ``_agreed``.
        """
        if self._association is not None and self._association.is_established:
            return self._association
        self.close()
        association = self._open.enter_context(associate(self._contexts, self._peer, self._caller))
        try:
            self._agreed([str(context.abstract_syntax) for context in association.accepted_contexts])
        except BaseException:
            self.close()
            raise
        self._association = association
        return association

    @abstractmethod
    def _agreed(self, models: Sequence[str]) -> None:
        """Which information models the peer answers. Raises: DestinationRefused, for none that is of use."""

    def _next_message(self) -> int:
        """A Message ID that no open question has (PS3.7 9.3.2.1: 16 bits)."""
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id
