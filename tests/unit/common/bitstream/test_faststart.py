"""faststart: every sample keeps its bytes, moov comes first, and FFmpeg plays the result alike."""

from __future__ import annotations

import hashlib
import subprocess
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from struct import iter_unpack, pack

import av
import imageio_ffmpeg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.bitstream import BitstreamError
from common.bitstream.faststart import CHUNK_BYTES, faststart
from common.bitstream.mp4 import TruncatedMp4Error, read_layout

ONE = [[[10, 20], [5]]]


def rearranged(data: bytes) -> bytes:
    f = BytesIO(data)
    fast = faststart(f, read_layout(f))
    result = b"".join(fast.stream())
    assert len(result) == fast.length
    return result


def samples(data: bytes, tracks: list[list[list[int]]]) -> list[bytes]:
    """Each chunk's bytes, found through the offsets that the file's own tables give."""
    found, at = [], 0
    for chunks in tracks:
        at, entry = min(
            (place, size) for kind, size in ((b"stco", 4), (b"co64", 8)) if (place := data.find(kind, at + 1)) > 0
        )
        table = data[at + 12 : at + 12 + entry * len(chunks)]
        for (offset,), chunk in zip(iter_unpack(">I" if entry == 4 else ">Q", table), chunks, strict=True):
            found.append(data[offset : offset + sum(chunk)])
    return found


chunk_lists = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=4), min_size=1, max_size=5)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tracks=st.lists(chunk_lists, min_size=1, max_size=3), wide=st.booleans(), gap=st.integers(0, 30))
def test_every_chunk_is_found_again_with_its_bytes(write_mp4, write_box, tracks, wide, gap):
    data = write_mp4(tracks, wide=wide, between=write_box("free", bytes(gap)))
    result = rearranged(data)
    layout = read_layout(BytesIO(result))
    assert layout.moov_first
    assert samples(result, tracks) == samples(data, tracks)
    assert sorted(box.type for box in layout.boxes) == ["free", "ftyp", "mdat", "moov"]


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tracks=st.lists(chunk_lists, min_size=1, max_size=3))
def test_a_rearranged_file_is_left_alone(write_mp4, tracks):
    once = rearranged(write_mp4(tracks))
    assert rearranged(once) == once


def test_media_before_and_behind_moov_both_keep_their_bytes(write_mp4, write_box):
    """Old recorders write mdat, moov, mdat: offsets behind moov move by the difference only."""
    data = bytearray(write_mp4(ONE) + write_box("mdat", b"second"))
    stco = data.index(b"stco")
    data[stco + 16 : stco + 20] = pack(">I", len(data) - 6)
    result = rearranged(bytes(data))
    assert samples(result, ONE)[1] == b"secon"
    assert [box.type for box in read_layout(BytesIO(result)).boxes] == ["ftyp", "moov", "mdat", "mdat"]


def test_offsets_that_pass_32_bits_become_wide(write_mp4, tmp_path):
    """A sparse file: 4 GiB less a little of mdat, so that only the shift takes the last chunk past 2^32."""
    small = write_mp4(ONE)
    layout = read_layout(BytesIO(small))
    moov = bytearray(small[layout.moov.offset :])
    mdat_end = 2**32 - 100
    stco = moov.index(b"stco")
    moov[stco + 12 : stco + 20] = pack(">II", 24, mdat_end - 5)
    path = tmp_path / "long.mp4"
    with path.open("wb+") as f:
        f.write(small[:16] + pack(">I4s", mdat_end - 16, b"mdat"))
        f.seek(mdat_end - 5)
        f.write(b"LAST!" + moov)
        fast = faststart(f, read_layout(f))
        moved = next(part for part in fast.parts if isinstance(part, bytes))
    co64 = moved.index(b"co64")
    grown = len(moved)
    assert grown == len(moov) + 2 * 4
    assert [offset for (offset,) in iter_unpack(">Q", moved[co64 + 12 : co64 + 28])] == [
        24 + grown,
        mdat_end - 5 + grown,
    ]
    assert fast.length == mdat_end + grown


def test_chunks_are_bounded_and_the_stream_can_be_read_again(write_mp4):
    f = BytesIO(write_mp4([[[3 * CHUNK_BYTES]]]))
    fast = faststart(f, read_layout(f))
    first, again = list(fast.stream()), list(fast.stream())
    assert max(map(len, first)) <= CHUNK_BYTES
    assert first == again


