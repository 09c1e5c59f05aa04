"""Real chunks of real clips: exact frames, scores as in the whole, one legal stream, sound once."""

from __future__ import annotations

import json
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from support.chunks import NOISE, SOURCES, X264, Hall, ffmpeg, frames, make

from common.bitstream import h264
from common.bitstream.bits import BitReader, unescaped
from common.bitstream.nal import annex_b, nal_units, parameter_sets
from common.errors import ConformanceBroken, StoreFault, UnreadableSource
from common.ffmpeg import ffmpeg_program
from common.media import Description, Scan
from common.recipes import Audio, Search
from common.settings import Settings
from workers.assemble import assemble
from workers.attempt import Attempt
from workers.chunk_encode import STREAM
from workers.chunks import chunk_scores
from workers.encode import encode
from workers.ffmpeg import command
from workers.ffmpeg.conversion import Picture, conversion
from workers.ffmpeg.measurement import Measurement
from workers.ffmpeg.parse import Scores, parse_scores
from workers.sources import open_source
from workers.stitch import Headers, read_headers


@pytest.fixture
def hall(tmp_path: Path) -> Hall:
    return Hall(tmp_path)


@pytest.mark.parametrize("name", SOURCES)
def test_every_part_of_a_video_is_read_to_the_very_frame(hall: Hall, tmp_path: Path, name: str) -> None:
    from workers.chunk_encode import open_part

    source = make(tmp_path / name, *SOURCES[name])
    description = hall.describe(source)
    cut = hall.split(description, 4)
    assert len(cut.parts) == 4
    seen: list[str] = []
    for part in cut.parts:
        media = open_part(source, description, part, cut.timeline, hall.scratch)
        assert media.feed is not None
        assert cut.timeline is not None
        piped = tmp_path / "part.nut"
        with piped.open("wb") as out:
            media.feed(out)
        begin, end = (pts + cut.timeline.shift for pts in (part.first_pts or 0, part.last_pts or 0))
        chain = f"settb={cut.timeline.time_base},trim=start_pts={begin}:end_pts={end + 1}"
        text = ffmpeg("-copyts", "-i", piped, "-vf", chain, "-fps_mode", "passthrough", "-f", "framemd5", "-").decode()
        got = [line.rpartition(",")[2].strip() for line in text.splitlines() if not line.startswith("#")]
        assert len(got) == part.frames_read
        seen += got[part.lead_in : part.lead_in + part.frames]
    assert seen == frames(source)


def test_a_worker_reads_its_range_only(hall: Hall, tmp_path: Path) -> None:
    from workers.chunk_encode import feed_packets

    source = make(tmp_path / "closed.mp4", *SOURCES["closed.mp4"])
    description = hall.describe(source)
    cut = hall.split(description, 4)
    assert cut.timeline is not None
    with (tmp_path / "last.nut").open("wb") as out:
        feed_packets(source, description, cut.parts[-1], cut.timeline, out)
    with av.open(str(tmp_path / "last.nut")) as container:
        packets = sum(packet.size > 0 for packet in container.demux(video=0))
    assert packets < cut.parts[-1].frames + 25


def whole_scores(hall: Hall, source: Path, encoded: Path, description: Description) -> Scores:
    """libvmaf over the whole file, with its own eyes: no chunk, no lead."""
    shape = conversion(Picture.of(description.video))  # the tags: both sides must carry the same ones
    measurement = Measurement("whole.csv", 2)
    argv = command.measure_command(ffmpeg_program(), (source, encoded), (shape, shape), measurement, as_they_are=False)
    subprocess.run(argv, check=True, cwd=hall.scratch)
    return parse_scores(hall.scratch / "whole.csv", description.video.frame_count)


def test_merged_scores_are_those_of_the_whole_file(hall: Hall, tmp_path: Path) -> None:
    source = make(tmp_path / "closed.mp4", *SOURCES["closed.mp4"])
    description, cut, made = hall.all(source)
    output = hall.joined(hall.order(description, cut, made))
    expected = whole_scores(hall, source, output, description)
    chunks = [chunk_scores(done.output_prefix, hall.store, hall.scratch) for done in made]
    for metric, values in expected.items():
        got = np.concatenate([chunk[metric] for chunk in chunks])
        assert np.abs(got - values).max() < 1e-3, metric


