"""The confusion table of `cinefarm check` and dciodvfy over the corpus, as Markdown: ``make confusion > docs/confusion.md``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from support.corpus.case import UNREADABLE, Case
from support.corpus.cases import CASES
from support.corpus.judges import Verdict, cinefarm, dciodvfy, dciodvfy_version
from support.corpus.streams import Workshop, ffmpeg_version

_HEAD = """# Confusion table

Made by `make confusion > docs/confusion.md`; do not edit. Cinefarm {cinefarm}, {dciodvfy}, streams
by FFmpeg {ffmpeg}, files by pydicom {pydicom}.

Every file of the corpus (`tests/support/corpus`) is made on the spot and breaks one rule, or none. `cinefarm check` and
dciodvfy read the same files, each by its command line. The test `tests/integration/corpus` demands that `cinefarm check`
gives exactly the rule named here (and the companions that the same fault breaks unavoidably) and nothing on a legal file.

## Sums

*Caught* means for Cinefarm: the very rule is among the findings. For dciodvfy it means: any `Error -` line, whatever it
says. *Cannot read*: it does not know the transfer syntax (.107, .108 and the fragmentable ones), or it crashed.

Two things to bear in mind. The corpus and the rules grew beside each other, so a full score says that the rules do what they
promise, not that there is no other fault to find. And dciodvfy never set out to read video: it judges the header alone.

{sums}

## Case by case

A rule in *italics* is a warning: lawful, but a person should know. “–” means that nothing was found.

"""


@dataclass(frozen=True)
class Row:
    """One case and what both judges said."""

    case: Case
    ours: Verdict
    other: Verdict

    def cells(self) -> tuple[str, ...]:
        return (
            f"`{self.case.name}`",
            self.case.about,
            f".{self.case.instance.syntax}",
            _expected(self.case),
            _ours(self.case, self.ours),
            _other(self.other),
        )


def judged(folder: Path) -> tuple[Row, ...]:
    """The whole corpus made into this folder and read by both."""
    workshop, paths = Workshop(folder), []
    for case in CASES:
        paths.append(folder / f"{case.name}.dcm")
        paths[-1].write_bytes(case.build(workshop))
    verdicts, _ = cinefarm(paths)
    others = (dciodvfy(path, case.instance.syntax) for path, case in zip(paths, CASES, strict=True))
    return tuple(Row(*row) for row in zip(CASES, verdicts, others, strict=True))


def page(rows: tuple[Row, ...]) -> str:
    """docs/confusion.md."""
    head = _HEAD.format(
        cinefarm=version("cinefarm"),
        dciodvfy=f"dciodvfy {dciodvfy_version()}",
        ffmpeg=ffmpeg_version(),
        pydicom=version("pydicom"),
        sums="\n".join(_sums(rows)),
    )
    titles = ("case", "what it breaks or shows", "syntax", "must be found", "Cinefarm", "dciodvfy")
    return head + "\n".join(_table(titles, (row.cells() for row in rows))) + "\n"


def _sums(rows: tuple[Row, ...]) -> Iterator[str]:
    illegal = [row for row in rows if row.case.rule and row.case.weight == "error"]
    warned = [row for row in rows if row.case.rule and row.case.weight == "warning"]
    legal = [row for row in rows if not row.case.rule]
    titles = ("", "files", "Cinefarm", "dciodvfy")
    caught = [sum(row.ours.catches(row.case) for row in some) for some in (illegal, warned)]
    alarms = sum(row.ours.state != "clean" for row in legal)
    alone = sum(row.ours.exact(row.case) for row in illegal + warned)
    yield from _table(
        titles,
        [
            ("illegal: caught (true positive)", str(len(illegal)), str(caught[0]), _count(illegal, "findings")),
            ("illegal: missed (false negative)", "", str(len(illegal) - caught[0]), _count(illegal, "clean")),
            ("illegal: cannot read", "", "0", _count(illegal, "unread", "crashed")),
            ("lawful but odd: warned of", str(len(warned)), str(caught[1]), _count(warned, "findings")),
            ("lawful but odd: not warned of", "", str(len(warned) - caught[1]), _count(warned, "clean")),
            ("lawful but odd: cannot read", "", "0", _count(warned, "unread", "crashed")),
            ("legal: clean (true negative)", str(len(legal)), str(len(legal) - alarms), _count(legal, "clean")),
            ("legal: false alarm (false positive)", "", str(alarms), _count(legal, "findings")),
            ("legal: cannot read", "", "0", _count(legal, "unread", "crashed")),
            ("found with nothing beside it", str(len(illegal + warned)), str(alone), "not asked"),
        ],
    )


def _count(rows: list[Row], *states: str) -> str:
    return str(sum(row.other.state in states for row in rows))


def _table(titles: tuple[str, ...], rows: object) -> Iterator[str]:
    yield "| " + " | ".join(titles) + " |"
    yield "|" + "---|" * len(titles)
    for cells in rows:
        yield "| " + " | ".join(cells) + " |"


def _expected(case: Case) -> str:
    if case.rule is None:
        return "nothing"
    if case.rule == UNREADABLE:
        return "a refusal: unreadable"
    rule = f"`{case.rule}`" if case.weight == "error" else f"*`{case.rule}`*"
    return " + ".join((rule, *(f"`{each}`" for each in case.companions)))


def _ours(case: Case, verdict: Verdict) -> str:
    if verdict.exact(case):
        return {"clean": "–", "unread": "refused"}.get(verdict.state, "found")
    said = "refused" if verdict.state == "unread" else ", ".join(f"`{rule}`" for rule in verdict.rules) or "–"
    return f"**{said}**"


def _other(verdict: Verdict) -> str:
    if verdict.state != "findings":
        return {"clean": "–", "unread": "cannot read", "crashed": "crashed"}[verdict.state]
    more = f" (and {len(verdict.rules) - 1} more)" if len(verdict.rules) > 1 else ""
    return verdict.rules[0].replace("|", "\\|").replace("<", "&lt;") + more


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="cinefarm-corpus-") as name:
        sys.stdout.write(page(judged(Path(name))))
