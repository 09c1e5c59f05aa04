"""The cheapest legal path: keep → rewrap → redo the sound → encode. Pure: a description in, a plan out."""

from __future__ import annotations

from collections.abc import Sequence

from common.conformance import check_stream
from common.dicom import transfer_syntaxes
from common.dicom.sop_classes import Target, target_class
from common.dicom.transfer_syntaxes import ROOT
from common.errors import NoLegalPath
from common.levels import h264_level_violations, h264_minimal_level
from common.media import Description, Kind, Scan
from common.orders import Finding, Path, Plan
from common.queues import CPU
from common.recipes import Audio, Profile, Recipe

REWRAP_SYNTAXES: dict[str, tuple[str, ...]] = {
    "h264": (f"{ROOT}.102", f"{ROOT}.104"),
    "hevc": (f"{ROOT}.107", f"{ROOT}.108"),
}
"""Codec → syntaxes that a plain bitstream is held against, the most widely read first. Plain MPEG-2 is transcoded: no
browser and so no web viewer plays it. An object that already is DICOM MPEG-2 is kept as it is."""

ENCODE_SPEED = {"medium": 40e6, "slow": 20e6}
"""Luma samples a second that are encoded and measured on two cores (benchmarks/bench_gate.py); for estimates only."""

BITS_PER_SAMPLE = {18: 0.12, 13: 0.25}
"""Typical coded bits per luma sample by crf; for estimates only."""

COPY_BYTES_PER_SECOND = 150e6
"""Rewrapping speed on one disk; for estimates only."""


def plan(
    description: Description,
    profile: Profile,
    *,
    audio: Audio = Audio.STRIP,
    rung: int = 0,
    modality: str = "",
    requested_class: str | None = None,
    destination_syntaxes: Sequence[str] | None = None,
) -> Plan:
    """Choose the cheapest path whose result is legal, and say why the cheaper ones are not.

    ``rung`` is the step of the profile's ladder to encode with; ``modality`` and ``requested_class`` (UID or short
    name) are what the mapping row says of plain video; ``destination_syntaxes`` is what the archive takes.

    Raises:
        NoLegalPath: the profile never encodes, or its target is not accepted, and nothing cheaper is legal.
    """
    wanted = _Wanted(description, audio, modality, requested_class, destination_syntaxes)
    kept, why_not_kept = wanted.keep()
    if kept:
        return kept
    rewrapped, why_not = wanted.rewrap(why_not_kept)
    return rewrapped or wanted.encode(profile, rung, why_not)


