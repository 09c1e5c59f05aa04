"""Read instances back from where they were delivered: asked on stdin, answered on stdout, a JSON line each.

What came is described like any source, in a child under limits: the bytes of an archive are no less hostile than others.
"""

from __future__ import annotations

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
    pixels = call(_pixels, path, limits=limits, what="reading pixel data")
    return {
        "digest": found.digest,
        "pixels": pixels,
        "stream": found.video.stream_digest,
        "frames": found.video.frame_count,
    }


def _pixels(path: Path) -> str:
    from common.dicom.pixel_digest import pixel_digest
    from common.dicom.pixel_stream import read_header

    return pixel_digest(read_header(path))


def _failed(error: CinefarmError) -> bytes:
    return b'{"failure":' + Failure.of(error).model_dump_json().encode() + b"}"
