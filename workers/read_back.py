"""Read instances back from where they were delivered: asked on stdin, answered on stdout, a JSON line each.

What came is described like any source, in a child under limits: the bytes of an archive are no less hostile than others.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

from common.bandwidth import UNPACED
from common.errors import CinefarmError, InternalFault
from common.forks import Limits, bind
from common.orders import Failure, Retrieval
from common.process import call
from common.settings import Settings
from common.store.folder import FolderStore
from workers.describe import SLOWEST_READ, describe_sandboxed
from workers.retrieve.bring import bring

_PIECE_BYTES = 1 << 20


def serve(*, parent: int) -> None:
    """Answer until stdin ends. ``parent`` is the process that this one must not outlive."""
    bind(parent, Limits())
    answers = os.dup(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # decoders print what they like; answers alone go to the asker
        os.dup2(silence, stream)
    settings = Settings()
    with os.fdopen(answers, "wb") as out, tempfile.TemporaryDirectory(prefix="cinefarm-read-") as folder:
        for line in iter(sys.stdin.buffer.readline, b""):
            out.write(_answer(Retrieval.model_validate_json(line), Path(folder), settings) + b"\n")
            out.flush()


def _answer(asked: Retrieval, folder: Path, settings: Settings) -> bytes:
    path = folder / "instance.dcm"
    try:
        return json.dumps(_read(asked, path, settings)).encode()
    except CinefarmError as error:
        return _failed(error)
    except Exception as error:  # its message may quote what came
        return _failed(InternalFault(f"reading an instance back failed with {type(error).__name__}"))
    finally:
        path.unlink(missing_ok=True)


def _read(asked: Retrieval, path: Path, settings: Settings) -> dict[str, object]:
    """SHA-256 of the file, of its Pixel Data and of its video stream; frames as they were counted.

    Raises:
        DestinationUnavailable, DestinationRefused: it does not come.
        InputError: what came is none that can be read.
    """
    place = FolderStore(path.parent)
    bring(asked, path.name, place, settings, UNPACED)
    found = describe_sandboxed(path, ".dcm", settings)
    limits = Limits(settings.describe_seconds + found.size_bytes / SLOWEST_READ, settings.child_memory_bytes)
    pixels = call(pixel_digest, path, limits=limits, what="reading pixel data")
    return {
        "digest": found.digest,
        "pixels": pixels,
        "stream": found.video.stream_digest,
        "frames": found.video.frame_count,
    }


def pixel_digest(path: Path) -> str:
    """SHA-256 of all fragments of Pixel Data, padding included; of native Pixel Data, its value."""
    from common.dicom.pixel_stream import FragmentReader, read_header

    header, digest = read_header(path), hashlib.sha256()
    if header.length is None:
        with FragmentReader(path, header.fragments) as fragments:
            while piece := fragments.read(_PIECE_BYTES):
                digest.update(piece)
        return digest.hexdigest()
    with path.open("rb") as file:
        file.seek(header.value_offset)
        left = header.length
        while left > 0 and (piece := file.read(min(left, _PIECE_BYTES))):
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()


def _failed(error: CinefarmError) -> bytes:
    return b'{"failure":' + Failure.of(error).model_dump_json().encode() + b"}"
