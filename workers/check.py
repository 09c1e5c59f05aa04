"""Hold a file against the rules of its transfer syntax, or of the one it is meant for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import Field

from common.dicom.transfer_syntaxes import ROOT, is_video
from common.errors import PolicyError, UnreadableSource
from common.media import Kind, Value
from common.orders import Finding
from common.process import Limits, call
from common.settings import Settings

SLOWEST_READ = 20_000_000
"""Bytes per second of a slow network disk: what the time limit allows for reading the file."""


class Judgement(Value):
    """What was found in one file."""

    kind: Kind
    transfer_syntax_uid: str = Field(description="the one it was held against")
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """Findings of severity error."""
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def clean(self) -> bool:
        """No errors and no warnings: notes are for the record."""
        return all(finding.severity == "note" for finding in self.findings)

    def as_json(self) -> dict[str, object]:
        """The answer of ``cinefarm check --json`` (docs/json.md)."""
        counts = {word: sum(each.severity == word for each in self.findings) for word in ("error", "warning", "note")}
        return {
            "kind": self.kind.value,
            "transfer_syntax_uid": self.transfer_syntax_uid,
            "clean": self.clean,
            "counts": counts,
            "findings": [finding.model_dump(mode="json") for finding in self.findings],
        }


def check_file(path: Path, as_syntax: str | None = None) -> tuple[Finding, ...]:
    """The findings of ``judge``."""
    return judge(path, as_syntax).findings


def judge(path: Path, as_syntax: str | None = None) -> Judgement:
    """Findings on a DICOM file or a plain video; ``as_syntax``: ``.102``, ``102`` or the whole UID.

    A DICOM video is held against its own transfer syntax unless another is named: stream, header, encapsulation and file;
    frames that are images of their own always against their own. A plain video has none, so one must be named. Everything
    that parses the file runs in a child under limits.

    Raises:
        PolicyError: a plain video without ``as_syntax``, or a name that is no video transfer syntax.
        InputError: the file is no video or cannot be read.
        ResourceLimit: it took more time or memory than allowed.
    """
    from workers.examine import examine

    wanted = None if as_syntax is None else syntax_uid(as_syntax)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UnreadableSource(f"the file cannot be opened: {error.strerror}") from error
    seconds = Settings().describe_seconds + size / SLOWEST_READ
    limits = Limits(seconds=seconds)
    kind, uid, findings = call(examine, path, wanted, limits=limits, what="checking the file")
    return Judgement(kind=kind, transfer_syntax_uid=uid, findings=findings)


def files_below(paths: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    """Each file as named, and every file below each folder, in the order of their names; True: found in a folder."""
    for path in paths:
        if not path.is_dir():
            yield path, False
            continue
        for folder, folders, names in os.walk(path):
            folders.sort()
            yield from ((Path(folder) / name, True) for name in sorted(names))


def syntax_uid(name: str) -> str:
    """The UID of a video transfer syntax named ``.102``, ``102``, ``.102.1`` or by the UID itself.

    Raises:
        PolicyError: none is called so.
    """
    uid = f"{ROOT}.{name.strip().removeprefix(ROOT).removeprefix('.')}"
    if is_video(uid):
        return uid
    raise PolicyError(
        f"{name[:64]!r} names no video transfer syntax",
        hint="Name one of .100 to .108, or a fragmentable one such as .102.1.",
    )
