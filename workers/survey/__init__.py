"""Collects what rules ask of the coded bytes: sequence headers wherever they come up, and how the first pictures are coded.

No decoding: the first packets are read through, of the others only the headers of key frames, where sequences may change.
"""

from __future__ import annotations

from typing import Protocol

from common.media import Coding
from workers.survey.h264 import H264Survey
from workers.survey.hevc import HevcSurvey
from workers.survey.mpeg2 import Mpeg2Survey
from workers.survey.pictures import Light

__all__ = ["Light", "Survey", "survey_of"]


class Survey(Protocol):
    """Looks at packets in coded order."""

    light: Light

    def picture(self, packet: bytes) -> None:
        """Read one of the first packets through."""

    def key(self, packet: bytes) -> None:
        """Read the headers of a key frame."""

    def coding(self) -> Coding:
        """What was found."""


def survey_of(codec: str, extradata: bytes) -> Survey | None:
    """A survey of this codec; None where no rule asks for its headers."""
    if codec == "h264":
        return H264Survey(extradata)
    if codec == "hevc":
        return HevcSurvey(extradata)
    return Mpeg2Survey(extradata) if codec == "mpeg2video" else None
