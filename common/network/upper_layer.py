"""The side of an association that is called (PS3.8): PDUs from one TCP connection, never more of them in memory than a buffer.

pynetdicom's own server reads each PDU as a whole, whatever length it claims, waits without a limit for the rest of one, and does
TLS handshakes in the thread that accepts. Here every wait has a limit, and data sets pass through in pieces.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

from common.errors import PeerFault
from common.network.command_set import CommandSet
from common.network.negotiation import pdu

_REQUEST, _DATA, _RELEASE, _RELEASE_ANSWER, _ABORT = 0x01, 0x04, 0x05, 0x06, 0x07
_HEADER = struct.Struct(">BBI")
_VALUE = struct.Struct(">IBB")

BUFFER_BYTES = 256 << 10
"""What is read from the connection at once."""

MOST_REQUEST_BYTES = 1 << 20
"""Longest association request: 128 contexts with all transfer syntaxes there are need a tenth."""

MOST_COMMAND_BYTES = 64 << 10
"""Longest command set; real ones have a few hundred bytes."""

_SERVICE_PROVIDER, _INVALID_PDU = 2, 6  # PS3.8 table 9-26


@dataclass(frozen=True)
class Patience:
    """How long we wait for a peer, in seconds."""

    request: float = 30.0  # from the connection to the whole association request, TLS included (ARTIM, PS3.8 9.1.5)
    stall: float = 60.0  # the next byte within a message, or the peer takes none of ours
    idle: float = 900.0  # the next message: modalities keep an association open over an examination


class Line:
    """One TCP connection; every byte comes and goes through here."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._start = self._end = 0

    def secure(self, context: ssl.SSLContext, seconds: float) -> None:
        """Go on with TLS.

        Raises:
            PeerFault: the handshake failed.
        """
        with _line_faults("the TLS handshake failed"):
            self._socket.settimeout(seconds)
            self._socket = context.wrap_socket(self._socket, server_side=True)

    def read(self, count: int, seconds: float) -> bytes:
        """Exactly ``count`` bytes, each within ``seconds`` of the one before.

        Raises:
            PeerFault: the connection ended or fell silent.
        """
        return b"".join(self.take(count, seconds))

    def take(self, count: int, seconds: float) -> Iterator[memoryview]:
        """Exactly ``count`` bytes in pieces, each to be used before the next one is asked for.

        Raises:
            PeerFault: the connection ended or fell silent.
        """
        while count:
            if self._start == self._end:
                self._fill(seconds)
            piece = self._buffer[self._start : min(self._end, self._start + count)]
            self._start += len(piece)
            count -= len(piece)
            yield piece

    def send(self, data: bytes, seconds: float) -> None:
        """Send all of ``data``.

        Raises:
            PeerFault: the peer takes nothing, or is gone.
        """
        with _line_faults("the connection was lost"):
            self._socket.settimeout(seconds)
            self._socket.sendall(data)

    def close(self) -> None:
        """End it; what a thread waits for ends too."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _fill(self, seconds: float) -> None:
        with _line_faults("the connection was lost"):
            self._socket.settimeout(max(seconds, 0.001))  # 0 would mean not to wait at all
            count = self._socket.recv_into(self._buffer)
        if not count:
            raise PeerFault("the peer closed the connection")
        self._start, self._end = 0, count


@contextlib.contextmanager
def _line_faults(what: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise PeerFault("the peer fell silent") from error
    except OSError as error:  # ssl.SSLError is one
        raise PeerFault(
            f"{what}: {getattr(error, 'reason', None) or error.strerror or type(error).__name__}"
        ) from error


@dataclass(frozen=True)
class Message:
    """A command set, and its data set in pieces where it has one; all pieces are to be taken before the next message."""

    context_id: int
    command: CommandSet
    data: Iterator[memoryview]


class UpperLayer:
    """An association from its request to its end."""

    def __init__(self, line: Line, patience: Patience) -> None:
        self._line, self._patience = line, patience
        self._wait = patience.idle  # for the next PDU
        self._values = self._presentation_data()

    def request(self, deadline: float) -> bytes:
        """The body of the association request, whole by ``deadline`` (time.monotonic).

        Raises:
            PeerFault: something else came, or nothing.
        """
        kind, length = _HEADER.unpack(self._by(_HEADER.size, deadline))[::2]
        if kind != _REQUEST or not 0 < length <= MOST_REQUEST_BYTES:
            raise PeerFault("what came is no DICOM association request")
        return self._by(length, deadline)

    def messages(self) -> Iterator[Message]:
        """Every message until the peer releases the association.

        Raises:
            PeerFault: the peer aborted, broke the protocol, fell silent or went away.
        """
        while (command := self._command()) is not None:
            context_id, values = command
            data = self._data_set(context_id) if values.has_data_set else iter(())
            yield Message(context_id, values, data)
            for _ in data:  # what its receiver had no use for
                pass

    def respond(self, message: Message, status: int, comment: str = "") -> None:
        """Answer a message.

        Raises:
            PeerFault: the peer takes nothing, or is gone.
        """
        command = message.command.response(status, comment)
        # one presentation data value, command, last fragment (PS3.8 9.3.5 and E.2)
        value = _VALUE.pack(len(command) + 2, message.context_id, 0b11) + command
        self.send(pdu(_DATA, value))

    def send(self, data: bytes) -> None:
        """Send a PDU. Raises: PeerFault: as ``respond``."""
        self._line.send(data, self._patience.stall)

    def abort(self) -> None:
        """Tell the peer that it is over (A-ABORT by the provider, PS3.8 9.3.8)."""
        with contextlib.suppress(PeerFault):
            self._line.send(pdu(_ABORT, bytes((0, 0, _SERVICE_PROVIDER, _INVALID_PDU))), 1.0)

    def _command(self) -> tuple[int, CommandSet] | None:
        """The next command set with its presentation context; None: the association was released."""
        encoded = bytearray()
        self._wait = self._patience.idle  # between two messages the peer may take its time
        for context_id, control, count in self._values:
            self._wait = self._patience.stall
            if not control & 0b01 or len(encoded) + count > MOST_COMMAND_BYTES:
                raise PeerFault("data came where a command should have")
            encoded += self._line.read(count, self._patience.stall)
            if control & 0b10:
                return context_id, CommandSet.decode(encoded)
        if encoded:
            raise PeerFault("the association was released inside a message")
        return None

    def _data_set(self, context_id: int) -> Iterator[memoryview]:
        for other_id, control, count in self._values:
            if control & 0b01 or other_id != context_id:
                raise PeerFault("another message began inside a data set")
            yield from self._line.take(count, self._patience.stall)
            if control & 0b10:
                return
        raise PeerFault("the association was released inside a data set")

    def _presentation_data(self) -> Iterator[tuple[int, int, int]]:
        """Presentation data values (context, control header, bytes that follow) until the association is released."""
        while True:
            kind, length = self._next_pdu(self._wait)
            if kind == _RELEASE:
                self._line.read(length, self._patience.stall)
                self.send(pdu(_RELEASE_ANSWER, bytes(4)))
                return
            while length:
                if length < _VALUE.size:
                    raise PeerFault("a PDU ends inside a presentation data value")
                size, context_id, control = _VALUE.unpack(self._line.read(_VALUE.size, self._patience.stall))
                if not 2 <= size <= length - 4:
                    raise PeerFault("a presentation data value is longer than its PDU")
                yield context_id, control, size - 2
                length -= size + 4

    def _next_pdu(self, seconds: float) -> tuple[int, int]:
        """Kind and length of a data or a release PDU."""
        first = self._line.read(1, seconds)
        kind, length = _HEADER.unpack(first + self._line.read(_HEADER.size - 1, self._patience.stall))[::2]
        if kind == _ABORT:
            raise PeerFault("the peer aborted the association")
        if kind not in (_DATA, _RELEASE) or (kind == _RELEASE and length > BUFFER_BYTES):
            raise PeerFault("a PDU came that has no place in an open association")
        return kind, length

    def _by(self, count: int, deadline: float) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise PeerFault("the association request did not come in time")
            parts += next(self._line.take(count - len(parts), remaining))
        return bytes(parts)
