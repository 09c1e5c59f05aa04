"""What an archive's answer to a C-STORE means (PS3.4 B.2.3 and PS3.7 9.1.1.1.9, C): arrived, try later, or never."""

from __future__ import annotations

from common.errors import DestinationRefused, DestinationUnavailable

SUCCESS = 0x0000
DUPLICATE = 0x0111
PROCESSING_FAILURE = 0x0110

_WARNINGS = {
    0x0001: "attribute list error",
    0x0107: "attribute list error",
    0x0116: "attribute value out of range",
    0xB000: "coercion of data elements",
    0xB006: "elements discarded",
    0xB007: "data set does not match SOP class",
}

_FAILURES = {
    PROCESSING_FAILURE: "processing failure",
    0x0117: "invalid SOP Instance UID",
    0x0122: "SOP class not supported",
    0x0124: "not authorised",
    0x0210: "duplicate invocation",
    0x0211: "unrecognised operation",
    0x0212: "mistyped argument",
}

_OUT_OF_RESOURCES = 0xA7
_DATA_SET_MISMATCH = 0xA9
_CANNOT_UNDERSTAND = 0xC


def proof_of(status: int) -> str:
    """The proof that a status gives. A warning is no failure and no plain success: the archive kept the object but said
    that it changed or doubted something, so the proof names it.

    Raises:
        DestinationUnavailable: out of resources, or a processing failure: another try may succeed.
        DestinationRefused: the archive does not want this object.
    """
    text = f"status {status:04X}"
    if status == SUCCESS:
        return text
    if status == DUPLICATE:
        return f"{text} (already there)"
    if status in _WARNINGS or status >> 12 == 0xB:
        return f"{text} ({_WARNINGS.get(status, 'warning')})"
    if status >> 8 == _OUT_OF_RESOURCES:
        raise DestinationUnavailable(
            f"the archive is out of resources ({text})",
            hint="Make room in the archive, and run the same command again.",
        )
    if status == PROCESSING_FAILURE:
        raise DestinationUnavailable(
            f"the archive failed while it stored the object ({text})", hint="The archive's own log tells why."
        )
    raise DestinationRefused(
        f"the archive refused the object: {_failure(status)} ({text})", hint="The archive's own log tells why."
    )


def _failure(status: int) -> str:
    if status >> 8 == _DATA_SET_MISMATCH:
        return "data set does not match SOP class"
    if status >> 12 == _CANNOT_UNDERSTAND:
        return "it cannot understand the object"
    return _FAILURES.get(status, "no reason that the standard knows")
