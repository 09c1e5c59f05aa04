"""Read instances back through a child of the workers' code, and compare digests where both sides have one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Self

from common.destinations import WebDestination, parse_destination
from common.network.association import SLOWEST_ARCHIVE
from common.orders import Retrieval
from orchestrator.describing import line_from
from orchestrator.verify.places import Place, Reading, chosen
from orchestrator.verify.values import Expected, Held

SILENCE_SECONDS = 900.0
"""For an instance to come from tape and to be described, besides its time on the line."""


class Reader:
    """One child; one that stalls or dies costs the instance it was asked for."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def read(self, asked: Retrieval, size_bytes: int) -> dict[str, Any]:
        """What came: ``digest``, ``pixels``, ``stream``, ``frames``; or ``failure``."""
        until = time.monotonic() + SILENCE_SECONDS + size_bytes / SLOWEST_ARCHIVE
        child = self._running()
        try:
            if child.stdin is None or child.stdout is None:
                raise EOFError
            child.stdin.write(asked.model_dump_json().encode() + b"\n")
            child.stdin.flush()
            return dict(json.loads(line_from(child.stdout.fileno(), until)))
        except (OSError, EOFError) as error:  # a TimeoutError is an OSError
            self._end()
            late = isinstance(error, TimeoutError)
            return {"failure": {"message": "it took too long" if late else "reading it ended without an answer"}}

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            argv = [sys.executable, "-m", "workers", "read-back", "--parent", str(os.getpid())]
            pipe = subprocess.PIPE
            self._child = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()


class ReadBack:
    """A place whose instances, or a sample of them, are read back."""

    def __init__(self, place: Place, uri: str, reader: Reader, read: Reading) -> None:
        self._place, self._uri, self._reader, self._read = place, uri, reader, read

    def study(self, study_uid: str, expected: Sequence[Expected]) -> Iterator[Held]:
        """See Place."""
        wanted = {each.sop_instance_uid: each for each in chosen(expected, self._read)}
        for held in self._place.study(study_uid, expected):
            one = wanted.get(held.sop_instance_uid)
            yield held if one is None else self._compared(study_uid, one, held)

    def _compared(self, study_uid: str, one: Expected, held: Held) -> Held:
        asked = Retrieval(
            place=self._uri,
            study_uid=study_uid,
            series_uid=one.series_uid,
            sop_instance_uid=one.sop_instance_uid,
            sop_class_uid=one.sop_class_uid,
            method="web" if isinstance(parse_destination(self._uri), WebDestination) else "get",
        )
        came = self._reader.read(asked, one.size_bytes)
        if "failure" in came:
            return replace(held, problem=str(came["failure"]["message"]))
        return replace(held, frames=came["frames"], same=same(one, came))


def same(one: Expected, came: dict[str, Any]) -> bool | None:
    """Whether what came is what was sent, by the strictest digest that both sides have. None: they have none in common.

    An archive may write a header anew, so a file that differs proves nothing; its pixel data do.
    """
    if came["digest"] == one.digest:
        return True
    for ours, theirs in ((one.pixel_digest, came["pixels"]), (one.stream_digest, came["stream"])):
        if ours and theirs:
            return bool(ours == theirs)
    return None
