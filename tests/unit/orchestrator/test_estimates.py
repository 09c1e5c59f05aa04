"""The formulas of docs/estimates.md, with figures that can be checked by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.descriptions import clip, descriptions, video

from common.media import AudioStream
from common.recipes import ARCHIVE, DIAGNOSTIC, Audio, fixed
from orchestrator import estimates
from orchestrator.estimates import Line

CRF_18 = fixed(ARCHIVE).ladder[0]


def test_fifteen_minutes_at_4_to_18_megabit_are_450_megabytes_to_2_gigabytes() -> None:
    assert estimates.storage_bytes(4e6, 15 * 60) == 450_000_000
    assert estimates.storage_bytes(18e6, 15 * 60) == 2_025_000_000


def test_six_steps_of_crf_halve_the_bits() -> None:
    assert estimates.bits_per_sample(24) == pytest.approx(estimates.bits_per_sample(18) / 2)
    assert estimates.bits_per_sample(18) == pytest.approx(0.12)


def test_an_encode_is_never_larger_than_its_buffer_model_lets_through() -> None:
    samples = 1920 * 1080 * 60 * 10
    best = CRF_18.model_copy(update={"crf": 0})
    assert estimates.encoded_stream_bytes(best, samples, 10.0) == (50_000 * 10 + 62_500) * 1000 // 8
    assert estimates.encoded_stream_bytes(CRF_18, samples, 10.0) == int(samples * 0.12 / 8)


def test_luma_samples_are_those_of_the_encoded_picture() -> None:
    pal = video(width=720, height=576, pixel_aspect=Fraction(16, 15), frame_count=2)
    assert estimates.luma_samples(pal) == 768 * 576 * 2


def test_a_slower_preset_takes_longer_and_an_unknown_encoder_longest() -> None:
    samples = 1_000_000_000
    medium, slow = (estimates.encode_seconds(fixed(each).ladder[0], samples, 60) for each in (ARCHIVE, DIAGNOSTIC))
    unknown = estimates.encode_seconds(CRF_18.model_copy(update={"encoder": "other"}), samples, 60)
    assert medium < slow < unknown
    assert medium == pytest.approx(25.0)


def test_a_search_encodes_a_short_clip_in_each_probe_and_samples_of_a_long_one() -> None:
    search = ARCHIVE.ladder[0].search
    assert estimates.searched_encodes(None, 5) == 1
    assert estimates.searched_encodes(search, 5) == 3
    assert estimates.searched_encodes(search, 60) == pytest.approx(1 + 3 * 4 / 60)
    assert estimates.searched_encodes(search, 3600) == pytest.approx(1.15)
    found, given = (estimates.encoded_stream_bytes(each, 10**9, 60) for each in (ARCHIVE.ladder[0], CRF_18))
    assert found == pytest.approx(0.6 * given, rel=1e-6)


def test_a_transport_stream_costs_its_packet_headers() -> None:
    assert estimates.container_bytes(184_000, 0, "mpegts") == 188_000
    assert estimates.container_bytes(184_000, 100, "mp4") == 184_000 + 1_600 + 2_000


def test_a_rewrap_that_drops_sound_is_smaller_than_its_source() -> None:
    sound = (AudioStream(codec="aac", sample_rate=48_000, channels=2, bit_rate=192_000),)
    source = clip(
        video(bit_rate=4_000_000, frame_count=2500, duration_ms=100_000.0), size_bytes=52_500_000, audio=sound
    )
    dropped = estimates.rewrapped_bytes(source, Audio.STRIP, "mp4", new_container=True)
    kept = estimates.rewrapped_bytes(source, Audio.KEEP, "mp4", new_container=True)
    assert dropped == 50_000_000 + 2500 * 16 + 2_000 + 4_000
    assert kept - dropped == 2_400_000
    assert estimates.rewrapped_bytes(source, Audio.KEEP, "mp4", new_container=False) == 52_504_000


def test_a_gigabyte_over_a_hundred_megabit_takes_eighty_seconds_and_an_answer_an_object() -> None:
    line = Line(bytes_per_second=12_500_000, answer_seconds=0.1)
    assert estimates.transfer_seconds(10**9, 20, line) == pytest.approx(82.0)


def test_a_gigabyte_in_eighty_seconds_is_a_hundred_megabit() -> None:
    assert estimates.sustained_bit_rate(10**9, 80) == pytest.approx(100e6)
    assert estimates.sustained_bit_rate(10**9, 0) == 0


@given(st.lists(st.floats(0.1, 1000), min_size=1, max_size=40), st.integers(1, 8))
def test_a_queue_that_is_never_idle_ends_between_its_bounds(work: list[float], slots: int) -> None:
    ends = [0.0] * slots
    for seconds in work:  # as the farm does it: who is free first takes the next
        ends[ends.index(min(ends))] += seconds
    least, most = estimates.queue_seconds(sum(work), max(work), slots)
    assert least * 0.999_999 <= max(ends) <= most * 1.000_001


@given(descriptions())
def test_every_estimate_is_a_positive_number(source: object) -> None:
    for audio in Audio:
        assert estimates.encoded_bytes(CRF_18, source, audio, "mp4") > 0
        for new in (True, False):
            assert estimates.rewrapped_bytes(source, audio, "mpegts", new_container=new) > 0
