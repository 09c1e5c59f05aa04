"""Draw frames of stored instances for viewers: asked on stdin, answered on stdout, a JSON line each (common.showing)."""

from __future__ import annotations

import base64
import json
import os
import select
import sys

from common.errors import CinefarmError, InternalFault
from common.forks import Limits, bind
from common.orders import Failure
from common.process import call
from common.settings import Settings
from common.showing import Picture
from common.store.open import open_store

IDLE_SECONDS = 300.0
"""After which it ends: its libraries take 100 MB, and the next question starts another."""

DRAW_SECONDS = 60.0
"""For one frame; of a stream without an index all frames before it are decoded."""


def serve(*, parent: int) -> None:
    """Answer until stdin ends or nobody asks. ``parent`` is the process that this one must not outlive."""
    bind(parent, Limits())
    answers = os.dup(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # decoders print what they like; answers alone go to the asker
        os.dup2(silence, stream)
    settings = Settings()
    import workers.show_frames  # noqa: F401  every child of ours then has it

    with os.fdopen(answers, "wb") as out:
        while select.select([0], [], [], IDLE_SECONDS)[0] and (line := sys.stdin.buffer.readline()):
            out.write(json.dumps(_answer(line, settings)).encode() + b"\n")
            out.flush()


def _answer(line: bytes, settings: Settings) -> dict[str, object]:
    try:
        asked = Picture.model_validate_json(line)
        limits = Limits(DRAW_SECONDS, settings.child_memory_bytes)
        return {
            "picture": base64.b64encode(call(_drawn, asked, settings, limits=limits, what="drawing a frame")).decode()
        }
    except CinefarmError as error:
        return {"failure": Failure.of(error).model_dump()}
    except Exception as error:  # its message may quote what was stored
        return {"failure": Failure.of(InternalFault(f"drawing a frame broke with {type(error).__name__}")).model_dump()}


def _drawn(asked: Picture, settings: Settings) -> bytes:
    """In a child: the store is opened here, for connections are not shared."""
    from workers.show_frames import draw

    return draw(asked, open_store(settings.store_url or str(settings.objects_dir), settings))
