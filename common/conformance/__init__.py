"""Conformance: the rules of PS3.5 8.2.5–8.2.12 and PS3.3 over a described stream, a header and its encapsulation.

The prefix of a rule's id says what mends an error: ``audio.`` new sound or none, ``container.`` a new container,
``stream.`` nothing but encoding, ``header.`` and ``encapsulation.`` a new DICOM file around the same stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.conformance.audio import AUDIO_RULES
from common.conformance.bluray import BLURAY_RULES
from common.conformance.coding import CODING_RULES
from common.conformance.colour import COLOUR_RULES
from common.conformance.container import CONTAINER_RULES
from common.conformance.encapsulation import ENCAPSULATION_RULES, Encapsulation
from common.conformance.header import HEADER_RULES, HeaderCase
from common.conformance.level import LEVEL_RULES
from common.conformance.mpeg2 import MPEG2_RULES
from common.conformance.rules import Rule, StreamCase, run
from common.conformance.stream import STREAM_RULES
from common.dicom.transfer_syntaxes import by_uid
from common.media import Description
from common.orders import Finding

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = [
    "DESCRIPTION_RULES",
    "ENCAPSULATION_RULES",
    "HEADER_RULES",
    "Encapsulation",
    "check_encapsulation",
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


def check_stream(description: Description, transfer_syntax_uid: str) -> tuple[Finding, ...]:
    """Findings on the stream, its container and its sound as they lie, were they stored under this transfer syntax.

    Raises:
        NoLegalPath: the UID is no video transfer syntax.
    """
    syntax = by_uid(transfer_syntax_uid)
    return tuple(run(DESCRIPTION_RULES, StreamCase(description, syntax), syntax))


def check_header(header: Dataset, description: Description, transfer_syntax_uid: str) -> tuple[Finding, ...]:
    """Findings on a header around the stream that ``description`` describes: the one inside the DICOM file, not its source.

    Raises:
        NoLegalPath: the UID is no video transfer syntax.
    """
    syntax = by_uid(transfer_syntax_uid)
    return tuple(run(HEADER_RULES, HeaderCase(header, description, syntax), syntax))


def check_encapsulation(encapsulation: Encapsulation, transfer_syntax_uid: str) -> tuple[Finding, ...]:
    """Findings on how the stream lies in Pixel Data.

    Raises:
        NoLegalPath: the UID is no video transfer syntax.
    """
    syntax = by_uid(transfer_syntax_uid)
    return tuple(run(ENCAPSULATION_RULES, encapsulation, syntax))


def check_result(header: Dataset, description: Description, transfer_syntax_uid: str) -> tuple[Finding, ...]:
    """Findings on a result about to be packaged: its stream, then the header made for it.

    Raises:
        NoLegalPath: the UID is no video transfer syntax.
    """
    return check_stream(description, transfer_syntax_uid) + check_header(header, description, transfer_syntax_uid)
