"""Pictures of frames, drawn by children of the workers' code: decoders never run in the server, and what was drawn is kept a while."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from common.errors import EnvironmentFault, ResourceLimit, UnreadableSource
from common.logs import logger
from common.settings import Settings
from common.showing import Picture
from orchestrator.describing import line_from
from orchestrator.dicomweb.shelf import Shelf
from orchestrator.supervised import environment_of

log = logger(__name__)

AT_A_TIME = 2
"""Children of one server; each keeps a core busy."""

MOST_WAITING = 64
SILENCE_SECONDS = 90.0
"""A child has its own limit of 60 s a picture; this one notices that it is stuck."""

KEPT_BYTES = 64 << 20


class Painter:
    """Draws when it is asked; its children end with it, or when nobody has asked for five minutes (workers.show)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="painter")
        self._mine = threading.local()
        self._children: set[_Child] = set()
        self._kept: Shelf[bytes] = Shelf(KEPT_BYTES)
        self._waiting = 0

    async def draw(self, asked: Picture, version: str) -> bytes:
        """The file of a picture; ``version`` names the very bytes of its instance.

        Raises:
            EnvironmentFault: too many wait already, or the child cannot be started.
            InputError: there is no such frame, or it cannot be decoded.
            ResourceLimit: drawing it took too long.
        """
        name = f"{version} {asked.model_dump_json()}"
        if (known := self._kept.get(name)) is not None:
            return known
        if self._waiting >= MOST_WAITING:
            raise EnvironmentFault("too many pictures are being drawn", hint="Ask again in a moment.")
        self._waiting += 1  # on the event loop alone
        try:
            drawn = await asyncio.wrap_future(self._pool.submit(self._ask, asked))
        finally:
            self._waiting -= 1
        self._kept.put(name, drawn, len(drawn))
        return drawn

    def close(self) -> None:
        """End the children."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for child in list(self._children):
            child.end()

    def _ask(self, asked: Picture) -> bytes:
        child: _Child | None = getattr(self._mine, "child", None)
        if child is None:
            child = self._mine.child = _Child(self._settings)
            self._children.add(child)
        return child.ask(asked)


class _Child:
    """One child, used by one thread; one that stalls or dies costs the picture that it was asked for."""

    def __init__(self, settings: Settings) -> None:
        self._environment = environment_of(settings)
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, asked: Picture) -> bytes:
        """Raises: see Painter.draw."""
        try:
            answer = json.loads(self._answer(asked))
        except TimeoutError:
            self.end()
            raise ResourceLimit("drawing a frame took too long") from None
        except (OSError, EOFError):
            self.end()
            raise UnreadableSource("the decoder ended on this frame") from None
        if "picture" in answer:
            return base64.b64decode(answer["picture"])
        failure = answer["failure"]
        log.info("frame_not_drawn", code=failure["code"])
        raise UnreadableSource(failure["message"], hint=failure["hint"])

    def end(self) -> None:
        """Now."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _answer(self, asked: Picture) -> bytes:
        process = self._running()
        if process.stdin is None or process.stdout is None:
            raise EOFError
        process.stdin.write(asked.model_dump_json().encode() + b"\n")
        process.stdin.flush()
        return line_from(process.stdout.fileno(), time.monotonic() + SILENCE_SECONDS)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.end()  # nobody asked for a while
        if self._process is None:
            argv = [sys.executable, "-m", "workers", "show", "--parent", str(os.getpid())]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=self._environment
            )
        return self._process