class _Wanted:
    """One request to plan for."""

    def __init__(
        self,
        description: Description,
        audio: Audio,
        modality: str,
        requested_class: str | None,
        destination_syntaxes: Sequence[str] | None,
    ) -> None:
        self.description = description
        self.audio = audio if description.audio else Audio.STRIP
        self._modality = modality
        self._requested = requested_class
        self._accepted = destination_syntaxes

    def keep(self) -> tuple[Plan | None, str]:
        """A DICOM object whose stream is legal where it is going stays as it is, to the byte."""
        source = self.description
        if source.dicom is None or source.kind is not Kind.DICOM_VIDEO:
            return None, ""
        uid = source.dicom.transfer_syntax_uid
        if not self._accepts(uid):
            return None, f"the destination does not take {_short(uid)}"
        if source.audio and self.audio is Audio.STRIP:
            return None, "its sound is to be dropped"
        if broken := [*_errors(check_stream(source, uid)), *source.dicom.faults]:
            return None, broken[0]
        if self._target(source.video.codec).uid != source.dicom.sop_class_uid:
            return None, "its SOP class cannot carry video"
        reason = f"legal {_short(uid)} already: kept to the byte"
        return self._plan(Path.KEEP, source.dicom.sop_class_uid, uid, reason), ""

    def rewrap(self, why_not_kept: str) -> tuple[Plan | None, str]:
        """A legal bitstream gets a new container or header; sound that is not legal is made anew."""
        source = self.description
        if source.kind is Kind.DICOM_FRAMES:
            return None, f"{source.video.codec} pictures are no video bitstream"
        why_not = ""
        for uid in self._candidates():
            if not self._accepts(uid):
                why_not = why_not or f"the destination does not take {_short(uid)}"
                continue
            findings = check_stream(self._as_rewrapped(uid), uid)
            errors = [finding for finding in findings if finding.severity == "error"]
            if stream := [finding for finding in errors if finding.rule.startswith("stream.")]:
                why_not = why_not or _errors(stream)[0]
                continue
            return self._rewrapped(uid, errors, why_not_kept), ""
        return None, why_not or f"{source.video.codec} is not carried over into DICOM as it is"

    def encode(self, profile: Profile, rung: int, why_not: str) -> Plan:
        """The profile's recipe at this rung. Raises: NoLegalPath."""
        if not profile.ladder:
            raise NoLegalPath(
                f"profile {profile.name} never encodes, and this source is not legal as it is: {why_not}",
                hint="Use --profile archive to have it encoded and measured.",
            )
        recipe = profile.ladder[rung]
        if not self._accepts(recipe.transfer_syntax_uid):
            raise NoLegalPath(f"the destination does not take {_short(recipe.transfer_syntax_uid)}")
        _check_level(self.description, recipe)
        target = self._target(recipe.codec)
        reason = f"encoded to {_short(recipe.transfer_syntax_uid)} at crf {recipe.crf}: {why_not}; {target.reason}"
        made = self._plan(Path.ENCODE, target.uid, recipe.transfer_syntax_uid, reason)
        video = self.description.video
        samples = video.width * video.height * video.frame_count
        estimates = {
            "estimated_seconds": samples / ENCODE_SPEED.get(recipe.preset, ENCODE_SPEED["slow"]),
            "estimated_bytes": int(samples * BITS_PER_SAMPLE.get(recipe.crf, 0.4) / 8),
        }
        ladder = {"recipe": recipe, "rung": rung, "rungs": len(profile.ladder), "gate": profile.gate}
        return made.model_copy(update=ladder | estimates)

    def _rewrapped(self, uid: str, errors: list[Finding], why_not_kept: str) -> Plan:
        source = self.description
        target = self._target(source.video.codec)
        where = f"legal {source.video.codec} for {_short(uid)}" + (
            f", not kept: {why_not_kept}" if why_not_kept else ""
        )
        illegal_sound = [finding for finding in errors if finding.rule.startswith("audio.")]
        if illegal_sound and self.audio is Audio.KEEP:
            reason = f"{where}: video copied, sound made anew ({_errors(illegal_sound)[0]}); {target.reason}"
            return self._plan(Path.REAUDIO, target.uid, uid, reason)
        sound = "" if not source.audio else ", sound kept" if self.audio is Audio.KEEP else ", sound dropped"
        made = self._plan(Path.REWRAP, target.uid, uid, f"{where}: rewrapped without decoding{sound}; {target.reason}")
        return made.model_copy(update={"new_container": self._needs_container(uid)})

    def _needs_container(self, uid: str) -> bool:
        """True when something in the source's container has to be dropped or mended. A plain clip always becomes an MP4: web
        viewers play nothing else."""
        source = self.description
        if (
            (source.audio and self.audio is Audio.STRIP)
            or source.edit_list
            or source.fragmented
            or source.other_streams
        ):
            return True
        if source.kind is Kind.DICOM_VIDEO:
            return any(f.rule.startswith("container.") for f in check_stream(source, uid) if f.severity == "error")
        return source.container != "mp4"

    def _as_rewrapped(self, uid: str) -> Description:
        """The source as it will be: in a new MP4 where it needs one, without the sound that is dropped."""
        source = self.description
        if not self._needs_container(uid):
            return source
        made = {"container": "mp4", "moov_first": True, "fragmented": False, "edit_list": False, "other_streams": 0}
        return source.model_copy(update=made if self.audio is Audio.KEEP else made | {"audio": ()})

    def _candidates(self) -> tuple[str, ...]:
        """Syntaxes for the stream as it is; fragmentable twins where one fragment cannot hold it."""
        source = self.description
        uids = REWRAP_SYNTAXES.get(source.video.codec, ())
        if source.dicom is not None:
            uids = (transfer_syntaxes.by_uid(source.dicom.transfer_syntax_uid).base_uid, *uids)
        return tuple(dict.fromkeys(transfer_syntaxes.for_length(uid, source.size_bytes).uid for uid in uids))

    def _target(self, codec: str) -> Target:
        source = self.description
        return target_class(
            source.dicom.sop_class_uid if source.dicom else None,
            modality=source.dicom.modality if source.dicom else self._modality,
            monochrome=source.video.chroma == "4:0:0",
            codec=codec,
            requested=self._requested,
        )

    def _accepts(self, uid: str) -> bool:
        return self._accepted is None or uid in self._accepted

    def _plan(self, path: Path, sop_class_uid: str, uid: str, reason: str) -> Plan:
        size = self.description.size_bytes
        return Plan(
            path=path,
            reason=reason,
            sop_class_uid=sop_class_uid,
            transfer_syntax_uid=uid,
            audio=self.audio,
            queue=CPU,
            estimated_seconds=size / COPY_BYTES_PER_SECOND,
            estimated_bytes=size,
        )


def _check_level(source: Description, recipe: Recipe) -> None:
    """Refuse early what the recipe's level cannot hold (H.264 A.3); the worker asks again with the exact output size.

    Raises:
        NoLegalPath: with the level that would hold it.
    """
    video, interlaced = source.video, source.video.scan is not Scan.PROGRESSIVE
    broken = h264_level_violations(video.width, video.height, video.frame_rate, recipe.level, interlaced=interlaced)
    if broken:
        needed = h264_minimal_level(video.width, video.height, video.frame_rate, interlaced=interlaced)
        hint = f"It needs level {needed}; no profile of this release encodes to it." if needed else ""
        raise NoLegalPath(
            f"{video.width}×{video.height} at {float(video.frame_rate):.6g} frames/s: {broken[0]}", hint=hint
        )


def _errors(findings: Sequence[Finding]) -> list[str]:
    """Each error in words."""
    return [
        f"{finding.found} where {finding.required} is required ({finding.clause})"
        for finding in findings
        if finding.severity == "error"
    ]


def _short(uid: str) -> str:
    """``.102`` for people; the whole UID where it is not one of the video syntaxes."""
    return uid.removeprefix(ROOT) if uid.startswith(f"{ROOT}.") else uid
