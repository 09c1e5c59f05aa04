"""What work will cost, before any is done: bytes, seconds, bit/s. Pure; docs/estimates.md has each formula with its source."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from common.media import Description, VideoStream
from common.picture import encoded_size
from common.queues import CPU, of_encoder
from common.recipes import Audio, Recipe, Search

ENCODE_SPEED = {
    ("libx264", "medium"): 40e6,
    ("libx264", "slow"): 20e6,
    ("libx265", "medium"): 12e6,
    ("libx265", "slow"): 8e6,
    ("mpeg2video", ""): 40e6,
}
"""Encoder and preset → luma samples/s, encoded and measured on two cores (benchmarks/bench_gate.py; libx265: a guess)."""

DEVICE_SPEED, SLOWEST = 40e6, 6e6
"""Of any device, which waits for the measurement on the CPU, and of what is not in the table."""

COPY_BYTES_PER_SECOND = 150e6
"""Rewrapping speed on one disk, hashes and fsync included (benchmarks/bench_rewrap.py)."""

REFERENCE_CRF, REFERENCE_BITS, HALVING_STEPS = 18, 0.12, 6
"""Coded bits a luma sample at crf 18, and how many steps of crf halve them (x264's scale: the quantiser's step doubles every 6,
H.264 8.5.8). Content moves it by a factor of three either way."""

MP4_FRAME_BYTES, MP4_BYTES = 16, 2_000
"""Tables of an MP4 for each sample (stsz, stts, ctts, stco: ISO/IEC 14496-12 8.6, 8.7), and its fixed boxes."""

TS_PACKET, TS_PAYLOAD, PES_BYTES = 188, 184, 19
"""ISO/IEC 13818-1 2.4.3.2: 4 of 188 bytes are the packet's header; 2.4.3.6: a PES header with both time stamps."""

DICOM_BYTES = 4_000
"""Header of a typical instance, its item and delimiters included."""

USUAL_PROBES = 3
"""Encodes that a search takes before, or with, the last (benchmarks/bench_target.py)."""

SEARCHED_BYTES = 0.6
"""Of the bytes at a ladder's number, those at the number that is found (median of benchmarks/bench_target.py)."""

EVIDENCE_BYTES, SCORE_BYTES = 8_000, 24
"""evidence.json, and the compressed scores of one frame."""


@dataclass(frozen=True)
class Line:
    """The way to a destination: bytes/s, and the seconds that each object waits for its answer."""

    bytes_per_second: float
    answer_seconds: float = 0.05


def storage_bytes(bit_rate: float, seconds: float) -> int:
    """Bytes of a stream of so many bit/s: rate × time / 8. Megabit per second × seconds / 8 is megabytes, / 1000 gigabytes."""
    return ceil(bit_rate * seconds / 8)


def luma_samples(video: VideoStream) -> int:
    """Luma samples that an encode has to make, all frames together."""
    width, height = encoded_size(video)
    return width * height * video.frame_count


def encode_seconds(recipe: Recipe, samples: int, seconds: float) -> float:
    """Wall time on one slot for a video of so many seconds: encoded and measured in one process, its number looked for."""
    return samples * searched_encodes(recipe.search, seconds) / encode_speed(recipe)


def searched_encodes(search: Search | None, seconds: float) -> float:
    """How often the whole is encoded in effect: a short clip in each probe, a long one in the samples of each and once whole."""
    if search is None:
        return 1.0
    if seconds <= search.whole_seconds:
        return float(min(search.probes, USUAL_PROBES))
    return 1 + USUAL_PROBES * min(1.0, max(search.share, search.least_seconds / seconds))


def encode_speed(recipe: Recipe) -> float:
    """Luma samples/s of an encoder and its preset."""
    if of_encoder(recipe.encoder) != CPU:
        return DEVICE_SPEED
    return ENCODE_SPEED.get((recipe.encoder, recipe.preset), SLOWEST)


def bits_per_sample(crf: int) -> float:
    """Coded bits a luma sample at a constant-quality number."""
    return float(REFERENCE_BITS * 2 ** ((REFERENCE_CRF - crf) / HALVING_STEPS))


def encoded_stream_bytes(recipe: Recipe, samples: int, seconds: float) -> int:
    """Bytes of the coded video: by bits a sample, and never more than the VBV lets through (peak rate × time + buffer)."""
    wanted = samples * bits_per_sample(recipe.crf) * (SEARCHED_BYTES if recipe.search else 1)
    most = 1000 * (recipe.max_rate_kbit * seconds + recipe.buffer_kbit)
    return ceil(min(wanted, most) / 8)


def container_bytes(stream_bytes: int, frames: int, container: str) -> int:
    """A stream with its container around it; of a transport stream's last packet of a frame half is stuffing."""
    if container == "mpegts":
        packets = ceil(stream_bytes / TS_PAYLOAD) + frames
        return packets * TS_PACKET + frames * PES_BYTES
    return stream_bytes + frames * MP4_FRAME_BYTES + MP4_BYTES


def sound_bytes(description: Description, audio: Audio) -> int:
    """Bytes of the sound that stays."""
    if audio is Audio.STRIP:
        return 0
    seconds = description.video.duration_ms / 1000
    return sum(storage_bytes(stream.bit_rate or 192_000, seconds) for stream in description.audio[:1])


def encoded_bytes(recipe: Recipe, description: Description, audio: Audio, container: str) -> int:
    """Bytes of the instance that an encode makes."""
    video = description.video
    stream = encoded_stream_bytes(recipe, luma_samples(video), video.duration_ms / 1000)
    sound = sound_bytes(description, audio)
    return container_bytes(stream + sound, video.frame_count, container) + DICOM_BYTES


def rewrapped_bytes(description: Description, audio: Audio, container: str, *, new_container: bool) -> int:
    """Bytes of the instance that a rewrap makes: the same stream; a container that is carried over keeps its size."""
    video = description.video
    if not new_container or video.bit_rate is None:
        return description.size_bytes + (0 if description.dicom else DICOM_BYTES)
    stream = storage_bytes(video.bit_rate, video.duration_ms / 1000) + sound_bytes(description, audio)
    return container_bytes(stream, video.frame_count, container) + DICOM_BYTES


def copy_seconds(size_bytes: int) -> float:
    """Wall time of a keep or a rewrap on one slot."""
    return size_bytes / COPY_BYTES_PER_SECOND


def transfer_seconds(size_bytes: int, objects: int, line: Line) -> float:
    """Time on the wire: bytes over bandwidth, and an answer for each object."""
    return size_bytes / line.bytes_per_second + objects * line.answer_seconds


def queue_seconds(total: float, longest: float, slots: int) -> tuple[float, float]:
    """(least, most) time in which ``slots`` workers that are never idle do work of ``total`` seconds (Graham 1969).

    No order of the work is quicker than the first, none is slower than the second.
    """
    least = max(total / slots, longest)
    return least, total / slots + longest * (1 - 1 / slots)


def sustained_bit_rate(size_bytes: int, seconds: float) -> float:
    """Bit/s that must flow all the time to bring so many bytes in so many seconds; 0 where nothing takes time."""
    return 8 * size_bytes / seconds if seconds > 0 else 0.0


def evidence_bytes(frames_measured: int) -> int:
    """Bytes that stay beside one instance: the evidence, and a score for each frame that was measured."""
    return EVIDENCE_BYTES + SCORE_BYTES * frames_measured


def scratch_bytes(largest: int, slots: int) -> int:
    """Disk that the work needs besides its results: a written and a packaged copy in each slot."""
    return 2 * largest * slots
