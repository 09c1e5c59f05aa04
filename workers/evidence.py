"""The evidence of one attempt: what was read, what was decided and why, what came out, how it was judged."""

from __future__ import annotations

import json
from typing import Any

from common.handling import DynamicRange, Interlaced, RatePolicy
from common.orders import Path, TranscodeDone, TranscodeOrder
from workers.alignment import Alignment
from workers.colour_check import ColourCheck
from workers.exact import ExactProof
from workers.ffmpeg.parse import Scores
from workers.ffmpeg.treatment import Shown
from workers.looks import Looks
from workers.quality import worst_frames
from workers.search import Probe, Searched
from workers.worst import Drawn

WORST_FRAMES = 5


def evidence(
    order: TranscodeOrder,
    done: TranscodeDone,
    *,
    scores: Scores | None,
    tools: dict[str, str],
    argv: tuple[str, ...],
    complaints: str,
    chunks: tuple[dict[str, Any], ...] = (),
    frames: dict[str, Any] | None = None,
    mapping: tuple[Shown, ...] = (),
    searched: Searched | None = None,
    colours: ColourCheck | None = None,
    looks: Looks | None = None,
    alignment: Alignment | None = None,
    stride: int = 1,
    stream_digest: str | None = None,
    pictures: tuple[str, ...] = (),
    worst: Drawn | None = None,
    exact: ExactProof | None = None,
    first_misses: tuple[str, ...] = (),
) -> bytes:
    """Canonical JSON (sorted keys): the same attempt at the same work gives the same bytes; no header values but UIDs.

    Fields: source, plan (with reason, recipe and gate), output, verdict, scores (pooled; common.recipes.Threshold names
    the statistics), worst_frames (numbers from 0, the worst first), findings, tools, command, decoder_messages; chunks
    where many workers made one video (command is the first chunk's then); frames where each was coded by itself: coder and
    second decoder, SHA-256 of every frame's values, and which frames the second decoder read otherwise; treatment where a
    policy changed the pictures; search where the quality number was looked for: every probe, with its scores;
    measured: the stride (frames 0, n, 2n … were scored), and figures that were asked for and cannot be had; alignment: whether each
    frame shows its source's (workers.alignment);
    colours: how far pictures of the result are from the source's, each read by its own tags (workers.colour_check);
    pictures: frozen, black and repeated frames of source and output, gaps of time stamps, and sound against pictures; region: where
    figures were taken a second time (they end in _inside), or why nowhere (docs/quality.md describes both);
    elementary_stream where the video was copied: the SHA-256 of its stream in the source and in Pixel Data, in the normal form
    of workers.elementary (null: not taken). Of a split source output is the first part with the bytes of all, and parts lists
    each; worst_pictures: the worst frames of the metric that decided, each a picture that lies beside the evidence
    (workers.worst); exact: by what the result is proven to be the source to the bit, where it is (workers.exact);
    measured_again: what was missed where a device had decoded, before the CPU decoded and the score was taken again
    (workers.second_look); ``pictures`` are the SHA-256 of what each part, decoded alone, shows (workers.parts).
    """
    value: dict[str, Any] = {
        "version": 1,
        "source": {"digest_sha256": order.description.digest, "description": _described(order)},
        "plan": order.plan.model_dump(mode="json"),
        "output": {
            "digest_sha256": done.instance_digest,
            "size_bytes": done.instance_bytes,
            "video_bytes": done.video_bytes,
            "frames": done.output_frames,
            "sop_instance_uid": done.sop_instance_uid if done.parts else order.sop_instance_uid,
            "sop_class_uid": order.plan.sop_class_uid,
            "transfer_syntax_uid": order.plan.transfer_syntax_uid,
        },
        "verdict": done.verdict.model_dump(mode="json"),
        "scores": {metric: pooled.model_dump(mode="json", exclude_none=True) for metric, pooled in done.scores.items()},
        "worst_frames": worst_frames(scores, WORST_FRAMES, stride) if scores else {},
        "findings": [finding.model_dump(mode="json") for finding in done.findings],
        "tools": tools,
        "command": list(argv),
        "decoder_messages": complaints,
    }
    if order.plan.path in (Path.REWRAP, Path.REAUDIO):
        before = order.description.video.stream_digest
        value["elementary_stream"] = {"source_sha256": before, "output_sha256": stream_digest}
    if done.parts:
        value["parts"] = [
            part.model_dump(mode="json") | {"pictures_sha256": digest}
            for part, digest in zip(done.parts, pictures, strict=True)
        ]
    if chunks:
        value["chunks"] = list(chunks)
    if frames is not None:
        value["frames"] = frames
    if scores:
        value["measured"] = measured(order, scores, stride)
    if alignment is not None:
        value["alignment"] = alignment.json()
    if colours is not None:
        value["colours"] = colours.json()
    if looks is not None:
        value["pictures"] = looks.json()
    if looks is not None and looks.region is not None:
        value["region"] = looks.region.json()
    if worst is not None:
        value["worst_pictures"] = worst.json()
    if first_misses:
        value["measured_again"] = {
            "why": "a device had decoded the encoder's pictures",
            "first_misses": list(first_misses),
        }
    if exact is not None:
        value["exact"] = exact.json()
    if searched is not None:
        value["search"] = curve(searched)
    if treated := treatment(order, mapping):
        value["treatment"] = treated
    return json.dumps(value, sort_keys=True, indent=1, allow_nan=False).encode()


