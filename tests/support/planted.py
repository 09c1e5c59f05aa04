"""Words that occur nowhere else, planted wherever a source can hold text, and a look-out for them in everything that a farm emits."""

from __future__ import annotations

import base64
import binascii
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pydicom
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from redis import Redis

WORD = "Quirinal"
"""In every planted text; no program, codec or library says it."""

_TEXT = {"LO": 64, "SH": 16, "PN": 64, "LT": 200, "ST": 200, "UC": 200, "UT": 200, "AE": 16}
"""Kinds of free text and how long it may be (PS3.5 6.2). Codes (CS) are no place for a name: an object with wrong ones is not made."""

_BASE64 = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")


def plant(source: Path, into: Path) -> int:
    """A copy of a DICOM file with the word in every text that the standard knows for a top level; returns how many."""
    dataset = pydicom.dcmread(source)
    count = 0
    for tag, (kind, _multiplicity, _, retired, keyword) in DicomDictionary.items():
        group = tag >> 16
        if kind not in _TEXT or retired or group in (0x0000, 0x0002) or not keyword:
            continue
        text = f"{WORD}{count}"[: _TEXT[kind]]
        dataset[tag] = DataElement(tag, kind, text)
        count += 1
    dataset.add(DataElement(0x00091010, "LO", f"{WORD} private"))
    dataset[0x00090010] = DataElement(0x00090010, "LO", f"{WORD} INC")
    item = Dataset()
    item.PatientName, item.TextValue = f"{WORD}^Nested", f"{WORD} nested"
    dataset.OtherPatientIDsSequence = [item]
    dataset.save_as(into)
    return count


@dataclass
class LookOut:
    """Everything that was seen in passing, as bytes, by where."""

    seen: dict[str, set[bytes]] = field(default_factory=dict)

    def note(self, where: str, what: bytes) -> None:
        self.seen.setdefault(where, set()).add(what)

    def found(self) -> list[str]:
        """Where the word was, and in what; also within base64, as Celery's bodies are."""
        word = WORD.lower().encode()
        return [
            f"{where}: …{text[max(0, text.lower().find(word) - 80) :][:200]!r}…"
            for where, texts in self.seen.items()
            for raw in texts
            for text in (raw, *_decoded(raw))
            if word in text.lower()
        ]


def _decoded(raw: bytes) -> Iterator[bytes]:
    for match in _BASE64.findall(raw):
        try:
            yield base64.b64decode(match + b"=" * (-len(match) % 4))
        except (binascii.Error, ValueError):
            continue


@contextmanager
def looking_out(broker: Redis, folders: tuple[Path, ...]) -> Iterator[LookOut]:
    """Watch the broker's commands, the words and environments of our processes, and the names of files below some folders."""
    lookout, stop = LookOut(), threading.Event()
    threads = [
        threading.Thread(target=_watch_broker, args=(broker, lookout, stop)),
        threading.Thread(target=_watch_machine, args=(folders, lookout, stop)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield lookout
    finally:
        stop.set()
        broker.set("end-of-watch", "1")
        for thread in threads:
            thread.join()


def _watch_broker(broker: Redis, lookout: LookOut, stop: threading.Event) -> None:
    with broker.monitor() as monitor:
        while not stop.is_set():
            command = monitor.next_command()["command"]
            lookout.note(
                "broker", command if isinstance(command, bytes) else command.encode("utf-8", "surrogateescape")
            )


def _watch_machine(folders: tuple[Path, ...], lookout: LookOut, stop: threading.Event) -> None:
    own = psutil.Process()
    while not stop.is_set():
        for child in own.children(recursive=True):
            for name in ("cmdline", "environ"):
                try:
                    lookout.note(name, (Path("/proc") / str(child.pid) / name).read_bytes())
                except OSError:
                    continue
        for folder in folders:
            for below, _, names in os.walk(folder):  # it passes over what vanishes meanwhile
                for name in names:
                    lookout.note("file name", os.fsencode(Path(below, name).relative_to(folder)))
        time.sleep(0.02)
