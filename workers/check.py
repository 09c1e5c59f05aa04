"""Hold a file against the rules of its transfer syntax, or of the one it is meant for."""

from __future__ import annotations

from pathlib import Path

from common.conformance import Encapsulation, check_encapsulation, check_header, check_stream
from common.dicom.transfer_syntaxes import ROOT, is_video
from common.errors import InternalFault, PolicyError
from common.media import Description, Kind
from common.orders import Finding
from common.process import Limits, call
from common.settings import Settings


def check_file(path: Path, as_syntax: str | None = None) -> tuple[Finding, ...]:
    """Findings on a DICOM file or a plain video; ``as_syntax``: ``.102``, ``102`` or the whole UID.

    A DICOM video is held against its own transfer syntax unless another is named: stream, header and encapsulation. A plain
    video has none, so one must be named. Everything that parses the file runs in a child under limits.

    Raises:
        PolicyError: a plain video without ``as_syntax``, or a name that is no video transfer syntax.
        InputError: the file is no video or cannot be read.
        ResourceLimit: it took more time or memory than allowed.
    """
    from workers.describe import describe_sandboxed

    wanted = None if as_syntax is None else syntax_uid(as_syntax)
    settings = Settings()
    description = describe_sandboxed(path, path.suffix.lower(), settings)
    if description.kind is Kind.DICOM_FRAMES:
        return (_no_video(description),)
    if description.kind is Kind.DICOM_VIDEO:
        limits = Limits(seconds=settings.describe_seconds, memory_bytes=settings.child_memory_bytes)
        return call(check_dicom, path, description, wanted, limits=limits, what="checking the header")
    if wanted is None:
        raise PolicyError(
            "a plain video file has no transfer syntax to be held against",
            hint="Name one with --as, for example --as .102 (H.264 High Profile, Level 4.1).",
        )
    return check_stream(description, wanted)


def check_dicom(path: Path, description: Description, wanted: str | None = None) -> tuple[Finding, ...]:
    """Findings on stream, header and encapsulation of a DICOM video as described; ``wanted``: UID, by default its own.

    Raises:
        InputError: see common.dicom.pixel_stream.read_header.
        NoLegalPath: the UID is no video transfer syntax.
        InternalFault: the description is not that of a DICOM file.
    """
    from common.dicom.pixel_stream import read_header

    if description.dicom is None:
        raise InternalFault("only a DICOM file has a header to be checked")
    uid = wanted or description.dicom.transfer_syntax_uid
    header = read_header(path)
    return (
        *check_stream(description, uid),
        *check_header(header.dataset, description, uid),
        *check_encapsulation(Encapsulation.of(header, uid), uid),
    )


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


def _no_video(description: Description) -> Finding:
    uid = description.dicom.transfer_syntax_uid if description.dicom else ""
    return Finding(
        severity="note",
        rule="stream.frames",
        clause="PS3.5 8.2.5–8.2.11",
        found=f"a sequence of images under transfer syntax {uid}",
        required="nothing: the rules for video do not apply",
        remedy="`cinefarm plan` says what it would become.",
    )