def test_a_joined_video_is_one_legal_stream(hall: Hall, tmp_path: Path) -> None:
    source = make(tmp_path / "closed.mp4", *SOURCES["closed.mp4"])
    description = hall.describe(source)
    cut = hall.split(description)
    made = [hall.chunk(description, cut, number, crf) for number, crf in enumerate((18, 3, 13))]
    output = hall.joined(hall.order(description, cut, made))
    with av.open(str(output)) as container:
        stream = container.streams.video[0]
        sets = parameter_sets("h264", bytes(stream.codec_context.extradata or b""))
        packets = [packet for packet in container.demux(stream) if packet.size]
        base = stream.time_base
    inside = {h264.nal_type(nal) for packet in packets for nal in nal_units(bytes(packet), sets.length_size)}
    assert [h264.nal_type(nal) for nal in sets.nals] == [h264.Nal.SPS, h264.Nal.PPS]
    assert not inside & {h264.Nal.SPS, h264.Nal.PPS}
    assert sorted(packet.pts * base * 25 for packet in packets if packet.pts is not None) == list(range(150))
    decoding = [packet.dts for packet in packets if packet.dts is not None]
    assert len(decoding) == 150
    assert all(later - earlier == decoding[1] - decoding[0] for earlier, later in pairwise(decoding))
    assert len(frames(output)) == 150
    assert hall.describe(output).moov_first


def test_the_joined_pictures_are_those_of_the_chunks(hall: Hall, tmp_path: Path) -> None:
    source = make(tmp_path / "closed.mp4", *SOURCES["closed.mp4"])
    description, cut, made = hall.all(source)
    alone: list[str] = []
    for done in made:
        place = tmp_path / "alone.nut"
        hall.store.export(f"{done.output_prefix}/{STREAM}", place)
        alone += frames(place)
    assert frames(hall.joined(hall.order(description, cut, made))) == alone


def test_a_chunk_that_ends_with_an_idr_picture_is_told_from_the_next(hall: Hall, tmp_path: Path) -> None:
    # 51 frames at our distance of 25: the last is an IDR picture with number 0, and so is the next chunk's first
    source = make(tmp_path / "51.mp4", *X264, "-g", 51, "-sc_threshold", 0, graph=NOISE.replace("d=6", "d=4"))
    description, cut, made = hall.all(source, 2)
    assert cut.parts[0].last == 51
    alone: list[str] = []
    for done in made:
        place = tmp_path / "alone.nut"
        hall.store.export(f"{done.output_prefix}/{STREAM}", place)
        alone += frames(place)
    output = hall.joined(hall.order(description, cut, made))
    assert frames(output) == alone
    plain = tmp_path / "joined.h264"
    ffmpeg("-i", output, "-c", "copy", "-bsf:v", "h264_mp4toannexb", plain)
    with av.open(str(place)) as container:
        headers = read_headers(bytes(container.streams.video[0].codec_context.extradata or b""))
    idr = [slice_number(nal, headers) for nal in annex_b(plain.read_bytes()) if h264.nal_type(nal) == h264.Nal.IDR]
    assert idr[:4] == [0, 1, 0, 1]


def slice_number(nal: bytes, headers: Headers) -> int:
    bits = BitReader(unescaped(nal[1:64]))
    for _ in range(3):
        bits.ue()
    bits.skip(headers.sps.frame_num_bits)
    return bits.ue()


def test_a_variable_rate_keeps_the_times_a_whole_encode_gives(hall: Hall, tmp_path: Path) -> None:
    graph = f"{NOISE},select='not(eq(mod(n,7),3))'"
    source = make(tmp_path / "vfr.mkv", *X264, "-g", 20, "-fps_mode", "vfr", graph=graph)
    description, cut, made = hall.all(source)
    assert not description.video.constant_rate
    assert len(made) == 3
    whole = tmp_path / "whole.mp4"
    encode(
        open_source(source, description, hall.scratch),
        description,
        hall.plan(),
        whole,
        hall.scratch,
        settings=Settings(),
    )
    assert times(hall.joined(hall.order(description, cut, made))) == times(whole)


def times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return sorted(packet.pts * packet.time_base for packet in container.demux(stream) if packet.pts is not None)


