"""What causes and kinds of orders are called on the page, and what a person can do about them. Pure."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from common import errors
from orchestrator.causes import GATE

_METRICS = {
    "psnr_y": "PSNR of luma",
    "psnr_cb": "PSNR of blue chroma",
    "psnr_cr": "PSNR of red chroma",
    "ssim": "SSIM",
    "vmaf": "VMAF",
    "picture": "the picture itself",
}

KINDS = {
    "describe": "reading",
    "transcode": "transcoding",
    "split": "looking for cuts",
    "chunk": "encoding a part",
    "assemble": "joining parts",
    "deliver": "delivering",
    "commit": "asking for commitment",
    "count": "counting at the archive",
    "read": "reading back",
}


@dataclass(frozen=True)
class Cause:
    """One cause in words: what happened, and who can do something about it."""

    title: str
    advice: str


def cause(code: str) -> Cause:
    """A cause of the ledger in words."""
    if code.startswith(GATE):
        metric = code.removeprefix(GATE)
        name = _METRICS.get(metric, metric.upper().replace("_", " "))
        return Cause(f"Quality gate missed: {name}", "Look at the worst frames; then accept, or try another profile.")
    if code == "gate":
        return Cause("Quality gate missed", "Look at the worst frames; then accept, or try another profile.")
    error = getattr(errors, code, None)
    if inspect.isclass(error) and issubclass(error, errors.CinefarmError):
        return Cause(_sentence(error), error.default_hint or _ACTORS[error.actor])
    if code == "WorkerLost":
        return Cause("The worker died while it worked on this", "Look at the worker's log and memory, then try again.")
    return Cause(f"Not conforming: {code}", "Nothing that breaks the standard leaves: try another profile.")


_ACTORS = {
    errors.Actor.INPUT: "Mend or replace the source file, then try again.",
    errors.Actor.POLICY: "Change the mapping, the profile or the destination.",
    errors.Actor.ENVIRONMENT: "Repair the machine or the peer, then try again.",
    errors.Actor.US: "Report this as a fault of Cinefarm; the item is kept.",
}


def _sentence(error: type[errors.CinefarmError]) -> str:
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in error.__name__).strip()
    return words.capitalize()
