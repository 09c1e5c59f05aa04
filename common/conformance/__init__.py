"""Conformance: the rules of PS3.5 8.2.5–8.2.12 and PS3.3 over a described stream, a header and its encapsulation.

The prefix of a rule's id says what mends an error: ``audio.`` new sound or none, ``container.`` a new container,
``stream.`` nothing but encoding, ``header.`` and ``encapsulation.`` a new DICOM file around the same stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from common.conformance.audio import AUDIO_RULES
from common.conformance.bluray import BLURAY_RULES
from common.conformance.case import HeaderCase, ShownTimes
from common.conformance.coding import CODING_RULES
from common.conformance.colour import COLOUR_RULES
from common.conformance.container import CONTAINER_RULES
from common.conformance.encapsulation import ENCAPSULATION_RULES, Encapsulation
from common.conformance.file import FILE_RULES, FileCase
from common.conformance.frames import FRAME_RULES, FramesCase
from common.conformance.groups import GROUP_RULES
from common.conformance.header import GENERAL_RULES, HEADER_RULES
from common.conformance.level import LEVEL_RULES
from common.conformance.lossy import LOSSY_RULES
from common.conformance.mpeg2 import MPEG2_RULES
from common.conformance.rules import Rule, StreamCase, run
from common.conformance.stream import STREAM_RULES
from common.conformance.timing import MULTI_FRAME_RULES, TIMING_RULES
from common.dicom.transfer_syntaxes import by_uid
from common.media import Description
from common.orders import Finding

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = [
    "DESCRIPTION_RULES",
    "ENCAPSULATION_RULES",
    "FILE_RULES",
    "FRAMES_RULES",
    "VIDEO_HEADER_RULES",
    "Encapsulation",
    "FileCase",
    "FramesCase",
    "ShownTimes",
    "check_coded_frames",
    "check_encapsulation",
    "check_file_around",
    "check_frames",
    "check_header",
    "check_result",
    "check_stream",
]

DESCRIPTION_RULES: tuple[Rule[StreamCase], ...] = (
    *STREAM_RULES,
    *CODING_RULES,
    *MPEG2_RULES,
    *LEVEL_RULES,
    *COLOUR_RULES,
    *BLURAY_RULES,
    *CONTAINER_RULES,
    *AUDIO_RULES,
)
"""All that can be said of a stream and its container alone."""

VIDEO_HEADER_RULES: tuple[Rule[HeaderCase], ...] = (
    *GENERAL_RULES,
    *HEADER_RULES,
    *GROUP_RULES,
    *TIMING_RULES,
    *LOSSY_RULES,
)
"""All that can be said of a header around a stream."""

FRAMES_RULES: tuple[Rule[FramesCase], ...] = (*GENERAL_RULES, *GROUP_RULES, *MULTI_FRAME_RULES, *FRAME_RULES)
"""All that can be said of frames that are images of their own, and of the header around them."""


def check_stream(description: Description, transfer_syntax_uid: str) -> tuple[Finding, ...]:
    """Findings on the stream, its container and its sound as they lie, were they stored under this transfer syntax.

    Raises:
        NoLegalPath: the UID is no video transfer syntax.
    """
    syntax = by_uid(transfer_syntax_uid)
    return tuple(run(DESCRIPTION_RULES, StreamCase(description, syntax), syntax))


def check_header(
    header: Dataset, description: Description, transfer_syntax_uid: str, shown: ShownTimes | None = None
) -> tuple[Finding, ...]:
    """Findings on a header around the stream that ``description`` describes: the one inside the DICOM file, not its source.

    ``shown``: when the stream's frames are shown, where that is known; without it a vector is held against the mean rate only.

    Raises:
        NoLegalPath: the UID is no video transfer syntax.
    """
    syntax = by_uid(transfer_syntax_uid)
    return tuple(run(VIDEO_HEADER_RULES, HeaderCase(header, description, syntax, shown), syntax))


def check_encapsulation(encapsulation: Encapsulation, transfer_syntax_uid: str) -> tuple[Finding, ...]:
    """Findings on how the stream lies in Pixel Data.

    Raises:
        NoLegalPath: the UID is no video transfer syntax.
    """
    syntax = by_uid(transfer_syntax_uid)
    return tuple(run(ENCAPSULATION_RULES, encapsulation, syntax))


def check_frames(case: FramesCase) -> tuple[Finding, ...]:
    """Findings on frames that are images of their own, and on the header around them."""
    return tuple(run(FRAMES_RULES, case))


def check_coded_frames(header: Dataset, transfer_syntax_uid: str, lengths: Sequence[int]) -> tuple[Finding, ...]:
    """Findings on a header around coded frames of so many bytes that are about to be packaged, a fragment each."""
    return tuple(run(FRAME_RULES, FramesCase.of_coded(header, transfer_syntax_uid, lengths)))


def check_file_around(case: FileCase) -> tuple[Finding, ...]:
    """Findings on the file around a data set."""
    return tuple(run(FILE_RULES, case))


def check_result(
    header: Dataset, description: Description, transfer_syntax_uid: str, shown: ShownTimes | None = None
) -> tuple[Finding, ...]:
    """Findings on a result about to be packaged: its stream, then the header made for it.

    Raises:
        NoLegalPath: the UID is no video transfer syntax.
    """
    around = check_header(header, description, transfer_syntax_uid, shown)
    return check_stream(description, transfer_syntax_uid) + around