def test_a_file_that_shrank_is_truncated(write_mp4):
    f = BytesIO(write_mp4(ONE, moov_first=True))
    fast = faststart(f, read_layout(f))
    f.truncate(40)
    with pytest.raises(TruncatedMp4Error):
        list(fast.stream())


def test_offsets_that_are_not_understood_are_refused(write_mp4, write_full_box, write_box):
    with pytest.raises(BitstreamError, match="saio"):
        rearranged(write_mp4(ONE, extra=write_full_box("saio", bytes(8))))
    with pytest.raises(BitstreamError, match="beside the movie"):
        rearranged(write_mp4(ONE, between=write_box("meta", bytes(8))))
    with pytest.raises(BitstreamError, match="fragment"):
        rearranged(write_mp4(ONE, between=write_box("moof")))


def test_boxes_nested_without_end_cost_no_stack(write_mp4, write_box):
    nested = b""
    for _ in range(3000):
        nested = write_box("stbl", nested)
    assert read_layout(BytesIO(rearranged(write_mp4(ONE, extra=nested)))).moov_first


def ffmpeg(*arguments: str | Path) -> bytes:
    program = imageio_ffmpeg.get_ffmpeg_exe()
    return subprocess.run(
        [program, "-v", "error", "-y", *map(str, arguments)], check=True, capture_output=True, timeout=60
    ).stdout


def frame_digests(path: Path) -> bytes:
    return ffmpeg("-i", path, "-map", "0", "-f", "framemd5", "-")


@pytest.fixture(scope="module", params=["mp4", "mov"])
def clip(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("faststart") / f"clip.{request.param}"
    picture, sound = "testsrc2=s=160x120:r=25:d=1", "sine=d=1:r=48000"
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-c:v", "libx264", "-bf", "2", "-c:a", "aac", path)
    return path


def test_ffmpeg_decodes_the_result_as_the_source(clip, tmp_path):
    result = tmp_path / clip.name
    result.write_bytes(rearranged(clip.read_bytes()))
    assert frame_digests(result) == frame_digests(clip)


def test_ffmpegs_own_faststart_holds_the_same_packets(clip, tmp_path):
    ours, theirs = tmp_path / f"ours{clip.suffix}", tmp_path / f"theirs{clip.suffix}"
    ours.write_bytes(rearranged(clip.read_bytes()))
    ffmpeg("-i", clip, "-map", "0", "-c", "copy", "-movflags", "+faststart", theirs)
    assert packets(ours) == packets(theirs)
    assert read_layout(BytesIO(theirs.read_bytes())).moov_first


def packets(path: Path) -> list[tuple[int, int | None, int | None, str]]:
    with av.open(str(path)) as container:
        return [
            (packet.stream_index, packet.pts, packet.dts, hashlib.sha256(bytes(packet)).hexdigest())
            for packet in container.demux()
            if packet.size
        ]


def test_the_media_bytes_are_those_of_the_source(clip):
    data = clip.read_bytes()
    result = rearranged(data)
    old, new = (next(box for box in read_layout(BytesIO(d)).boxes if box.type == "mdat") for d in (data, result))
    assert result[new.offset : new.end] == data[old.offset : old.end]
    boxes = read_layout(BytesIO(result)).boxes
    assert all(before.end == after.offset for before, after in pairwise(boxes))


@pytest.mark.parametrize("index", ["last", "first"])
def test_tags_do_not_travel_with_the_video(clip, tmp_path, index):
    tagged = tmp_path / f"tagged{clip.suffix}"
    names = ("-metadata", "title=Doe^Jane", "-metadata", "location=+52.5+013.4/", "-metadata:s:v", "title=Doe^Jane")
    flags = ("-movflags", "+use_metadata_tags+faststart" if index == "first" else "+use_metadata_tags")
    ffmpeg("-i", clip, "-map", "0", "-c", "copy", *names, *flags, tagged)
    data = tagged.read_bytes()
    result = rearranged(data)
    assert b"Doe" in data
    assert b"Doe" not in result
    assert b"+52.5" not in result
    kept = tmp_path / f"kept{clip.suffix}"
    kept.write_bytes(result)
    assert packets(kept) == packets(tagged)