def test_an_assembly_is_packaged_with_the_evidence_of_its_chunks(hall: Hall, tmp_path: Path) -> None:
    source = make(tmp_path / "closed.mp4", *SOURCES["closed.mp4"], graph=NOISE.replace("noise=alls=8", "noise=alls=2"))
    description, cut, made = hall.all(source)
    done = assemble(hall.order(description, cut, made), hall.store, hall.scratch, hall.settings, Attempt())
    evidence = json.loads(hall.store.get(done.evidence_keys[0]))
    assert done.verdict.passed
    assert done.findings == () or all(finding.severity != "error" for finding in done.findings)
    assert done.output_frames == 150
    assert [chunk["worker"] for chunk in evidence["chunks"]] == ["node:0", "node:1", "node:2"]
    assert sum(chunk["frames"] for chunk in evidence["chunks"]) == 150
    assert evidence["colours"]["shift"] < 1
    assert str(source) not in json.dumps(evidence)


def test_sound_is_carried_once_and_lies_where_a_whole_encode_puts_it(hall: Hall, tmp_path: Path) -> None:
    tone = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=6")
    source = tmp_path / "sound.mp4"
    ffmpeg("-f", "lavfi", "-i", NOISE, *tone, *X264, "-g", 20, "-c:a", "aac", "-ac", 2, source)
    description, cut, made = hall.all(source)
    order = hall.order(description, cut, made, Audio.KEEP)
    assemble(order, hall.store, hall.scratch, hall.settings, Attempt())
    output, whole = hall.scratch / "output", tmp_path / "whole.mp4"
    plan = hall.plan(audio=Audio.KEEP)
    encode(open_source(source, description, hall.scratch), description, plan, whole, hall.scratch, settings=Settings())
    with av.open(str(output)) as mine, av.open(str(whole)) as theirs:
        assert [stream.type for stream in mine.streams] == ["video", "audio"]
        for kind in ("video", "audio"):
            first, second = (
                [(p.pts * p.time_base) for p in box.demux(box.streams.best(kind)) if p.size] for box in (mine, theirs)
            )
            assert len(first) == len(second)
            assert abs(min(first) - min(second)) < Fraction(1, 1000)
            mine.seek(0)
            theirs.seek(0)


def test_a_chunk_that_was_made_is_found_again(hall: Hall, tmp_path: Path) -> None:
    source = make(tmp_path / "closed.mp4", *SOURCES["closed.mp4"])
    description = hall.describe(source)
    cut = hall.split(description)
    first, second = (hall.chunk(description, cut, 1) for _ in range(2))
    assert (first.reused, second.reused) == (False, True)
    assert second.stream_digest == first.stream_digest


def test_two_workers_make_the_same_bytes(tmp_path: Path) -> None:
    source = make(tmp_path / "closed.mp4", *SOURCES["closed.mp4"])
    digests = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        hall = Hall(tmp_path / name)
        description = hall.describe(source)
        digests.add(hall.chunk(description, hall.split(description), 1).stream_digest)
    assert len(digests) == 1


def test_a_chunk_that_is_gone_stops_the_assembly(hall: Hall, tmp_path: Path) -> None:
    description, cut, made = hall.all(make(tmp_path / "closed.mp4", *SOURCES["closed.mp4"]))
    hall.store.delete(f"{made[1].output_prefix}/{STREAM}")
    with pytest.raises(StoreFault, match="no longer in the store"):
        assemble(hall.order(description, cut, made), hall.store, hall.scratch, hall.settings, Attempt())


def test_chunks_of_another_size_are_not_joined(hall: Hall, tmp_path: Path) -> None:
    description, cut, made = hall.all(make(tmp_path / "closed.mp4", *SOURCES["closed.mp4"]))
    prefix = made[1].output_prefix
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=6", *X264, "-flags", "+global_header", tmp_path / "x.nut")
    hall.store.put(f"{prefix}/{STREAM}", (tmp_path / "x.nut").read_bytes())
    with pytest.raises(ConformanceBroken, match="parameter sets"):
        hall.joined(hall.order(description, cut, made))


def test_a_source_that_changed_is_not_encoded(hall: Hall, tmp_path: Path) -> None:
    source = make(tmp_path / "closed.mp4", *SOURCES["closed.mp4"])
    description = hall.describe(source)
    cut = hall.split(description)
    source.write_bytes(source.read_bytes() + b"more")
    with pytest.raises(UnreadableSource, match="size has changed"):
        hall.chunk(description, cut, 0)


def test_a_source_without_presentation_times_is_encoded_whole(hall: Hall, tmp_path: Path) -> None:
    description = hall.describe(make(tmp_path / "tape.avi", "-c:v", "mpeg4", "-q:v", 2, "-bf", 2))
    cut = hall.split(description)
    assert cut.parts == ()
    assert "no presentation times" in cut.reason


