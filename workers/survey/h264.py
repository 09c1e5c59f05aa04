"""Survey of H.264 streams (ITU-T H.264 7.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from common.bitstream import h264
from common.bitstream.h264_pps import Pps, parse_pps
from common.media import Coding
from workers.survey.nal import NalSurvey, largest_hrd
from workers.survey.pictures import MAX_SEQUENCES, distinct

_parse_sps, _parse_pps = lru_cache(MAX_SEQUENCES)(h264.parse_sps), lru_cache(MAX_SEQUENCES)(parse_pps)
"""Parameter sets come with every key frame and are mostly the same bytes."""


class H264Survey(NalSurvey):
    """Sequences by way of slice and picture parameter set: a set that no picture uses counts for nothing."""

    def __init__(self, extradata: bytes) -> None:
        self._sps: dict[int, h264.Sps] = {}
        self._pps: dict[int, Pps] = {}
        self._used: dict[h264.Sps, None] = {}
        self._tools: dict[str, None] = {}
        self._second_view = False
        super().__init__("h264", extradata)

    def _take(self, nal: bytes) -> bool:
        kind = h264.nal_type(nal)
        if kind == h264.Nal.SPS:
            sps = _parse_sps(nal)
            self._sps[sps.number] = sps
        elif kind == h264.Nal.PPS:
            pps = _parse_pps(nal)
            self._pps[pps.number] = pps
        elif kind == h264.Nal.SEI:
            self._messages(nal, 1)
        elif kind == h264.Nal.DELIMITER:
            self._delimited = True
        elif kind == h264.Nal.SECOND_VIEW:
            self._second_view = True
        elif h264.Nal.PARTITION_A <= kind <= h264.Nal.PARTITION_C:
            self._tools["data partitioning"] = None
        elif kind in (h264.Nal.SLICE, h264.Nal.IDR):
            self._slice(nal)
            return True
        return False

    def _slice(self, nal: bytes) -> None:
        number = h264.slice_pps(nal)
        pps = self._pps.get(number)
        sps = self._sps.get(pps.sps) if pps else None
        if pps is None or sps is None:
            return
        found = h264.parse_slice(nal, sps)
        self.pictures.slice(first=found.first, b=found.kind == h264.B_SLICE)
        self._tools |= dict.fromkeys(_tools(sps, pps, found))
        if len(self._used) < MAX_SEQUENCES:
            self._used[sps] = None

    def coding(self) -> Coding:
        """What was found. Where sequences differ, the most that any asks for."""
        used = list(self._used) or list(self._sps.values())
        return Coding(
            coded_width=max((sps.coded_width for sps in used), default=None),
            coded_height=max((sps.coded_height for sps in used), default=None),
            chroma=next((sps.chroma for sps in used), None),
            matrix_code=next((sps.vui.colour.matrix for sps in used if sps.vui.colour), None),
            reference_frames=max((sps.reference_frames for sps in used), default=None),
            decoded_frames=_most(sps.vui.buffered_frames for sps in used),
            nal_hrd=largest_hrd(sps.vui.nal_hrd for sps in used),
            vcl_hrd=largest_hrd(sps.vui.vcl_hrd for sps in used),
            progressive_only=all(sps.frame_mbs_only for sps in used) if used else None,
            tools=tuple(self._tools),
            slices=self.pictures.fewest,
            b_pictures=self.pictures.longest_run if self.pictures.fewest else None,
            delimiters=self.delimiters,
            sizes=distinct((sps.width, sps.height) for sps in used),
            parameter_sets=len(used) or None,
            frame_packing=self.packing,
            second_view=self._second_view,
        )


def _tools(sps: h264.Sps, pps: Pps, found: h264.Slice) -> Iterator[str]:
    there = {
        "CABAC": pps.cabac,
        "8x8 transform": pps.transform_8x8,
        "weighted prediction": pps.weighted,
        "slice groups": pps.slice_groups > 1,
        "redundant pictures": pps.redundant,
        "B slices": found.kind == h264.B_SLICE,
        "switching slices": found.kind > h264.I_SLICE,
        "interlaced coding": not sps.frame_mbs_only,
        "field pictures": found.field,
        "MBAFF": sps.mb_adaptive and not found.field,
    }
    return (name for name, used in there.items() if used)


def _most(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)
