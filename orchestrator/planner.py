"""The cheapest legal path: keep → rewrap → redo the sound → encode. Pure: a description in, a plan out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from common.conformance import check_stream
from common.dicom import transfer_syntaxes
from common.dicom.sop_classes import Target, target_class
from common.dicom.transfer_syntaxes import ROOT
from common.errors import NoLegalPath
from common.handling import Handling, Stereo, effective, treated, wishes
from common.media import Description, Kind
from common.orders import Finding, Path, Plan
from common.queues import CPU, of_encoder
from common.recipes import Audio, Hardware, Profile, Recipe
from common.targets import HINT, NEVER_ENCODED, PACKED, carried_under, preferred, refusal, sorted_out

ENCODE_SPEED = {
    ("libx264", "medium"): 40e6,
    ("libx264", "slow"): 20e6,
    ("libx265", "medium"): 12e6,
    ("mpeg2video", ""): 20e6,
}
"""Encoder and preset → luma samples/s, encoded and measured on two cores (benchmarks/bench_gate.py; libx265: a guess); for
estimates only."""

PACKING_TYPES = {Stereo.SIDE_BY_SIDE: 3, Stereo.TOP_BOTTOM: 4}
"""frame_packing_arrangement_type (H.264 Table D-8)."""

DEVICE_SPEED, SLOWEST = 40e6, 6e6
"""Of any device, which waits for the measurement on the CPU, and of what is not in the table."""

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
    queues: Collection[str] = (),
    fallback: str = "",
) -> Plan:
    """Choose the cheapest path whose result is legal, and say why the cheaper ones are not.

    ``rung`` is the step of the profile's ladder to encode with; ``modality`` and ``requested_class`` (UID or short
    name) are what the mapping row says of plain video; ``destination_syntaxes`` is what the archive takes; ``queues``
    are those that live workers serve (beside the CPU's, which is always counted on); ``fallback`` is why a device gave
    the item back: it stays on the CPU.

    Raises:
        NoLegalPath: the profile never encodes, or no target is accepted and holds the picture, and nothing cheaper is legal.
    """
    handling = effective(profile.handling, description.video)
    wanted = _Wanted(description, audio, modality, requested_class, destination_syntaxes, profile.target, handling)
    kept, why_not_kept = wanted.keep()
    if kept:
        return kept
    rewrapped, why_not = wanted.rewrap(why_not_kept)
    return rewrapped or wanted.encode(profile, rung, why_not, queues, fallback)


class _Wanted:
    """One request to plan for."""

    def __init__(
        self,
        description: Description,
        audio: Audio,
        modality: str,
        requested_class: str | None,
        destination_syntaxes: Sequence[str] | None,
        asked: str,
        handling: Handling,
    ) -> None:
        self.description = description
        self.handling = handling
        self.audio = audio if description.audio else Audio.STRIP
        self._modality = modality
        self._requested = requested_class
        self._accepted, self._asked = destination_syntaxes, asked

    def keep(self) -> tuple[Plan | None, str]:
        """A DICOM object whose stream is legal where it is going stays as it is, to the byte."""
        source = self.description
        if source.dicom is None or source.kind is not Kind.DICOM_VIDEO:
            return None, ""
        uid = source.dicom.transfer_syntax_uid
        if why := self._refused(uid):
            return None, why
        if source.audio and self.audio is Audio.STRIP:
            return None, "its sound is to be dropped"
        if wish := wishes(self.handling):
            return None, wish
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
        if wish := wishes(self.handling):
            return None, wish
        if source.video.hidden_frames:
            return None, f"its bitstream holds {source.video.hidden_frames} frames that are not shown"
        why_not = ""
        for uid in self._candidates():
            if refused := self._refused(uid):
                why_not = why_not or refused
                continue
            findings = check_stream(self._as_rewrapped(uid), uid)
            errors = [finding for finding in findings if finding.severity == "error"]
            if stream := [finding for finding in errors if finding.rule.startswith("stream.")]:
                why_not = why_not or _errors(stream)[0]
                continue
            return self._rewrapped(uid, errors, why_not_kept), ""
        return None, why_not or f"{source.video.codec} is not carried over into DICOM as it is"

    def encode(self, profile: Profile, rung: int, why_not: str, queues: Collection[str], fallback: str) -> Plan:
        """The profile's recipe at this rung. Raises: NoLegalPath."""
        if profile.target in NEVER_ENCODED:
            why, hint = NEVER_ENCODED[profile.target]
            raise NoLegalPath(f"nothing is encoded to {_short(profile.target)}: {why}; {why_not}", hint=hint)
        if not profile.ladder:
            raise NoLegalPath(
                f"profile {profile.name} never encodes, and this source is not legal as it is: {why_not}",
                hint="Use --profile archive to have it encoded and measured.",
            )
        fitting = self._fitting(for_views(preferred(profile, rung, self._treated()), self.handling.stereo))
        devices = queues if profile.hardware is Hardware.ALLOWED and not fallback else ()
        recipe = choose(fitting, devices)
        target = self._target(recipe.codec)
        by = _quality(recipe)
        reason = f"encoded to {_short(recipe.transfer_syntax_uid)} at {by}: {why_not}; {target.reason}"
        if fallback:
            reason += f" (back on the CPU: {fallback})"
        made = self._plan(Path.ENCODE, target.uid, recipe.transfer_syntax_uid, reason)
        video = self._treated().video
        samples = video.width * video.height * video.frame_count
        estimates = {
            "estimated_seconds": samples / _speed(recipe),
            "estimated_bytes": int(samples * BITS_PER_SAMPLE.get(recipe.crf, 0.4) / 8),
        }
        ladder = {"recipe": recipe, "rung": rung, "rungs": len(profile.ladder), "gate": profile.gate}
        return made.model_copy(update=ladder | estimates | {"queue": of_encoder(recipe.encoder), "fallback": fallback})

    def _fitting(self, recipes: Sequence[Recipe]) -> list[Recipe]:
        """Recipes whose target is accepted and whose level holds the picture, in their order. Raises: NoLegalPath."""
        accepted = [recipe for recipe in recipes if not self._refused(recipe.transfer_syntax_uid)]
        if not accepted:
            targets = dict.fromkeys(_short(recipe.transfer_syntax_uid) for recipe in recipes)
            raise NoLegalPath(f"the destination does not take {' or '.join(targets)}")
        video = self._treated().video
        fitting, refused = sorted_out(video, accepted)
        if not fitting and refused is not None:
            recipe, finding = refused
            raise NoLegalPath(refusal(video, recipe, finding), hint=finding.remedy or HINT)
        return fitting

    def _treated(self) -> Description:
        """The source as its encoder gets it to see."""
        return self.description.model_copy(update={"video": treated(self.description.video, self.handling)})

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
        uids = (self._asked,) if self._asked else carried_under(source.video)
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

    def _refused(self, uid: str) -> str:
        """Why nothing goes out under this syntax; empty: it may."""
        if self._asked and transfer_syntaxes.by_uid(uid).base_uid != self._asked:
            return f"{_short(self._asked)} was asked for, not {_short(uid)}"
        taken = self._accepted is None or uid in self._accepted
        return "" if taken else f"the destination does not take {_short(uid)}"

    def _plan(self, path: Path, sop_class_uid: str, uid: str, reason: str) -> Plan:
        size = self.description.size_bytes
        return Plan(
            path=path,
            reason=reason,
            sop_class_uid=sop_class_uid,
            transfer_syntax_uid=uid,
            audio=self.audio,
            handling=self.handling if path is Path.ENCODE else Handling(),
            queue=CPU,
            estimated_seconds=size / COPY_BYTES_PER_SECOND,
            estimated_bytes=size,
        )


def choose(fitting: Sequence[Recipe], queues: Collection[str]) -> Recipe:
    """The first recipe, or the first for the same target by a device whose queue is served."""
    first = fitting[0]
    served = (
        recipe
        for recipe in fitting
        if recipe.transfer_syntax_uid == first.transfer_syntax_uid and of_encoder(recipe.encoder) in queues
    )
    return next((recipe for recipe in served if of_encoder(recipe.encoder) != CPU), first)


def for_views(recipes: Sequence[Recipe], stereo: Stereo) -> list[Recipe]:
    """The recipes that announce two views in a frame as the policy says they lie there: those to .105 (PS3.5 8.2.8).

    Raises:
        NoLegalPath: there is none.
    """
    if stereo is Stereo.NONE:
        return list(recipes)
    packed = [recipe for recipe in recipes if recipe.transfer_syntax_uid == PACKED and recipe.encoder == "libx264"]
    if not packed:
        raise NoLegalPath(
            "this profile encodes nothing to .105, which alone announces two views in a frame",
            hint="Use another profile or --syntax, or --stereo none: the picture stays, as one view.",
        )
    return [recipe.model_copy(update={"frame_packing": PACKING_TYPES[stereo]}) for recipe in packed]


def _quality(recipe: Recipe) -> str:
    """The constant-quality number in the encoder's own word."""
    if of_encoder(recipe.encoder) != CPU:
        return f"quality {recipe.crf} by {recipe.encoder}"
    return f"quantiser scale {recipe.crf}" if recipe.codec == "mpeg2video" else f"crf {recipe.crf}"


def _speed(recipe: Recipe) -> float:
    """Luma samples/s."""
    if of_encoder(recipe.encoder) != CPU:
        return DEVICE_SPEED
    return ENCODE_SPEED.get((recipe.encoder, recipe.preset), SLOWEST)


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
