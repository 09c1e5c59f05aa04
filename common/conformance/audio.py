"""Rules on sound. A breach of an error here is mended by making the sound anew or dropping it; the video stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from common.conformance.rules import Breach, Rule, StreamCase
from common.media import AudioStream

_CLAUSE = "PS3.5 8.2.12"


@dataclass(frozen=True)
class AudioFormat:
    """What PS3.5 says of one audio format: Hz, channels, bit/s."""

    name: str
    rates: tuple[int, ...]
    channels: tuple[int, ...]
    max_bit_rate: int | None
    containers: tuple[str, ...] = ("mpegts", "mp4")


_MPEG_RATES = (32_000, 44_100, 48_000)

FORMATS: dict[str, AudioFormat] = {
    "aac": AudioFormat("AAC", (48_000,), (2, 6), 640_000),
    "ac3": AudioFormat("AC-3", (48_000,), (2, 6), 640_000, ("mpegts",)),
    "mp3": AudioFormat("MP3", _MPEG_RATES, (1, 2), 320_000),
    "mp2": AudioFormat("MPEG-1 Layer II", _MPEG_RATES, (2,), 384_000),
    "pcm": AudioFormat("LPCM", (48_000, 96_000), (2,), 4_608_000, ("mpegts",)),
}
"""Sound beside H.264 and HEVC (PS3.5 8.2.12 and its table of containers); keys are FFmpeg's codec names, 'pcm' its family."""

MPEG2_FORMATS: dict[str, AudioFormat] = {"mp3": AudioFormat("MP3", _MPEG_RATES, (1, 2), None, ())}
"""Sound beside MPEG-2 video (PS3.5 8.2.5; 8.2.6 refers to it)."""


def audio_format(case: StreamCase) -> Iterator[Breach]:
    """Sound is AAC, MP3 or MPEG-1 Layer II, in a transport stream also AC-3 or LPCM; beside MPEG-2 video only MP3."""
    allowed = ", ".join(row.name for row in _formats(case).values())
    for stream, row in _streams(case):
        if row is None:
            yield Breach(f"{stream.codec} sound", allowed)


def audio_container(case: StreamCase) -> Iterator[Breach]:
    """AC-3 and LPCM lie in a transport stream only."""
    for _, row in _streams(case):
        if row and row.containers and case.description.container not in row.containers:
            yield Breach(f"{row.name} sound in {case.description.container}", f"{row.name} in {row.containers[0]} only")


def audio_rate(case: StreamCase) -> Iterator[Breach]:
    """The sampling frequency is one that the format is given: 48 kHz for AAC and AC-3."""
    for stream, row in _streams(case):
        if row and stream.sample_rate not in row.rates:
            wanted = " or ".join(f"{rate:,}" for rate in row.rates)
            yield Breach(f"{row.name} sound at {stream.sample_rate:,} Hz", f"{wanted} Hz")


def audio_channels(case: StreamCase) -> Iterator[Breach]:
    """The number of channels is one that the format is given: 2 or 5.1 for AAC and AC-3."""
    for stream, row in _streams(case):
        if row and stream.channels not in row.channels:
            wanted = " or ".join("5.1" if count == 6 else str(count) for count in row.channels)
            yield Breach(f"{row.name} sound with {stream.channels} channels", f"{wanted} channels")


def audio_bit_rate(case: StreamCase) -> Iterator[Breach]:
    """The bit rate is not above the format's maximum."""
    for stream, row in _streams(case):
        if row and row.max_bit_rate and stream.bit_rate and stream.bit_rate > row.max_bit_rate:
            yield Breach(f"{row.name} sound of {stream.bit_rate:,} bit/s", f"at most {row.max_bit_rate:,} bit/s")


def audio_profile(case: StreamCase) -> Iterator[Breach]:
    """AAC is of the Low Complexity profile, which every decoder plays; HE-AAC is heard dull or not at all."""
    for stream, _ in _streams(case):
        if stream.codec == "aac" and stream.profile not in (None, "LC"):
            yield Breach(f"AAC of profile {stream.profile}", "LC")


def audio_layout(case: StreamCase) -> Iterator[Breach]:
    """Six channels are 5.1: left, right, centre, low frequencies and two surrounds (PS3.5 8.2.12: 2 or 5.1 channels)."""
    for stream, row in _streams(case):
        if row and stream.channels == 6 and stream.layout and not stream.layout.startswith("5.1"):
            yield Breach(f"{row.name} sound laid out as {stream.layout}", "5.1")


def audio_constant(case: StreamCase) -> Iterator[Breach]:
    """MP3 has a constant bit rate: every frame names the same."""
    for stream, row in _streams(case):
        if row and row.name == "MP3" and stream.constant_bit_rate is False:
            yield Breach(f"{row.name} sound of variable bit rate", f"{row.name} of constant bit rate")


def audio_tracks(case: StreamCase) -> Iterator[Breach]:
    """One sound stream: viewers play the first and hide the others."""
    if len(case.description.audio) > 1:
        yield Breach(f"{len(case.description.audio)} sound streams", "one")


def may_stay(stream: AudioStream) -> bool:
    """Whether sound is legal as it is beside H.264 and HEVC in MP4; of which only a warning is said may stay."""
    row = FORMATS.get(stream.codec)
    return (
        row is not None
        and "mp4" in row.containers
        and stream.sample_rate in row.rates
        and stream.channels in row.channels
        and (stream.bit_rate or 0) <= (row.max_bit_rate or 0)
        and not (row.name == "MP3" and stream.constant_bit_rate is False)
        and not (stream.channels == 6 and stream.layout and not stream.layout.startswith("5.1"))
    )


def _formats(case: StreamCase) -> dict[str, AudioFormat]:
    return MPEG2_FORMATS if case.syntax.codec == "mpeg2video" else FORMATS


def _streams(case: StreamCase) -> Iterator[tuple[AudioStream, AudioFormat | None]]:
    for stream in case.description.audio:
        family = "pcm" if stream.codec.startswith("pcm_") else stream.codec.removesuffix("float")
        yield stream, _formats(case).get(family)


AUDIO_RULES: tuple[Rule[StreamCase], ...] = (
    Rule("audio.format", f"{_CLAUSE}, 8.2.5", "error", audio_format),
    Rule("audio.container", _CLAUSE, "error", audio_container),
    Rule("audio.rate", f"{_CLAUSE}, 8.2.5", "error", audio_rate),
    Rule("audio.channels", f"{_CLAUSE}, 8.2.5", "error", audio_channels),
    Rule("audio.bit_rate", _CLAUSE, "error", audio_bit_rate),
    Rule("audio.constant", f"{_CLAUSE}, 8.2.5", "error", audio_constant),
    Rule("audio.layout", _CLAUSE, "error", audio_layout),
    Rule("audio.profile", _CLAUSE, "warning", audio_profile),
    Rule("audio.tracks", "OHIF and DICOMweb viewers", "note", audio_tracks),
)
