"""The tables of docs/sop-classes.md, made from common.dicom.sop_classes: ``python -m common.dicom.sop_class_page docs/sop-classes.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from common.dicom.sop_classes import (
    GREY_STAYS,
    MODALITY_CLASS,
    NO_MODALITY,
    NOT_MOMENTS,
    OTHER,
    REQUEST_NAMES,
    SOURCE_RULES,
    VIDEO_CLASSES,
    video_class,
)

BEGIN = "<!-- begin of the tables made by common.dicom.sop_class_page -->"
END = "<!-- end of the tables -->"


def tables() -> str:
    """What is written, what a DICOM source becomes, and what a plain clip becomes, as Markdown."""
    names = {uid: name for name, uid in REQUEST_NAMES.items()}
    written = [(c.name, c.uid, c.modality, names.get(c.uid, ""), c.clause) for c in VIDEO_CLASSES]
    sources = [(r.source_name, r.source_uid, video_class(r.target_uid).name, r.reason) for r in SOURCE_RULES]
    sources.append(("Multi-frame Grayscale Byte SC, MPEG-2", "", "the same", GREY_STAYS))
    sources.append(("any other", "", "Multi-frame True Color SC", OTHER))
    modalities = [(modality, video_class(uid).name) for modality, uid in MODALITY_CLASS.items()]
    modalities += [("any other", "Multi-frame True Color SC"), ("none", f"Video Endoscopic: {NO_MODALITY}")]
    return "\n\n".join(
        (
            "## What Cinefarm writes",
            _table(("SOP class", "UID", "Modality of a plain clip", "name in a request", "IOD"), written),
            "## What a DICOM source becomes",
            _table(("source", "UID", "becomes", "why"), sources),
            "## What never becomes video",
            "Their frames are places, tiles or measurements, not moments; such an item fails with this reason:",
            _table(("source", "UID"), [(name, uid) for uid, name in NOT_MOMENTS.items()]),
            "## What a plain clip becomes",
            "The class that the job or its row asks for; else by the row's Modality:",
            _table(("Modality", "becomes"), modalities),
        )
    )


def with_tables(page: str) -> str:
    """The page with its tables made anew.

    Raises:
        ValueError: the page lacks the marks that the tables stand between.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page lacks the marks of its tables")
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
