"""The SHA-256 of a video's elementary stream, whatever container it lies in: proof that a rewrap changed no bit.

Containers write one stream in several ways: MP4 puts lengths before NAL units and parameter sets aside, a transport stream puts
start codes and access unit delimiters. So H.264 and HEVC are hashed in one normal form: every NAL unit in decoding order behind a
four-byte start code, trailing zero bytes and access unit delimiters left out; behind the last one each different parameter set once,
sorted. MPEG-2 is hashed byte by byte: no container changes it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator
from queue import Queue
from typing import TYPE_CHECKING

from common.bitstream import BitstreamError
from common.bitstream.nal import nal_units, parameter_sets

if TYPE_CHECKING:
    from av.container import InputContainer

CODECS = frozenset({"h264", "hevc", "mpeg2video"})
"""What is ever rewrapped."""

_SETS = {"h264": frozenset({7, 8, 13, 15}), "hevc": frozenset({32, 33, 34})}
"""nal_unit_type of parameter sets: H.264 Table 7-1 (subset SPS of MVC included), H.265 Table 7-1."""

_DELIMITER = {"h264": 9, "hevc": 35}
_START = b"\0\0\0\1"


class ElementaryDigest:
    """Takes a stream's packets in decoding order."""

    def __init__(self, codec: str, extradata: bytes) -> None:
        self._codec = codec
        self._hash = hashlib.sha256()
        self._sets: set[bytes] = set()
        self._length_size = 0
        self._broken = False
        if codec in _SETS:
            first = parameter_sets(codec, extradata)
            self._length_size = first.length_size
            self._sets.update(nal for nal in first.nals if self._kind(nal) in _SETS[codec])

    def add(self, packet: bytes) -> None:
        """One more packet. One that cannot be taken apart ends it: no digest is better than a wrong one."""
        if self._codec not in _SETS:
            self._hash.update(packet)
            return
        try:
            self._units(packet)
        except BitstreamError:
            self._broken = True

    def _units(self, packet: bytes) -> None:
        for nal in nal_units(packet, self._length_size):
            kind = self._kind(nal)
            if kind in _SETS[self._codec]:
                self._sets.add(nal.rstrip(b"\0"))
            elif kind != _DELIMITER[self._codec]:
                self._hash.update(_START)
                self._hash.update(nal.rstrip(b"\0"))

    def hexdigest(self) -> str | None:
        """Of all that was added; None where a packet could not be taken apart."""
        if self._broken:
            return None
        whole = self._hash.copy()
        for nal in sorted(self._sets):
            whole.update(_START + nal)
        return whole.hexdigest()

    def _kind(self, nal: bytes) -> int:
        return nal[0] & 0x1F if self._codec == "h264" else nal[0] >> 1 & 0x3F


def elementary_digest(codec: str, extradata: bytes) -> ElementaryDigest | None:
    """A digest of this stream; None where it is never rewrapped or its configuration cannot be read."""
    if codec not in CODECS:
        return None
    try:
        return ElementaryDigest(codec, extradata)
    except BitstreamError:
        return None


class Watch:
    """Hashes the elementary stream in bytes on their way into Pixel Data: read once, held a few chunks."""

    def __init__(self) -> None:
        self._queue: Queue[bytes] = Queue(maxsize=2)  # bounded: a slow demuxer slows the writer
        self._left = b""
        self._ended = False
        self._digest: str | None = None
        self._thread = threading.Thread(target=self._run, name="elementary", daemon=True)

    def through(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks."""
        self._thread.start()
        try:
            for chunk in chunks:
                if chunk:  # an empty one is the end
                    self._queue.put(chunk)
                yield chunk
        finally:
            self._queue.put(b"")
            self._thread.join()

    @property
    def digest(self) -> str | None:
        """Hexadecimal, once all has gone through; None where the container cannot be read front to back."""
        return self._digest

    def read(self, size: int) -> bytes:
        """What the demuxer asks for; empty at the end."""
        if not self._left and not self._ended:
            self._left = self._queue.get()
            self._ended = not self._left
        data, self._left = self._left[:size], self._left[size:]
        return data

    def _run(self) -> None:
        from av.error import FFmpegError

        from common.errors import CinefarmError
        from workers.describe_media import open_container

        try:
            with open_container(self) as container:
                self._digest = _of(container)
        except (CinefarmError, FFmpegError):
            pass  # not proven is said as None; what was read is judged by the description
        finally:  # whatever happened: the writer must not wait for a reader that is gone
            while not self._ended:
                self._ended = not self._queue.get()


def _of(container: InputContainer) -> str | None:
    from workers.describe_media import video_stream

    stream = video_stream(container)
    context = stream.codec_context
    found = elementary_digest(str(context.codec.canonical_name), context.extradata or b"")
    for packet in container.demux(stream) if found else ():
        if packet.size and found:
            found.add(bytes(packet))
    return found.hexdigest() if found else None
