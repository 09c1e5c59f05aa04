"""Associations that are kept open between objects: one per destination and process, for a few seconds.

Opening one takes several round trips, with TLS more than sending a small object. One that the archive has dropped
meanwhile costs a new one and nothing else.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

from common.destinations import DicomDestination
from common.errors import DestinationUnavailable, InternalFault
from common.network.association import Caller
from common.network.tls import Credentials
from workers.deliver.storage_scu import Context, StorageAssociation, open_storage

IDLE_SECONDS = 5.0
"""Longer than the pause between two orders of a running job, shorter than archives wait before they complain."""

MOST_CONTEXTS = 16
"""Offered beside the one that is needed: those that this process has used with the destination lately."""

_NO_ANSWER = "the archive ended the connection, or fell silent, before it confirmed the object"


@dataclass(frozen=True)
class _Key:
    """Whose associations may be used for one another's objects."""

    peer: DicomDestination
    ae_title: str
    credentials: Credentials


class Associations:
    """The open associations of one process. Threads may use it at the same time: each has one of its own."""

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        self.idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._idle: dict[_Key, tuple[StorageAssociation, threading.Timer]] = {}
        self._used: dict[_Key, list[Context]] = {}

    def use(
        self,
        contexts: list[Context],
        peer: DicomDestination,
        caller: Caller,
        send: Callable[[StorageAssociation, Context], int],
        *,
        keep: bool = True,
    ) -> int:
        """``send`` an object over an association that has one of ``contexts``, the earlier the better; returns its status.

        ``keep``: leave it open for the next one. Idle ones count where an archive limits associations.
        ``send`` is called a second time, over a new association, when one that was kept turns out to have been dropped.

        Raises:
            DestinationUnavailable, DestinationRefused, PolicyError: see open_storage; or no answer came.
        """
        key = _Key(peer, caller.ae_title, caller.credentials)
        kept = self._take(key, contexts)
        if kept is not None:
            try:
                return self._sent(key, kept, contexts, send, keep=keep)
            except ConnectionError:
                pass
            except OSError as error:
                raise DestinationUnavailable(_NO_ANSWER) from error
        fresh = self._open(key, contexts, caller)
        try:
            return self._sent(key, fresh, contexts, send, keep=keep)
        except OSError as error:
            raise DestinationUnavailable(_NO_ANSWER) from error

    def _open(self, key: _Key, contexts: list[Context], caller: Caller) -> StorageAssociation:
        with self._lock:
            lately = [context for context in self._used.get(key, []) if context not in contexts]
        return open_storage(contexts, lately, key.peer, caller)

    def _sent(
        self,
        key: _Key,
        association: StorageAssociation,
        contexts: list[Context],
        send: Callable[[StorageAssociation, Context], int],
        *,
        keep: bool,
    ) -> int:
        context = association.choose(contexts)
        if context is None:  # neither taken from the pool nor opened without one
            raise InternalFault("an association has no context for the object")
        try:
            status = send(association, context)
        except BaseException:
            association.abort()
            raise
        self._note(key, context)
        if keep:
            self._keep(key, association)
        else:
            association.release()
        return status

    def _note(self, key: _Key, context: Context) -> None:
        with self._lock:
            lately = [each for each in self._used.get(key, []) if each != context]
            self._used[key] = [context, *lately][:MOST_CONTEXTS]

    def _take(self, key: _Key, contexts: list[Context]) -> StorageAssociation | None:
        with self._lock:
            association, timer = self._idle.pop(key, (None, None))
        if association is None or timer is None:
            return None
        timer.cancel()
        if association.quiet and association.choose(contexts) is not None:
            return association
        association.release()  # an archive may allow us one association only
        return None

    def _keep(self, key: _Key, association: StorageAssociation) -> None:
        timer = threading.Timer(self.idle_seconds, self._expire, (key, association))
        timer.daemon = True
        with self._lock:
            spare = self.idle_seconds <= 0 or key in self._idle
            if not spare:
                self._idle[key] = (association, timer)
                timer.start()
        if spare:
            association.release()

    def _expire(self, key: _Key, association: StorageAssociation) -> None:
        with self._lock:
            if self._idle.get(key, (None,))[0] is not association:
                return  # in use again
            del self._idle[key]
        association.release()

    def release_all(self) -> None:
        """Release what is open and idle."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for association, timer in idle.values():
            timer.cancel()
            association.release()

    def forget(self) -> None:
        """In a forked child: the connections are the parent's, nothing may be said on them."""
        self._lock = threading.Lock()
        idle, self._idle = self._idle, {}
        for association, _ in idle.values():
            os.close(association.connection.detach())


ASSOCIATIONS = Associations()
"""Of this process."""

os.register_at_fork(after_in_child=ASSOCIATIONS.forget)
atexit.register(ASSOCIATIONS.release_all)
