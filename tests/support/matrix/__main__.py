"""The page of the matrix on standard output, every chosen cell made and proven: ``make matrix > docs/matrix.md``."""

from __future__ import annotations

import json
import socket
import sys
import tempfile
from pathlib import Path

from support.matrix.cells import CHOSEN, Shelf
from support.matrix.proofs import Maker, proven
from support.matrix.table import page
from support.orthanc import serve


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(folder: Path) -> None:
    """Make, prove, print. Raises: AssertionError: a proof failed, and there is no page."""
    shelf = Shelf(_new(folder / "sources"))
    maker = Maker(shelf, _new(folder / "cells"))
    with serve(_new(folder / "orthanc"), free_port(), free_port()) as orthanc:
        release = json.loads(orthanc.get("/system"))["Version"]
        proofs = {}
        for source, target in CHOSEN:
            sys.stderr.write(f"{source} {target}\n")
            proofs[source, target] = proven(maker.cell(source, target), orthanc, _new(folder / f"{source}{target}"))
    sys.stdout.write(page(shelf, proofs, release))


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="cinefarm-matrix-") as name:
        main(Path(name))
