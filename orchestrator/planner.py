"""The cheapest legal path: keep → rewrap → redo the sound → encode → refuse. Pure: a description in, a plan out (docs/plan.md)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from common.conformance import check_stream
from common.dicom.sop_classes import Target, target_class
from common.dicom.transfer_syntaxes import short
from common.errors import NoLegalPath
from common.handling import Handling, effective, treated, wishes
from common.media import Description, Kind
from common.orders import Finding, Forced, Path, Plan
from common.queues import CPU, of_encoder
from common.recipes import Audio, Hardware, Profile, Recipe
from common.targets import NEVER_ENCODED
from orchestrator import estimates
from orchestrator.acceptance import Acceptance, Destinations, Obstacle
from orchestrator.candidates import candidates, container_of, limit_of, split_of, stream_bytes
from orchestrator.encoding import Encoding, choose, rungs_to
from orchestrator.frame_planner import plan_frames
from orchestrator.profiles import by_rules


def plan(
    description: Description,
    profile: Profile,
    destinations: Destinations | Sequence[Acceptance] = (),
    *,
    audio: Audio = Audio.STRIP,
    rung: int = 0,
    modality: str = "",
    requested_class: str | None = None,
    destination_syntaxes: Collection[str] | None = None,
    queues: Collection[str] = (),
    fallback: str = "",
    uncut: str = "",
) -> Plan:
    """Choose the cheapest path whose result is legal and accepted, and say why the cheaper ones are not.

    ``destinations`` is what every place that the item goes to takes, for one instance goes to all (none: anything is
    taken); ``rung`` is the step of the profile's ladder to encode with; ``modality`` and ``requested_class`` (UID or short
    name) are what the mapping row says of plain video; ``destination_syntaxes`` is short for one destination that takes
    only these; ``queues`` are those that live workers serve (beside the CPU's, which is always counted on); ``fallback`` is
    why a device gave the item back: it stays on the CPU; ``uncut`` is why the bitstream as it is cannot be cut where it would have
    to be: it is encoded.

    Raises:
        NoLegalPath: the profile never encodes, or no target is accepted and holds the picture, and nothing cheaper is legal.
    """
    profile = by_rules(profile, description, modality, requested_class)
    made = _planned(
        description,
        profile,
        destinations,
        audio=audio,
        rung=rung,
        modality=modality,
        requested_class=requested_class,
        destination_syntaxes=destination_syntaxes,
        queues=queues,
        fallback=fallback,
        uncut=uncut,
    )
    told = f"{made.reason} (rule {profile.rule}: profile {profile.name})" if profile.rule else made.reason
    return made.model_copy(update={"profile": profile.name, "rule": profile.rule, "reason": told})


def _planned(
    description: Description,
    profile: Profile,
    destinations: Destinations | Sequence[Acceptance],
    *,
    audio: Audio,
    rung: int,
    modality: str,
    requested_class: str | None,
    destination_syntaxes: Collection[str] | None,
    queues: Collection[str],
    fallback: str,
    uncut: str,
) -> Plan:
    taken = destinations if isinstance(destinations, Destinations) else Destinations(tuple(destinations))
    if destination_syntaxes is not None:
        taken = Destinations((*taken.each, Acceptance(syntaxes=frozenset(destination_syntaxes))))
    if profile.frames and (
        framed := plan_frames(description, profile, rung, taken, modality=modality, requested_class=requested_class)
    ):
        return framed
    if profile.target:
        taken = Destinations((*taken.each, _only(profile.target)))
    handling = effective(profile.handling, description.video)
    wanted = _Wanted(description, taken, audio, modality, requested_class, handling, uncut)
    kept = wanted.keep()
    if isinstance(kept, Plan):
        return kept
    rewrapped = wanted.rewrap(kept)
    if isinstance(rewrapped, Plan):
        return rewrapped.model_copy(update={"gate": profile.gate}) if profile.gate.exact else rewrapped
    return wanted.encode(profile, rung, (kept, rewrapped), queues, fallback)


class _Wanted:
    """One request to plan for."""

    def __init__(
        self,
        description: Description,
        destinations: Destinations,
        audio: Audio,
        modality: str,
        requested_class: str | None,
        handling: Handling,
        uncut: str,
    ) -> None:
        self.description = description
        self.handling = handling
        self._judged: dict[str, list[Finding]] = {}
        self.audio = audio if description.audio else Audio.STRIP
        self._destinations = destinations
        self._modality = modality
        self._requested = requested_class
        self._uncut = uncut

    def keep(self) -> Plan | Forced:
        """A DICOM object whose stream is legal where it is going stays as it is, to the byte."""
        source = self.description
        if source.dicom is None:
            return Forced(
                path=Path.KEEP, rule="source.plain", clause="PS3.10 7.1", why="a plain file is no DICOM object"
            )
        if source.kind is not Kind.DICOM_VIDEO:
            why = "its pixels are single pictures"
            return Forced(path=Path.KEEP, rule="source.frames", clause="PS3.5 8.2", why=why)
        uid = source.dicom.transfer_syntax_uid
        obstacle = self._why_not_kept(uid)
        if obstacle is not None:
            return _forced(Path.KEEP, obstacle)
        reason = f"legal {short(uid)} already: kept to the byte"
        return self._copied(Path.KEEP, source.dicom.sop_class_uid, uid, reason, source.size_bytes, ())

    def _why_not_kept(self, uid: str) -> Obstacle | None:
        source = self.description
        taken = self._destinations
        own_class = source.dicom.sop_class_uid if source.dicom else ""
        if refused := taken.refuses(uid, own_class) or taken.refuses_container(source.container):
            return refused
        if refused := taken.refuses_layout(source):
            return refused
        if source.audio and self.audio is Audio.STRIP:
            return Obstacle("policy.audio", "policy", "its sound is to be dropped")
        if wish := wishes(self.handling):
            return Obstacle("policy.handling", "policy", wish)
        if errors := _errors(check_stream(source, uid)):
            return _obstacle(errors[0])
        if source.dicom is not None and source.dicom.faults:
            return Obstacle("header", "PS3.3, PS3.5 A.4", source.dicom.faults[0])
        if source.dicom is not None and self._target(source.video.codec).uid != source.dicom.sop_class_uid:
            return Obstacle("header.class", "PS3.3 A", "its SOP class cannot carry video")
        if split := split_of(uid, source.size_bytes, taken, whole=True):
            return Obstacle(split.rule, split.clause, split.why)
        return None

    def rewrap(self, kept: Forced) -> Plan | Forced:
        """A legal bitstream gets a new container or header; sound that is not legal is made anew."""
        source = self.description
        if source.kind is Kind.DICOM_FRAMES:
            why = f"{source.video.codec} pictures are no video bitstream"
            return Forced(path=Path.REWRAP, rule="source.frames", clause="PS3.5 8.2", why=why)
        first = self._wish()
        for uid in candidates(source, self._destinations.prefers) if first is None else ():
            obstacle = self._refuses(uid, source.video.codec) or self._why_not_rewrapped(uid)
            if obstacle is None:
                return self._rewrapped(uid, kept)
            first = first or obstacle
        none = f"{source.video.codec} is not carried over into DICOM as it is"
        return _forced(Path.REWRAP, first or Obstacle("stream.codec", "PS3.5 8.2", none))

    def _wish(self) -> Obstacle | None:
        """Why the bitstream as it is, under whichever syntax, is not what is wanted."""
        if wish := wishes(self.handling):
            return Obstacle("policy.handling", "policy", wish)
        if hidden := self.description.video.hidden_frames:
            why = f"its bitstream holds {hidden} frames that are not shown"
            return Obstacle("source.hidden", "PS3.3 C.7.6.6", why)
        return None

    def _why_not_rewrapped(self, uid: str) -> Obstacle | None:
        made = self._as_rewrapped(uid)
        stream = [each for each in self._broken(made, uid) if each.rule.startswith("stream.")]
        if stream:
            return _obstacle(stream[0])
        if self._uncut and split_of(uid, stream_bytes(self.description), self._destinations):
            return Obstacle("source.borders", "ISO/IEC 14496-10 7.4.1.2.4, 13818-2 6.3.8", self._uncut)
        return self._destinations.refuses_container(made.container)

    def _broken(self, made: Description, uid: str) -> list[Finding]:
        """Errors of what a rewrap would give under this syntax; asked twice, judged once."""
        if uid not in self._judged:
            self._judged[uid] = _errors(check_stream(made, uid))
        return self._judged[uid]

    def encode(
        self, profile: Profile, rung: int, closed: tuple[Forced, Forced], queues: Collection[str], fallback: str
    ) -> Plan:
        """The profile's recipe at this rung. Raises: NoLegalPath."""
        why_not = closed[-1].why
        if profile.target in NEVER_ENCODED:
            why, hint = NEVER_ENCODED[profile.target]
            message = f"nothing is encoded to {short(profile.target)}: {why}; {why_not}"
            raise NoLegalPath(message, hint=hint, rule="target.encoder")
        if not profile.ladder:
            raise NoLegalPath(
                f"profile {profile.name} never encodes, and this source is not legal as it is: {why_not}",
                hint="Use --profile archive to have it encoded and measured.",
                rule=closed[-1].rule,
            )
        wanted = Encoding(
            self._treated(), self._destinations, self.handling.stereo, lambda codec: self._target(codec).uid
        )
        fitting = wanted.fitting(profile, rung)
        devices = queues if profile.hardware is Hardware.ALLOWED and not fallback else ()
        recipe = choose(fitting, devices)
        uid, target, source = recipe.transfer_syntax_uid, self._target(recipe.codec), self._treated()
        reason = f"encoded to {short(uid)} at {_quality(recipe)}: {why_not}; {target.reason}"
        if fallback:
            reason += f" (back on the CPU: {fallback})"
        size = estimates.encoded_bytes(recipe, source, self.audio, container_of(recipe.codec))
        return Plan(
            path=Path.ENCODE,
            reason=reason,
            sop_class_uid=target.uid,
            transfer_syntax_uid=uid,
            recipe=recipe,
            rung=rung,
            rungs=rungs_to(profile, uid),
            gate=profile.gate,
            audio=self.audio,
            handling=self.handling,
            queue=of_encoder(recipe.encoder),
            fallback=fallback,
            uncut=self._uncut,
            estimated_seconds=estimates.encode_seconds(
                recipe, estimates.luma_samples(source.video), source.video.duration_ms / 1000
            ),
            estimated_bytes=size,
            forced_by=closed,
            split=split_of(uid, size, self._destinations),
            limit=limit_of(uid, self._destinations),
        )

    def _treated(self) -> Description:
        """The source as its encoder gets it to see."""
        return self.description.model_copy(update={"video": treated(self.description.video, self.handling)})

    def _refuses(self, uid: str, codec: str) -> Obstacle | None:
        """Why the class that a stream of this codec becomes is not taken under this syntax."""
        return self._destinations.refuses(uid, self._target(codec).uid)

    def _rewrapped(self, uid: str, kept: Forced) -> Plan:
        source, made = self.description, self._as_rewrapped(uid)
        target = self._target(source.video.codec)
        where = f"legal {source.video.codec} for {short(uid)}" + (f", not kept: {kept.why}" if source.dicom else "")
        sound = [finding for finding in self._broken(made, uid) if finding.rule.startswith("audio.")]
        new = self._needs_container(uid)
        size = estimates.rewrapped_bytes(source, self.audio, made.container, new_container=new)
        if sound and self.audio is Audio.KEEP:
            forced = (kept, _forced(Path.REWRAP, _obstacle(sound[0])))
            reason = f"{where}: video copied, sound made anew ({forced[1].why}); {target.reason}"
            return self._copied(Path.REAUDIO, target.uid, uid, reason, size, forced)
        said = "" if not source.audio else ", sound kept" if self.audio is Audio.KEEP else ", sound dropped"
        reason = f"{where}: rewrapped without decoding{said}; {target.reason}"
        plan = self._copied(Path.REWRAP, target.uid, uid, reason, size, (kept,))
        return plan.model_copy(update={"new_container": new})

    def _needs_container(self, uid: str) -> bool:
        """True when something in the source's container has to be dropped or mended. A plain clip always becomes an MP4 (MPEG-2 a
        transport stream): web viewers play nothing else."""
        source = self.description
        if (
            (source.audio and self.audio is Audio.STRIP)
            or source.edit_list
            or source.fragmented
            or source.other_streams
        ):
            return True
        if source.kind is Kind.DICOM_VIDEO:
            broken = any(each.rule.startswith("container.") for each in _errors(check_stream(source, uid)))
            index = source.moov_first is False and any(each.index_first for each in self._destinations.limits)
            return broken or index or self._destinations.refuses_container(source.container) is not None
        return source.container != "mp4" or source.video.codec == "mpeg2video"

    def _as_rewrapped(self, uid: str) -> Description:
        """The source as it will be: in a new container where it needs one, without the sound that is dropped."""
        source = self.description
        if not self._needs_container(uid):
            return source
        container = container_of(source.video.codec)
        index = {"moov_first": True if container == "mp4" else None}
        made = {"container": container, "fragmented": False, "edit_list": False, "other_streams": 0, **index}
        return source.model_copy(update=made if self.audio is Audio.KEEP else made | {"audio": ()})

    def _target(self, codec: str) -> Target:
        source = self.description
        return target_class(
            source.dicom.sop_class_uid if source.dicom else None,
            modality=source.dicom.modality if source.dicom else self._modality,
            monochrome=source.video.chroma == "4:0:0",
            codec=codec,
            requested=self._requested,
        )

    def _copied(
        self, path: Path, sop_class_uid: str, uid: str, reason: str, size: int, forced: tuple[Forced, ...]
    ) -> Plan:
        split = None if path is Path.KEEP else split_of(uid, stream_bytes(self.description), self._destinations)
        return Plan(
            path=path,
            reason=reason if split is None else f"{reason}; in {split.parts} parts: {split.why}",
            sop_class_uid=sop_class_uid,
            transfer_syntax_uid=uid,
            audio=self.audio,
            queue=CPU,
            estimated_seconds=estimates.copy_seconds(self.description.size_bytes),
            estimated_bytes=size,
            forced_by=forced,
            split=split,
            limit=None if path is Path.KEEP else limit_of(uid, self._destinations),
        )


def _only(uid: str) -> Acceptance:
    """The target that a person asked for takes itself and, for streams that are too long for one fragment, its twin."""
    return Acceptance(destination=f"--syntax {short(uid)}", syntaxes=frozenset({uid, f"{uid}.1"}))


def _quality(recipe: Recipe) -> str:
    """The constant-quality number, or how it is found, in the encoder's own word."""
    number = str(recipe.crf) if recipe.search is None else "as high as the gate allows"
    if of_encoder(recipe.encoder) != CPU:
        return f"quality {number} by {recipe.encoder}"
    return f"quantiser scale {number}" if recipe.codec == "mpeg2video" else f"crf {number}"


def _forced(path: Path, obstacle: Obstacle) -> Forced:
    return Forced(path=path, rule=obstacle.rule, clause=obstacle.clause, why=obstacle.why)


def _obstacle(finding: Finding) -> Obstacle:
    why = f"{finding.found} where {finding.required} is required ({finding.clause})"
    return Obstacle(finding.rule, finding.clause, why)


def _errors(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity == "error"]
