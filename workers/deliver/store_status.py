"""What an archive's answer to a C-STORE means (PS3.4 B.2.3 and PS3.7 9.1.1.1.9, C): arrived, try later, or never."""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import DestinationRefused, DestinationUnavailable

SUCCESS = 0x0000
DUPLICATE = 0x0111
PROCESSING_FAILURE = 0x0110
RESOURCE_LIMITATION = 0x0213

_WARNINGS = {
    0x0001: "requested optional attributes are not supported",
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


@dataclass(frozen=True)
class Judgement:
    """An answer that keeps the object."""

    proof: str
    warning: str = ""  # why the object should be read back before it counts as arrived; empty: no reason


def judge(status: int) -> Judgement:
    """What a status proves. A warning is no failure and no plain success: the archive kept an object, but says that it
    changed or doubts ours, or that it had one under this UID before; so it is named, and to be read back.

    Raises:
        DestinationUnavailable: out of resources, or a processing failure: another try may succeed.
        DestinationRefused: the archive does not want this object.
    """
    text = f"status {status:04X}"
    if status == SUCCESS:
        return Judgement(text)
    if status == DUPLICATE:
        return Judgement(f"{text} (already there)", "the archive had an object under this SOP Instance UID before")
    if status in _WARNINGS or status >> 12 == 0xB:
        name = _WARNINGS.get(status, "warning")
        return Judgement(f"{text} ({name})", f"the archive stored the object with a warning: {name} ({text})")
    if status >> 8 == _OUT_OF_RESOURCES or status == RESOURCE_LIMITATION:
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
