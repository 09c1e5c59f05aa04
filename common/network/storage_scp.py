"""The listener on the network: associations that others open to us, a thread each, so many at a time."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

from common.dicom.scan import Identity
from common.errors import PeerFault, PolicyError
from common.logs import logger
from common.network.services import Custodian, Entrance, Report, ServedAssociation, Status, no_reports
from common.store import ObjectStore

__all__ = ["Custodian", "Entrance", "Report", "Status", "StorageServer", "no_reports"]

log = logger(__name__)

_CONNECTIONS_PER_ASSOCIATION = 2
"""Beyond the associations that are open, so many more may be asking: they are told that we are busy."""

_LISTEN_BACKLOG = 64


class StorageServer:
    """Listens from its making on, serves within its ``with`` block. At the end what is being received is given time to arrive."""

    def __init__(
        self, entrance: Entrance, store: ObjectStore, custodian: Custodian, report: Report = no_reports
    ) -> None:
        """Bind the port.

        Raises:
            PolicyError: the address or the port cannot be had.
        """
        self._entrance, self._store, self._custodian, self._report = entrance, store, custodian, report
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, ServedAssociation] = {}
        self._studies: Counter[str] = Counter()
        self._stopping = threading.Event()
        try:
            self._socket = socket.create_server(
                (entrance.address, entrance.port), family=_family(entrance.address), backlog=_LISTEN_BACKLOG
            )
        except (OSError, OverflowError) as error:
            raise PolicyError(
                f"the listener cannot have port {entrance.port} of {entrance.address}: {getattr(error, 'strerror', error)}",
                hint="Choose another with --port or CINEFARM_LISTEN_PORT; those below 1024 need a privilege (CAP_NET_BIND_SERVICE).",
            ) from error
        self._accepting = threading.Thread(target=self._accept, name="listener", daemon=True)

    @property
    def port(self) -> int:
        """TCP port that we listen on."""
        return int(self._socket.getsockname()[1])

    def __enter__(self) -> StorageServer:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close(0)

    def close(self, seconds: float) -> None:
        """Take no more associations; those in the middle of an instance have ``seconds`` to end it, then all are aborted."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._socket.close()
        self._accepting.join()
        end = time.monotonic() + seconds
        while (threads := self._threads()) and any(association.busy for association in threads.values()):
            if time.monotonic() > end:
                break
            time.sleep(0.05)
        for association in self._threads().values():
            association.end()
        for thread in self._threads():
            thread.join()

    def receives(self, study_uid: str) -> bool:
        """True while an instance of the study is on its way."""
        with self._lock:
            return self._studies[study_uid] > 0

    def is_full(self, asking: ServedAssociation) -> bool:
        """Whether as many others are established as may be; else ``asking`` is established from now on."""
        with self._lock:
            others = sum(association.established for association in self._open.values())
            asking.established = others < self._entrance.associations
            return not asking.established

    @contextlib.contextmanager
    def noting(self) -> Iterator[Callable[[Identity], None]]:
        """Note the study of what is being received, from the moment it is known to the end of the block."""
        noted: list[str] = []

        def note(identity: Identity) -> None:
            with self._lock:
                self._studies[identity.study_uid] += 1
            noted.append(identity.study_uid)

        try:
            yield note
        finally:
            with self._lock:
                self._studies -= Counter(noted)  # drops those that reach 0

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError as error:
                if self._stopping.is_set():
                    return
                log.warning("accept_failed", error=error.strerror)  # out of descriptors: some will be given back
                time.sleep(0.2)
                continue
            try:
                self._begin(connection)
            except (OSError, RuntimeError) as error:  # the peer has gone already, or there are no more threads
                log.warning("connection_dropped", error=type(error).__name__)
                connection.close()

    def _begin(self, connection: socket.socket) -> None:
        association = ServedAssociation(self, self._entrance, connection)
        thread = threading.Thread(target=self._serve, args=(association,), name="association", daemon=True)
        with self._lock:
            crowded = len(self._open) >= self._entrance.associations * (1 + _CONNECTIONS_PER_ASSOCIATION)
            if not crowded:
                self._open[thread] = association
        if crowded:
            log.warning("connection_refused", reason="too many connections")
            connection.close()
            return
        try:
            thread.start()
        except RuntimeError:
            self._forget(thread)
            raise

    def _serve(self, association: ServedAssociation) -> None:
        try:
            association.run(self._store, self._custodian, self._report)
        except PeerFault as fault:
            log.warning("association_broke", calling=association.calling, message=fault.message)
        except Exception:  # a bug costs one association, never the listener
            log.exception("association_failed")
        finally:
            association.end()
            self._forget(threading.current_thread())

    def _forget(self, thread: threading.Thread) -> None:
        with self._lock:
            del self._open[thread]

    def _threads(self) -> dict[threading.Thread, ServedAssociation]:
        with self._lock:
            return dict(self._open)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
