"""How people write what a destination takes: ``DEST profile=orthanc plays-in=ohif syntaxes=.102 max=4GiB`` (docs/destinations.md)."""

from __future__ import annotations

import re
from typing import Any

from common.destinations import parse_destination
from common.dicom.transfer_syntaxes import ROOT, by_uid
from common.errors import NoLegalPath, PolicyError
from common.settings import Settings
from orchestrator.acceptance import Acceptance
from orchestrator.destinations import CONTAINERS, Library, size_of

ACCEPT_FORM = (
    "Write it like 'dicom://PACS@host:104 profile=orthanc plays-in=ohif,weasis syntaxes=.102,.104 containers=mp4 "
    "fragmentable=no max=4GiB commitment=yes verify=count pdu=128KiB'; what is left out is as the profile says, or not limited."
)

_FIRST = re.compile(r"\s+[a-z-]+=")
_SWITCH = {"yes": True, "no": False}
_COMMITMENT = ("yes", "no", "unknown")
_VERIFY = ("none", "count", "sample", "all")
_SMALLEST_PDU = 4096  # bytes; PS3.8 D.1 allows any, peers do not


def parse_acceptance(text: str, library: Library | None = None) -> Acceptance:
    """``DEST word=… word=…``, as ``--accepts`` takes it: the profile gives defaults, stated words win, viewers only add demands.

    ``library``: the profiles; default: the built-in ones and those of the settings.

    Raises:
        PolicyError: the text is not understood, or there is no such profile.
    """
    at = next((found.start() for found in _FIRST.finditer(text)), len(text))  # a folder's name may hold spaces
    to, words = text[:at], text[at:].split()
    pairs = [word.partition("=") for word in words]
    given = {name: value for name, _, value in pairs}
    if not words or len(given) != len(words) or not given.keys() <= {*_READERS, "profile", "plays-in"}:
        raise PolicyError(f"what {to} accepts is not understood", hint=ACCEPT_FORM)
    fields: dict[str, Any] = {}
    if given.keys() & {"profile", "plays-in"}:
        library = library or Library.of(Settings())
        fields |= library.archive(given["profile"]).acceptance() if "profile" in given else {}
        fields |= {"viewers": tuple(map(library.viewer, given["plays-in"].split(",")))} if "plays-in" in given else {}
    fields |= dict(_READERS[name](value) for name, value in given.items() if name in _READERS)
    return Acceptance.of(parse_destination(to).uri).model_copy(update=fields)


def _uids(text: str) -> tuple[str, ...]:
    uids = tuple(f"{ROOT}{word}" if word.startswith(".") else word for word in text.split(","))
    try:
        for uid in uids:
            by_uid(uid)
    except NoLegalPath as error:
        raise PolicyError(error.message, hint=ACCEPT_FORM) from error
    return uids


def _syntaxes(text: str) -> tuple[str, object]:
    return "syntaxes", frozenset(_uids(text))


def _prefers(text: str) -> tuple[str, object]:
    return "prefers", _uids(text)


def _containers(text: str) -> tuple[str, object]:
    words = frozenset(text.split(","))
    if not words <= CONTAINERS:
        raise PolicyError(
            f"{text} is no container of DICOM video", hint=f"Containers: {', '.join(sorted(CONTAINERS))}."
        )
    return "containers", words


def _fragmentable(text: str) -> tuple[str, object]:
    return "fragmentable", _SWITCH[_one_of("fragmentable", text, tuple(_SWITCH))]


def _max(text: str) -> tuple[str, object]:
    return "max_bytes", size_of(text)


def _commitment(text: str) -> tuple[str, object]:
    return "commitment", _one_of("commitment", text, _COMMITMENT)


def _verify(text: str) -> tuple[str, object]:
    return "verify", _one_of("verify", text, _VERIFY)


def _pdu(text: str) -> tuple[str, object]:
    size = size_of(text)
    if size < _SMALLEST_PDU:
        raise PolicyError(f"pdu={text} is too short", hint=f"A PDU has at least {_SMALLEST_PDU} bytes: pdu=128KiB.")
    return "pdu_bytes", size


def _one_of(name: str, text: str, words: tuple[str, ...]) -> str:
    if text not in words:
        raise PolicyError(f"{name}={text} is not understood", hint=f"Write {', '.join(words[:-1])} or {words[-1]}.")
    return text


_READERS = {
    "syntaxes": _syntaxes,
    "prefers": _prefers,
    "containers": _containers,
    "fragmentable": _fragmentable,
    "max": _max,
    "commitment": _commitment,
    "verify": _verify,
    "pdu": _pdu,
}
