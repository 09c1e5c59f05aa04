"""What a DICOMweb server says became of an instance that was sent to it (PS3.18 10.5.3 and annex I.2): pure, by its UID."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from common.errors import DestinationRefused
from common.network.dicom_xml import json_of_xml
from common.network.qido import text
from common.network.web import Answer
from workers.deliver.store_status import DUPLICATE, judge

ANSWERS = frozenset({409})
"""Beside 2xx: a status that comes with a receipt."""

_FAILED, _REFERENCED, _OTHER = "00081198", "00081199", "0008119A"
_INSTANCE, _FAILURE_REASON, _WARNING_REASON = "00081155", "00081197", "00081196"
_UNSUPPORTED_SYNTAX = 0xC122  # PS3.18 table I.2-2
_PARTLY = 202


@dataclass(frozen=True)
class Receipt:
    """``proof`` in words. ``doubtful``: stored, but only a look at what the archive has now makes it a proof."""

    proof: str
    doubtful: bool = False
    already: bool = False  # refused as a duplicate: the archive has an instance of this UID


def read_receipt(answer: Answer, sop_instance_uid: str) -> Receipt:
    """The receipt for one instance.

    Raises:
        DestinationUnavailable: the archive failed for now.
        DestinationRefused: the archive did not store it, or under another UID.
    """
    said = f"STOW-RS {answer.status}"
    data_set = _data_set(answer)
    for item in _items(data_set, _FAILED):
        if text(item, _INSTANCE) in {sop_instance_uid, ""}:
            return _failed(_code(item, _FAILURE_REASON), said)
    for item in _items(data_set, _OTHER):
        return _failed(_code(item, _FAILURE_REASON), said)
    stored = {text(item, _INSTANCE): item for item in _items(data_set, _REFERENCED)}
    if sop_instance_uid in stored:
        warning = _code(stored[sop_instance_uid], _WARNING_REASON)
        if warning is None:
            return Receipt(said)
        return Receipt(f"{said}, {judge(warning).proof}", doubtful=True)
    if answer.status in ANSWERS:
        raise DestinationRefused(
            f"the archive did not store the object, and gave no reason ({said})",
            hint="The archive's own log tells why.",
        )
    if stored:
        raise DestinationRefused(
            "the archive stored the object under another SOP Instance UID",
            hint="Switch off in the archive whatever gives new UIDs to what comes by STOW-RS.",
        )
    return Receipt(
        f"{said} without a receipt" if answer.status != _PARTLY else f"{said} without a reason", doubtful=True
    )


def _failed(reason: int | None, said: str) -> Receipt:
    """A failure reason has the meaning of a C-STORE status (PS3.18 table I.2-2)."""
    if reason == DUPLICATE:
        return Receipt(f"{said}, already there", already=True)
    if reason == _UNSUPPORTED_SYNTAX:
        raise DestinationRefused(
            f"the archive refused the object: it does not take its transfer syntax (reason C122, {said})",
            hint="State what it takes: --accepts 'DEST syntaxes=…'.",
        )
    if reason is None:
        raise DestinationRefused(f"the archive refused the object ({said})", hint="The archive's own log tells why.")
    # raises, but for what is no failure
    return Receipt(f"{said}, {judge(reason).proof}", doubtful=True)


def _data_set(answer: Answer) -> dict[str, Any]:
    """Empty where there is nothing that can be read."""
    try:
        if answer.content.lstrip()[:1] == b"<":
            return json_of_xml(answer.content)
        found = json.loads(answer.content or b"{}")
    except (ValueError, RecursionError):
        return {}
    if isinstance(found, list):
        found = found[0] if found else {}
    return found if isinstance(found, dict) else {}


def _items(data_set: dict[str, Any], tag: str) -> Iterator[dict[str, Any]]:
    element = data_set.get(tag)
    items = element.get("Value") if isinstance(element, dict) else None
    yield from (item for item in items or () if isinstance(item, dict))


def _code(item: dict[str, Any], tag: str) -> int | None:
    """A US; some write it as text."""
    try:
        return int(text(item, tag)) & 0xFFFF
    except ValueError:
        return None