def test_dicom_frames_are_cut_anywhere(hall: Hall) -> None:
    source = Path(str(get_testdata_file("examples_ybr_color.dcm", download=False)))
    description, cut, made = hall.all(source)
    assert [(part.first, part.last) for part in cut.parts] == [(0, 10), (10, 20), (20, 30)]
    assert cut.timeline is None
    output = hall.joined(hall.order(description, cut, made))
    assert len(frames(output)) == 30
    whole = hall.folder / "whole.mp4"
    encoded = encode(
        open_source(source, description, hall.scratch),
        description,
        hall.plan(),
        whole,
        hall.scratch,
        settings=hall.settings,
    )
    for number, done in enumerate(made):
        mine = chunk_scores(done.output_prefix, hall.store, hall.scratch)["psnr_y"]
        theirs = encoded.scores["psnr_y"][10 * number : 10 * number + 10]
        assert np.abs(mine.mean() - theirs.mean()) < 1.0  # another picture beside each would cost many dB


def test_fields_stay_fields_across_chunks(hall: Hall, tmp_path: Path) -> None:
    graph = NOISE.replace("s=160x120:r=25", "s=320x240:r=50") + ",tinterlace=interleave_top"
    mpeg2 = ("-c:v", "mpeg2video", "-q:v", 2, "-g", 12, "-bf", 2, "-flags", "+ildct+ilme")
    source = make(tmp_path / "tape.mpg", *mpeg2, graph=graph)
    description, cut, made = hall.all(source)
    assert description.video.scan is not Scan.PROGRESSIVE
    output = hall.joined(hall.order(description, cut, made))
    assert len(frames(output)) == description.video.frame_count
    assert hall.describe(output).video.scan is description.video.scan


def test_no_program_names_itself_in_the_container(hall: Hall, tmp_path: Path) -> None:
    description, cut, made = hall.all(make(tmp_path / "closed.mp4", *SOURCES["closed.mp4"]))
    first = hall.joined(hall.order(description, cut, made)).read_bytes()
    assert b"Lavf" not in first
    assert hall.joined(hall.order(description, cut, made)).read_bytes() == first


CHANGING = (
    "testsrc2=s=160x120:r=25:d=4,format=yuv420p[calm];"
    "testsrc2=s=160x120:r=25:d=4,noise=alls=14:allf=t:all_seed=5,format=yuv420p[noisy];[calm][noisy]concat"
)
LOOK = Search(finest=10, start=24, coarsest=36, whole_seconds=0)


@pytest.mark.parametrize("name", ["closed.mp4", "open.mkv"])
def test_each_chunk_finds_the_highest_number_that_passes_near_the_whole_video_s(
    hall: Hall, tmp_path: Path, name: str
) -> None:
    source = make(tmp_path / name, *SOURCES[name], graph=CHANGING)
    description = hall.describe(source)
    cut = hall.split(description, 2, hall.plan(search=LOOK))
    assert cut.quality is not None
    near = LOOK.model_copy(
        update={"start": cut.quality, "finest": max(10, cut.quality - 6), "coarsest": min(36, cut.quality + 6)}
    )
    made = [hall.chunk(description, cut, number, search=near) for number in range(2)]
    for done in made:
        assert done.verdict.passed
        assert done.quality is not None
        assert done.search is not None
        assert done.search["sampled"]
        assert done.search["why_not_sampled"] == ""
        assert done.search["chosen"] == done.search["wholes"][-1]["quality"] == done.quality
    assert made[0].quality > made[1].quality  # type: ignore[operator]
    again = hall.chunk(description, cut, 1, crf=17, search=near)  # another address: an earlier one would be found whole
    assert again.search is not None
    assert again.search["remembered"] > 0
    assert again.stream_digest == made[1].stream_digest
    finished = hall.order(description, cut, made)
    done = assemble(finished, hall.store, hall.scratch, hall.settings, Attempt())
    assert done.verdict.passed
    evidence = json.loads(hall.store.get(done.evidence_keys[0]))
    assert [chunk["quality"] for chunk in evidence["chunks"]] == [one.quality for one in made]
    assert [chunk["search"]["chosen"] for chunk in evidence["chunks"]] == [one.quality for one in made]
    place = tmp_path / "made.dcm"
    hall.store.export(done.instance_key, place)
    words = str(pydicom.dcmread(place, stop_before_pixels=True).DerivationDescription)
    assert f"crf {made[1].quality} to {made[0].quality}" in words
