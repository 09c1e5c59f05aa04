"""A description in words: pure."""

from __future__ import annotations

from common.media import AudioStream, Description, DicomFacts, Scan, VideoStream
from orchestrator.reports import words
from orchestrator.reports.words import uid_name

SCANS = {
    Scan.PROGRESSIVE: "progressive",
    Scan.TOP_FIELD_FIRST: "interlaced, top field first",
    Scan.BOTTOM_FIELD_FIRST: "interlaced, bottom field first",
}


def facts(value: Description) -> dict[str, str]:
    """What a source is, as label and text, in the order of reading."""
    video = value.video
    said = {
        "container": f"{value.container}, {words.size(value.size_bytes)}",
        "video": _picture(video),
        "timing": _timing(video),
        "colour": _colour(video),
        "sound": "; ".join(map(_sound, value.audio)) or "none",
    }
    if value.other_streams:
        said["other streams"] = str(value.other_streams)
    if value.dicom is not None:
        said |= _identity(value.dicom)
    said["SHA-256"] = value.digest
    return said | {f"note {number}": note for number, note in enumerate(value.notes, 1)}


def _picture(video: VideoStream) -> str:
    parts = [
        f"{video.codec} {video.profile or ''}".strip(),
        "" if video.level_idc is None else f"level_idc {video.level_idc}",
        f"{video.width}×{video.height}",
        "" if video.pixel_aspect == 1 else f"pixel aspect {video.pixel_aspect}",
        f"turned by {video.rotation}°" if video.rotation else "",
        f"{video.bit_rate / 1e6:.3g} Mbit/s" if video.bit_rate else "",
        "frame-packed stereo" if video.frame_packed else "",
    ]
    return ", ".join(filter(None, parts))


def _timing(video: VideoStream) -> str:
    pace = "" if video.constant_rate else " (variable)"
    seconds = video.duration_ms / 1000
    return f"{float(video.frame_rate):.6g} frames/s{pace}, {video.frame_count} frames, {seconds:.2f} s, {SCANS[video.scan]}"


def _colour(video: VideoStream) -> str:
    reach = {True: "full range", False: "limited range", None: "range untagged"}[video.full_range]
    tags = "/".join(tag or "untagged" for tag in (video.matrix, video.primaries, video.transfer))
    return f"{video.pixel_format}, {video.chroma}, {video.bit_depth} bit, {reach}, {tags}"


def _sound(audio: AudioStream) -> str:
    rate = f", {audio.bit_rate / 1000:.0f} kbit/s" if audio.bit_rate else ""
    return f"{audio.codec} {audio.sample_rate} Hz, {audio.channels} channel{'' if audio.channels == 1 else 's'}{rate}"


def _identity(dicom: DicomFacts) -> dict[str, str]:
    return {
        "SOP class": f"{uid_name(dicom.sop_class_uid)} ({dicom.sop_class_uid})",
        "transfer syntax": f"{uid_name(dicom.transfer_syntax_uid)} ({dicom.transfer_syntax_uid})",
        "pixels": f"{dicom.photometric}, {dicom.rows} rows, {dicom.columns} columns, {dicom.number_of_frames} frames, "
        f"{dicom.bits_allocated}/{dicom.bits_stored} bits, lossy: {'yes' if dicom.lossy else 'not said'}",
        "modality": dicom.modality or "none",
        "SOP instance": dicom.sop_instance_uid,
        "series": dicom.series_uid,
        "study": dicom.study_uid,
    }
