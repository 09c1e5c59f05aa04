"""What the listener takes: storage classes that hold video or many frames, by the names that rules use, and their syntaxes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from common.dicom.frame_syntaxes import KEPT_AS_THEY_ARE
from common.dicom.scan import BIG_ENDIAN, IMPLICIT
from common.dicom.transfer_syntaxes import VIDEO_SYNTAXES, is_video
from common.errors import PolicyError

_STORAGE = "1.2.840.10008.5.1.4.1.1"

CLASSES: dict[str, str] = {
    "video-endoscopic": f"{_STORAGE}.77.1.1.1",
    "video-microscopic": f"{_STORAGE}.77.1.2.1",
    "video-photographic": f"{_STORAGE}.77.1.4.1",
    "vl-endoscopic": f"{_STORAGE}.77.1.1",
    "vl-microscopic": f"{_STORAGE}.77.1.2",
    "vl-photographic": f"{_STORAGE}.77.1.4",
    "ophthalmic-photography-8-bit": f"{_STORAGE}.77.1.5.1",
    "ophthalmic-photography-16-bit": f"{_STORAGE}.77.1.5.2",
    "ultrasound-multiframe": f"{_STORAGE}.3.1",
    "ultrasound-multiframe-retired": f"{_STORAGE}.3",
    "ultrasound": f"{_STORAGE}.6.1",
    "ultrasound-retired": f"{_STORAGE}.6",
    "secondary-capture": f"{_STORAGE}.7",
    "secondary-capture-multiframe-bit": f"{_STORAGE}.7.1",
    "secondary-capture-multiframe-byte": f"{_STORAGE}.7.2",
    "secondary-capture-multiframe-word": f"{_STORAGE}.7.3",
    "secondary-capture-multiframe-colour": f"{_STORAGE}.7.4",
    "x-ray-angiographic": f"{_STORAGE}.12.1",
    "x-ray-angiographic-enhanced": f"{_STORAGE}.12.1.1",
    "x-ray-angiographic-biplane-retired": f"{_STORAGE}.12.3",
    "x-ray-radiofluoroscopic": f"{_STORAGE}.12.2",
    "x-ray-radiofluoroscopic-enhanced": f"{_STORAGE}.12.2.1",
}
"""Name → SOP Class UID (PS3.6 table A-1). Classes whose frames are no moments (slices, tiles, measurements) are none of ours."""

_NAME_OF = {uid: name for name, uid in CLASSES.items()}

SYNTAXES: tuple[str, ...] = (
    *(syntax.uid for syntax in VIDEO_SYNTAXES),
    *KEPT_AS_THEY_ARE,
    "1.2.840.10008.1.2.1",
    IMPLICIT,
    BIG_ENDIAN,
)
"""Transfer syntaxes whose pixel data we can read."""


def class_name(uid: str) -> str:
    """The name that rules use, else the UID itself."""
    return _NAME_OF.get(uid, uid)


def chosen_classes(patterns: Iterable[str]) -> tuple[str, ...]:
    """UIDs of the classes that names, patterns of names (``video-*``) and UIDs name.

    Raises:
        PolicyError: a name or pattern fits none.
    """
    chosen: list[str] = []
    for pattern in patterns:
        if pattern[:1].isdigit():
            chosen.append(pattern)
            continue
        fitting = [uid for name, uid in CLASSES.items() if fnmatchcase(name, pattern)]
        if not fitting:
            raise PolicyError(
                f"no SOP class that we take is named {pattern!r}",
                hint=f"Known are: {', '.join(CLASSES)}; or write a UID.",
            )
        chosen.extend(fitting)
    return tuple(dict.fromkeys(chosen))


def chosen_syntax(proposed: Sequence[str]) -> str | None:
    """Of the transfer syntaxes of one presentation context the one we take; None: none.

    A video syntax first: whoever proposes one has video. Then the order of the requestor, who puts first what it would rather
    send: taking a lossy syntax that it only offers would make it compress.
    """
    taken = [uid for uid in proposed if uid in SYNTAXES]
    return next((uid for uid in taken if is_video(uid)), taken[0] if taken else None)
