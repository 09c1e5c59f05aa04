"""The matrix as Markdown, and what a page says read back from it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version

from support.corpus.judges import dciodvfy_version
from support.corpus.streams import ffmpeg_version
from support.matrix.cells import FRAMES, TWINS, VIDEO, Shelf, by_name
from support.matrix.proofs import INHERENT
from support.matrix.sources import SOURCES

Proofs = Mapping[tuple[str, str], str]
"""(source, target) → the letters of the proofs that passed."""

_HEAD = """# Matrix: every source, every target

Made by `make matrix > docs/matrix.md`; do not edit. Cinefarm {cinefarm}, streams by FFmpeg {ffmpeg}.
Judges: dciodvfy ({dciodvfy}), PyAV {pyav}, pydicom {pydicom}, Orthanc {orthanc}.

A cell is what `cinefarm plan --syntax TARGET` decides for the source: *keep* (to the byte), *rewrap* (the bitstream is copied),
*encode*, *frames* (each frame coded by itself), or – with the rule that closed the last path (docs/conformance-rules.md,
docs/plan.md, and below). Behind it stand the proofs of the cells that are really made, here and in
`tests/integration/matrix`, for every target from at least three different sources. They end in an error where one fails.

| proof | what passed |
|---|---|
| C | `cinefarm check`: no error, and no warning but those listed below |
| D | dciodvfy: no `Error` line. It knows neither .107, .108 and .201 nor the fragmentable twins |
| P | PyAV (video) or pydicom (frames) decodes as many frames as the source has and Number of Frames says |
| O | Orthanc takes it by C-STORE and gives the very bytes of the data set back |
| o | Orthanc 1.10 refuses the transfer syntax, as it is known to; nothing else was asked of it |

| rule beside those of the checker | what it says |
|---|---|
| `target.…` | the encoder, or the decoder before it, cannot do it; for .106 there is none: docs/targets.md |
| `frames.bits`, `.rotation`, `.scan`, `.views` | neither the decoder, which gives 8-bit RGB, nor the coder holds it: docs/frames.md |

## The sources

"""

_TWINS = """
## The fragmentable twins

Nobody asks for them: they are taken when one fragment cannot hold the stream. Here the limit of a fragment is a third of the
stream's length instead of 4 GiB, and the stream is that of the cell above.

"""

_WARNINGS = """
## Warnings that the source brings

"""


def page(shelf: Shelf, proofs: Proofs, orthanc: str) -> str:
    """The whole page. ``orthanc``: its version."""
    head = _HEAD.format(
        cinefarm=version("cinefarm"),
        ffmpeg=ffmpeg_version(),
        dciodvfy=dciodvfy_version(),
        pyav=version("av"),
        pydicom=version("pydicom"),
        orthanc=orthanc,
    )
    sources = _table(("source", "what it is"), ((f"`{source.name}`", source.about) for source in SOURCES))
    twins = _table(("source", *TWINS), _twin_rows(shelf, proofs))
    warnings = _table(
        ("source", "target", "rule", "why it stays"),
        (
            (f"`{name}`", target, f"`{rule}`", why)
            for (name, target), rules in INHERENT.items()
            for rule, why in rules.items()
        ),
    )
    return "".join(
        (
            head,
            sources,
            "\n## Video\n\n",
            planned_table(shelf, VIDEO, proofs),
            "\n## Frame by frame\n\n",
            planned_table(shelf, FRAMES, proofs),
            _TWINS + twins,
            _WARNINGS + warnings,
        )
    )


def planned_table(shelf: Shelf, targets: Sequence[str], proofs: Proofs) -> str:
    """All sources × some targets: path or rule, and the proofs of those that were made."""
    return _table(("source", *targets), (_row(shelf, source.name, targets, proofs) for source in SOURCES))


def shown(text: str) -> dict[tuple[str, str], tuple[str, str]]:
    """(source, target) → (path or rule, proofs) of every cell of a page."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    columns: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| source |"):
            columns = cells[1:]
        elif columns and (name := re.match(r"\| `([^`]+)` \|", line)):
            pairs = zip(columns, cells[1:], strict=True)
            found |= {(name[1], column): _read(cell) for column, cell in pairs if column[0] in ".R"}
    return found


def _row(shelf: Shelf, name: str, targets: Sequence[str], proofs: Proofs) -> Iterator[str]:
    yield f"`{name}`"
    for target in targets:
        letters = proofs.get((name, target), "")
        yield shelf.step(by_name(name), target).words + (f" **{letters}**" if letters else "")


def _twin_rows(shelf: Shelf, proofs: Proofs) -> Iterator[Iterator[str]]:
    for source in SOURCES:
        if any(source.name in names for names in TWINS.values()):
            name, *cells = _row(shelf, source.name, tuple(TWINS), proofs)
            made = (source.name in names for names in TWINS.values())
            yield iter((name, *(cell if there else "" for cell, there in zip(cells, made, strict=True))))


def _read(cell: str) -> tuple[str, str]:
    words, _, letters = cell.partition(" **")
    return words, letters.strip("*")


def _table(titles: Sequence[str], rows: Iterator[Iterator[str]] | Iterator[tuple[str, ...]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
