"""Rules on how the stream is coded: tools, tier, sequence headers, views. An error here can only be mended by encoding anew."""

from __future__ import annotations

from collections.abc import Iterator

from common.conformance.rules import OF_SYNTAX, Breach, Rule, StreamCase
from common.dicom.transfer_syntaxes import ROOT
from common.media import Coding

FOREIGN_TOOLS = ("slice groups", "redundant pictures", "data partitioning", "switching slices")
"""What no decoder of a Main or High profile needs to know (H.264 A.2.2, A.2.4)."""

FORBIDDEN_TOOLS: dict[str, tuple[str, ...]] = {
    "Constrained Baseline": ("CABAC", "8x8 transform", "B slices", "interlaced coding", "weighted prediction"),
    "Main": ("8x8 transform",),
}
"""Profile → tools that it lacks and High has (H.264 A.2.1.1, A.2.2)."""

HEVC_PROFILES = {"Main": 1, "Main 10": 2}
"""Profile → general_profile_idc (H.265 A.3.2, A.3.3)."""

SIDE_BY_SIDE, TOP_AND_BOTTOM = 3, 4
"""frame_packing_arrangement_type, H.264 Table D-8."""

PACKINGS = (
    "checkerboard",
    "column by column",
    "row by row",
    "side by side",
    "top and bottom",
    "in turn",
    "flat",
    "tiles",
)
"""By frame_packing_arrangement_type, H.264 Table D-8."""

LONGEST_WAIT = 10
"""Seconds from one key frame to the next that a person who seeks bears; a note, no demand of the standard."""


def tier(case: StreamCase) -> Iterator[Breach]:
    """An HEVC stream is of the Main tier (PS3.5 8.2.10, 8.2.11; general_tier_flag 0): a Main tier decoder need not take more."""
    if _coding(case).tier == "high":
        yield Breach("High tier", "Main tier")


def compatibility(case: StreamCase) -> Iterator[Breach]:
    """An HEVC stream says that it is compatible with the profile that it names (general_profile_compatibility_flag, H.265 7.4.4)."""
    number = HEVC_PROFILES.get(case.video.profile or "")
    flags = _coding(case).compatible_profiles
    if case.video.codec == "hevc" and number and _coding(case).tier and number not in flags:
        yield Breach(
            f"no compatibility flag for {case.video.profile}", f"general_profile_compatibility_flag[{number}] 1"
        )


def video_parameter_set(case: StreamCase) -> Iterator[Breach]:
    """The VPS of an HEVC stream names the same profile, tier and level as its SPS (H.265 7.4.3.1): players look at either."""
    if _coding(case).vps_agrees is False:
        yield Breach("a VPS that names another profile, tier or level than the SPS", "one and the same")


def foreign_tools(case: StreamCase) -> Iterator[Breach]:
    """An H.264 stream uses no slice groups, redundant pictures, data partitioning or switching slices (H.264 A.2.2, A.2.4)."""
    for tool in _coding(case).tools:
        if tool in FOREIGN_TOOLS:
            yield Breach(tool, f"a stream that every {case.syntax.profile} profile decoder decodes")


def tools_beyond_profile(case: StreamCase) -> Iterator[Breach]:
    """The stream uses the tools of the profile that it names: no 8x8 transform in Main, no B slices or CABAC in Baseline."""
    lacking = FORBIDDEN_TOOLS.get(case.video.profile or "", ()) if case.video.codec == "h264" else ()
    for tool in _coding(case).tools:
        if tool in lacking:
            yield Breach(f"{tool} in a stream that names {case.video.profile} profile", "the tools of that profile")


def one_size(case: StreamCase) -> Iterator[Breach]:
    """All pictures of the stream have one size, since Rows and Columns hold for all frames (PS3.3 C.7.6.3)."""
    sizes = _coding(case).sizes
    if len(sizes) > 1:
        yield Breach("pictures of " + ", ".join(f"{width}×{height}" for width, height in sizes[:4]), "one size")


def one_sequence(case: StreamCase) -> Iterator[Breach]:
    """The stream keeps to one sequence header: players that read only the first show the rest wrongly."""
    coding = _coding(case)
    if (coding.parameter_sets or 0) > 1 and len(coding.sizes) == 1:
        yield Breach(f"{coding.parameter_sets} different sequence headers", "one")


def second_view(case: StreamCase) -> Iterator[Breach]:
    """Under .106 the stream holds a second view, as NAL units of type 20 (H.264 H.7.4.1)."""
    if case.base_uid == f"{ROOT}.106" and case.video.coding and not case.video.coding.second_view:
        yield Breach("no second view among the first pictures", "two views (MVC)", "Use .104 for plain video.")


def packing_kind(case: StreamCase) -> Iterator[Breach]:
    """Stereo frames lie side by side or one above the other: players know no other packing (frame_packing_arrangement_type)."""
    kind = _coding(case).frame_packing
    if case.base_uid == f"{ROOT}.105" and kind not in (None, SIDE_BY_SIDE, TOP_AND_BOTTOM):
        words = PACKINGS[kind] if kind is not None and kind < len(PACKINGS) else f"type {kind}"
        yield Breach(f"frames packed {words}", "side by side, or top and bottom")


def entry_points(case: StreamCase) -> Iterator[Breach]:
    """A key frame comes every ten seconds at least, so that a viewer can seek."""
    longest, video = _coding(case).longest_gop, case.video
    if longest and longest > LONGEST_WAIT * video.frame_rate > 0:
        yield Breach(f"{longest} frames without a key frame", f"at most {round(LONGEST_WAIT * video.frame_rate)}")


def _coding(case: StreamCase) -> Coding:
    return case.video.coding or Coding()


CODING_RULES: tuple[Rule[StreamCase], ...] = (
    Rule("stream.tier", OF_SYNTAX, "error", tier),
    Rule("stream.compatibility", OF_SYNTAX, "warning", compatibility),
    Rule("stream.vps", OF_SYNTAX, "warning", video_parameter_set),
    Rule("stream.tools", OF_SYNTAX, "error", foreign_tools),
    Rule("stream.tools.claim", OF_SYNTAX, "warning", tools_beyond_profile),
    Rule("stream.sizes", "PS3.3 C.7.6.3", "error", one_size),
    Rule("stream.sequences", OF_SYNTAX, "warning", one_sequence),
    Rule("stream.views", "PS3.5 8.2.9", "error", second_view),
    Rule("stream.packing.kind", "PS3.5 8.2.8", "warning", packing_kind),
    Rule("stream.seek", "OHIF and DICOMweb viewers", "note", entry_points),
)
