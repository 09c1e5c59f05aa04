"""Captured transcripts of hardware trials, read as an operator would: one line that says what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.capabilities import (
    DECODERS,
    HARDWARE,
    Capabilities,
    Listed,
    Trial,
    cause,
    checksums,
    decode_trial,
    encode_trial,
    parse_listed,
    parse_version,
)

PROBES = Path(__file__).parents[2] / "golden" / "probes"
BUILT = Listed("9.0", frozenset({"libx264", "libvmaf", *HARDWARE}))


def transcript(name: str) -> str:
    return (PROBES / f"{name}.txt").read_text()


def lines(name: str) -> list[str]:
    return transcript(name).splitlines()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no-driver-h264_nvenc", "Cannot load libcuda.so.1"),
        ("no-driver-h264_cuvid", "Cannot load libnvcuvid.so.1"),
        ("no-driver-hevc_qsv", "Error creating a MFX session: -9"),
        ("no-driver-h264_vaapi", "No VA display found for device /dev/dri/renderD128"),
        ("reported-no-nvenc-h264_nvenc", "No capable devices found"),
        (
            "reported-old-driver-h264_nvenc",
            "Driver does not support the required nvenc API version. Required: 13.0 Found: 12.2",
        ),
    ],
)
def test_the_reason_is_the_cause_and_not_its_consequences(name: str, reason: str) -> None:
    assert cause(transcript(name)) == reason


def test_a_transcript_without_a_known_cause_gives_its_first_line_without_addresses() -> None:
    assert cause("[h264_foo @ 0x55aa] [enc @ 0x1] Something new.\n[out] Nothing was written") == "Something new"


def test_silence_is_said_to_be_silence() -> None:
    assert cause("  \n") == "FFmpeg gave no reason"


def test_the_version_is_the_third_word_of_the_first_line() -> None:
    assert parse_version(lines("version")) == "n9.0.2-17-g2a571b6068-20260930"
    assert parse_version([]) == ""
    assert parse_version(["avconv version 12"]) == ""


def test_compiled_encoders_and_filters_are_the_second_column() -> None:
    assert {"libx264", "h264_nvenc", "hevc_vaapi"} <= parse_listed(lines("encoders"))
    assert "libvmaf" in parse_listed(lines("filters"))
    assert "libvmaf" not in parse_listed([line for line in lines("filters") if " libvmaf " not in line])


def test_checksums_are_compared_without_time_stamps() -> None:
    one = ["#format: frame checksums", "0,          0,          0,        1,    55296, 0123abcd"]
    two = ["#format: other", "0,          9,          9,        1,    55296, 0123abcd"]
    assert checksums(one) == checksums(two) == ("0123abcd",)


def test_a_gpu_without_nvenc_is_decode_only_and_serves_no_gpu_queue() -> None:
    encoders = tuple(Trial(name, False, cause(transcript("reported-no-nvenc-h264_nvenc"))) for name in HARDWARE)
    decoders = (Trial("h264_cuvid", True), Trial("hevc_cuvid", True), Trial("h264_qsv", False, "no"))
    found = Capabilities(BUILT, encoders, decoders)
    assert found.working_decoders == ("h264_cuvid", "hevc_cuvid")
    assert found.working_encoders == ("libx264",)
    assert found.served == ("describe", "cpu", "deliver")


def test_each_family_that_encodes_opens_its_queue_once() -> None:
    found = Capabilities(BUILT, tuple(Trial(name, not name.endswith("_qsv")) for name in HARDWARE))
    assert found.served == ("describe", "cpu", "deliver", "gpu.nvenc", "gpu.vaapi")


@pytest.mark.parametrize("name", HARDWARE)
def test_a_test_encode_names_its_encoder_and_counts_frames(name: str) -> None:
    words = encode_trial(name, "/dev/dri/renderD200")
    assert words[words.index("-c:v") + 1] == name
    assert "-progress" in words
    assert ("/dev/dri/renderD200" in words) == name.endswith("_vaapi")


@pytest.mark.parametrize("name", DECODERS)
def test_a_test_decode_cannot_fall_back_to_software(name: str) -> None:
    words = decode_trial(name, Path("sample.h264"), "/dev/dri/renderD128")
    forced = words[words.index("-c:v") + 1] == name if "-c:v" in words else any("hwdownload" in word for word in words)
    assert forced
    assert words.index("-i") < words.index("-f")
