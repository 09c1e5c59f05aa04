"""Survey of HEVC streams (ITU-T H.265 7.3)."""

from __future__ import annotations

from functools import lru_cache

from common.bitstream import hevc
from common.media import Coding
from workers.survey.nal import NalSurvey, largest_hrd
from workers.survey.pictures import MAX_SEQUENCES, distinct

_parse_sps = lru_cache(MAX_SEQUENCES)(hevc.parse_sps)
"""Parameter sets come with every key frame and are mostly the same bytes."""


class HevcSurvey(NalSurvey):
    """The base layer; sequences by way of slice and picture parameter set."""

    def __init__(self, extradata: bytes) -> None:
        self._vps: hevc.Tier | None = None
        self._sps: dict[int, hevc.Sps] = {}
        self._pps: dict[int, int] = {}
        self._used: dict[hevc.Sps, None] = {}
        super().__init__("hevc", extradata)

    def _take(self, nal: bytes) -> bool:
        kind = hevc.nal_type(nal)
        if len(nal) < 3 or hevc.layer(nal):
            return False
        if kind == hevc.Nal.VPS:
            self._vps = hevc.parse_vps(nal)
        elif kind == hevc.Nal.SPS:
            sps = _parse_sps(nal)
            self._sps[sps.number] = sps
        elif kind == hevc.Nal.PPS:
            number, self._pps[number] = hevc.parse_pps(nal)
        elif kind == hevc.Nal.PREFIX_SEI:
            self._messages(nal, 2)
        elif kind == hevc.Nal.DELIMITER:
            self._delimited = True
        elif kind <= hevc.Nal.LAST_VCL:
            self._segment(nal)
            return True
        return False

    def _segment(self, nal: bytes) -> None:
        first, number = hevc.parse_segment(nal)
        self.pictures.slice(first=first)
        sps = self._sps.get(self._pps.get(number, -1))
        if sps and len(self._used) < MAX_SEQUENCES:
            self._used[sps] = None

    def coding(self) -> Coding:
        """What was found. Where sequences differ, the most that any asks for."""
        used = list(self._used) or list(self._sps.values())
        tiers = [sps.tier for sps in used]
        return Coding(
            coded_width=max((sps.coded_width for sps in used), default=None),
            coded_height=max((sps.coded_height for sps in used), default=None),
            chroma=next((sps.chroma for sps in used), None),
            matrix_code=next((sps.colour.matrix for sps in used if sps.colour), None),
            tier=None if not tiers else "high" if any(tier.high_tier for tier in tiers) else "main",
            compatible_profiles=_compatible(tiers),
            vps_agrees=all(map(self._vps.agrees, tiers)) if self._vps and tiers else None,
            decoded_frames=max((sps.decoded_frames for sps in used), default=None),
            nal_hrd=largest_hrd(sps.nal_hrd for sps in used),
            vcl_hrd=largest_hrd(sps.vcl_hrd for sps in used),
            progressive_only=not any(sps.field_coded for sps in used) if used else None,
            slices=self.pictures.fewest,
            delimiters=self.delimiters,
            sizes=distinct((sps.width, sps.height) for sps in used),
            parameter_sets=len(used) or None,
            frame_packing=self.packing,
        )


def _compatible(tiers: list[hevc.Tier]) -> tuple[int, ...]:
    """Profiles that every sequence says it is compatible with; the first flag is the highest bit."""
    return tuple(
        number for number in range(32) if tiers and all(tier.compatibility >> 31 - number & 1 for tier in tiers)
    )