def _described(order: TranscodeOrder) -> dict[str, Any]:
    """Without what a job's rules made of its header: the same work of another job finds this result."""
    return order.description.model_dump(mode="json", exclude={"header_rules"})


def measured(order: TranscodeOrder, scores: Scores, stride: int) -> dict[str, Any]:
    """Which frames were scored, and what was asked for and cannot be had of pictures so small."""
    gate = order.plan.gate
    lacking = sorted(figure for figure in (gate.measured if gate else ()) if figure not in scores)
    return {
        "stride": stride,
        "frames": len(next(iter(scores.values()))),
        "not_measured": dict.fromkeys(lacking, "libvmaf does not compute it on pictures this small"),
    }


def curve(searched: Searched) -> dict[str, Any]:
    """How the quality number was found: probes of samples (or of the whole, for a short clip), then the wholes."""

    def rows(probes: tuple[Probe, ...]) -> list[dict[str, Any]]:
        return [
            {
                "quality": probe.crf,
                "frames": probe.frames,
                "video_bytes": probe.video_bytes,
                "seconds": round(probe.seconds, 3),
                "cpu_seconds": round(probe.cpu_seconds, 3),
                "part_of_peak_rate": probe.load,
                "scores": {metric: pooled.model_dump(mode="json") for metric, pooled in probe.pooled.items()},
            }
            for probe in probes
        ]

    return {
        "chosen": searched.chosen,
        "sampled": searched.sampled,
        "probes": rows(searched.probes),
        "wholes": rows(searched.wholes) if searched.sampled else [],
        "why_not_sampled": searched.why_not,
        "remembered": searched.remembered,
        "peak_rate_used_up": searched.capped,
    }


REFERENCE = "the treated picture: the scores judge the encoder, not the treatment"


def treatment(order: TranscodeOrder, mapping: tuple[Shown, ...]) -> dict[str, Any]:
    """What the policies did to the pictures before they were encoded, and what the scores therefore speak of; empty: nothing."""
    handling, video = order.plan.handling, order.description.video
    done: dict[str, Any] = {}
    if handling.interlaced is Interlaced.DEINTERLACE:
        done["deinterlaced"] = {"by": "bwdif, one frame for each coded frame", "field_order": video.scan}
    if handling.rate is RatePolicy.CONSTANT and video.steady:
        done["constant_rate"] = {
            "rate": str(video.steady.rate),
            "columns": ["first source frame", "frames", "times each is shown"],
            "mapping": [[run.first, run.count, run.times] for run in mapping],
        }
    if handling.dynamic_range is DynamicRange.TONE_MAP:
        done["tone_mapped"] = {"from": video.transfer, "to": "bt709", "operator": "hable"}
    return done | {"reference": REFERENCE} if done else {}
