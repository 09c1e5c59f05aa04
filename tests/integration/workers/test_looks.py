"""Pictures, times and sound of source and result, by real encodes: the region, frozen and black runs, drift."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from support.desk import ffmpeg
from support.transcoding import Bench

from common.errors import PolicyError
from common.orders import Path as Way
from common.process import Limits
from common.recipes import ARCHIVE, Audio, fixed
from common.region import NO_REGION, given_region
from workers.ffmpeg import command
from workers.find_region import look_for_region
from workers.looks import look_at
from workers.sources import open_source

ENDOSCOPE = (
    "testsrc2=s=480x360:r=25:d=3,format=yuv420p,"
    "geq=lum='if(lte(hypot(X-260,Y-180),150),lum(X,Y),16)'"
    ":cb='if(lte(hypot(2*X-260,2*Y-180),150),cb(X,Y),128)':cr='if(lte(hypot(2*X-260,2*Y-180),150),cr(X,Y),128)',"
    "drawbox=x=8:y=8:w=60:h=14:color=white:t=fill:enable='lt(mod(t,1),0.5)'"
)
"""A circle beside a text that comes and goes."""

STOPS = (
    "testsrc2=s=320x240:r=25:d=6,format=yuv420p,loop=loop=24:size=1:start=50,trim=end=5,"
    "drawbox=t=fill:color=black:enable='between(n,90,114)'"
)
"""Frame 50 is shown for a second; frames 90 to 114 are black."""

PROFILE = fixed(ARCHIVE)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, profile=PROFILE)


def inside(bench: Bench, region: object) -> Bench:
    return replace(
        bench, profile=PROFILE.model_copy(update={"gate": PROFILE.gate.model_copy(update={"region": region})})
    )


def clip(bench: Bench, graph: str, *words: str) -> Path:
    path = bench.folder / "source.mkv"
    ffmpeg("-f", "lavfi", "-i", graph, *words, "-c:v", "mpeg4", "-q:v", "2", str(path))
    return path


def test_the_endoscopes_circle_is_found_and_judged(bench: Bench) -> None:
    done = bench.run(bench.order(clip(bench, ENDOSCOPE)))
    region = bench.evidence(done)["region"]
    assert region["asked"] == "automatic"
    assert np.allclose(region["circle"], (260, 180, 150), atol=6)
    # the black around it flatters the whole
    assert done.scores["psnr_y_inside"].mean < done.scores["psnr_y"].mean - 1
    assert done.scores["ssim_inside"].mean < done.scores["ssim"].mean
    assert any("inside a circle" in remark for remark in done.remarks)


def test_figures_inside_are_those_of_the_cropped_pair(bench: Bench) -> None:
    done = bench.run(bench.order(clip(bench, ENDOSCOPE)))
    left, top, width, height = bench.evidence(done)["region"]["inner"]
    chain = f"settb=1/1000,setpts=N,crop={width}:{height}:{left}:{top}:exact=1"
    made, log = bench.folder / "made.mp4", bench.folder / "psnr.txt"
    made.write_bytes(bench.stream(done))
    pair = ("-i", str(bench.folder / "source.mkv"), "-i", str(made))
    ffmpeg(*pair, "-filter_complex", f"[1:v]{chain}[d];[0:v]{chain}[r];[d][r]psnr=stats_file={log}", "-f", "null", "-")
    frames = [float(line.split("psnr_y:")[1].split()[0]) for line in log.read_text().splitlines()]
    assert done.scores["psnr_y_inside"].mean == pytest.approx(np.mean(frames), abs=0.01)
    assert done.scores["psnr_y_inside"].min == pytest.approx(min(frames), abs=0.01)


def test_the_gate_is_held_inside_as_well(bench: Bench) -> None:
    order = bench.order(clip(bench, ENDOSCOPE))
    whole = bench.run(order).scores["psnr_y"].mean
    thresholds = tuple(one.model_copy(update={"minimum": 0.0}) for one in PROFILE.gate.thresholds)
    between = next(one for one in thresholds if one.metric == "psnr_y").model_copy(update={"minimum": whole - 0.5})
    strict = PROFILE.gate.model_copy(update={"thresholds": (*thresholds, between)})
    plan = order.plan.model_copy(update={"gate": strict})
    done = bench.run(order.model_copy(update={"plan": plan, "order_id": "again", "output_prefix": "results/ab/again"}))
    assert [miss.split()[0] for miss in done.verdict.misses] == ["psnr_y_inside"]


def test_a_full_picture_has_no_region(bench: Bench) -> None:
    done = bench.run(bench.order(clip(bench, "testsrc2=s=320x240:r=25:d=2")))
    region = bench.evidence(done)["region"]
    assert (region["shape"], region["why_not"]) == ("none", "no static black border")
    assert not any(metric.endswith("_inside") for metric in done.scores)


def test_a_given_region_is_taken_as_it_is(bench: Bench) -> None:
    bench = inside(bench, given_region("rectangle", [40, 20, 200, 160]))
    done = bench.run(bench.order(clip(bench, "testsrc2=s=320x240:r=25:d=1")))
    region = bench.evidence(done)["region"]
    assert (region["asked"], region["inner"]) == ("given", [40, 20, 200, 160])
    assert "vmaf_inside" in done.scores


def test_nothing_is_looked_for_where_nobody_wants_it(bench: Bench) -> None:
    bench = inside(bench, NO_REGION)
    done = bench.run(bench.order(clip(bench, ENDOSCOPE)))
    assert bench.evidence(done)["region"]["why_not"] == "not looked for"
    assert "psnr_y_inside" not in done.scores


def test_a_given_region_outside_the_picture_is_refused(bench: Bench) -> None:
    bench = inside(bench, given_region("circle", [900, 500, 400]))
    with pytest.raises(PolicyError, match="does not lie in pictures of 320×240"):
        bench.run(bench.order(clip(bench, "testsrc2=s=320x240:r=25:d=1")))


def test_a_frozen_and_a_black_second_are_named_for_source_and_output(bench: Bench) -> None:
    done = bench.run(bench.order(clip(bench, STOPS)))
    assert done.verdict.passed, done.verdict.misses
    seen = bench.evidence(done)["pictures"]
    for side in ("source", "output"):
        ((first, frames, seconds),) = seen[side]["frozen"]["runs"]
        assert (abs(first - 50) <= 1, abs(frames - 25) <= 1, seconds) == (True, True, pytest.approx(1.0, abs=0.05))
        assert seen[side]["black"]["runs"] == [[90, 25, 1.0]]
    assert [remark.split(" from")[0] for remark in done.remarks] == ["the source is frozen", "the source is black"]


def test_a_rewrap_says_that_no_picture_was_looked_at(bench: Bench) -> None:
    path = bench.folder / "source.mkv"
    legal = ("-c:v", "libx264", "-profile:v", "high", "-level:v", "4.1", "-pix_fmt", "yuv420p")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=1", *legal, str(path))
    order = bench.order(path)
    assert order.plan.path is Way.REWRAP
    seen = bench.evidence(bench.run(order))["pictures"]
    assert (seen["looked_at"], seen["misses"]) == (False, [])
    assert "nothing was decoded" in seen["why_not"]


@pytest.mark.parametrize("late", ["0", "0.4"])
def test_kept_sound_stays_beside_its_pictures(bench: Bench, late: str) -> None:
    sound = ("-itsoffset", late, "-f", "lavfi", "-i", "sine=r=44100:d=3", "-c:a", "pcm_s16le")
    order = bench.order(clip(bench, "testsrc2=s=320x240:r=25:d=3", *sound), audio=Audio.KEEP)
    done = bench.run(order)
    seen = bench.evidence(done)["pictures"]["sound"]
    assert seen["source_ms"]["starts"] == pytest.approx(1000 * float(late), abs=2)
    assert abs(seen["drift_ms"]["starts"]) < 25
    assert abs(seen["drift_ms"]["ends"]) < 60
    assert done.verdict.passed, done.verdict.misses


def test_sound_that_was_moved_is_a_miss(bench: Bench) -> None:
    """What a faulty muxer would make: the same pictures, the sound 120 ms later."""
    sound = ("-f", "lavfi", "-i", "sine=r=48000:d=3", "-c:a", "pcm_s16le")
    source = clip(bench, "testsrc2=s=320x240:r=25:d=3", *sound)
    moved = bench.folder / "moved.mov"
    both = ("-i", str(source), "-itsoffset", "0.12", "-i", str(source))
    ffmpeg(*both, "-map", "0:v", "-map", "1:a", "-c", "copy", str(moved))
    looks = look_at(bench.describe(source), bench.describe(moved), why_not="")
    assert [miss.split(" at the")[0] for miss in looks.misses] == ["sound comes 120 ms late"] * 2


def test_a_result_that_freezes_keeps_its_item_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder's fault, played by a filter between encoder and measurement."""
    graph = "testsrc2=s=320x240:r=25:d=3,format=yuv420p"
    order = bench.order(clip(bench, graph))
    real = command.with_measurement

    def frozen(argv: list[str], *given: object, **named: object) -> list[str]:
        words = real(argv, *given, **named)
        at = max(n for n, word in enumerate(words) if word == "-filter_complex") + 1
        words[at] = words[at].replace("[dec:0]", "[dec:0]loop=loop=24:size=1:start=30,trim=end_frame=75,", 1)
        return words

    monkeypatch.setattr(command, "with_measurement", frozen)
    done = bench.run(order)
    assert not done.verdict.passed
    assert any("the result stands still from frame 29 on for 1.00 s" in miss for miss in done.verdict.misses), (
        done.verdict.misses
    )
    assert not done.instance_key


def test_a_source_without_pictures_has_no_region(bench: Bench) -> None:
    path = clip(bench, "testsrc2=s=320x240:r=25:d=1")
    description = bench.describe(path)
    broken = bench.folder / "broken.mkv"
    broken.write_bytes(b"nothing")
    media = open_source(broken, description, bench.folder)
    look = look_for_region(media, description, None, (320, 240), bench.folder, limits=Limits(seconds=60))
    assert (look.region, look.why_not) == (None, "no pictures could be had: ProgramFailed")


def test_frames_that_lie_apart_are_looked_at_all_over(bench: Bench) -> None:
    path = Path(str(get_testdata_file("examples_ybr_color.dcm", download=False)))
    description = bench.describe(path)
    media = open_source(path, description, bench.folder)
    size = (description.video.width, description.video.height)
    look = look_for_region(media, description, None, size, bench.folder, limits=Limits(seconds=60))
    assert look.first_seconds_only is None
    assert "pictures" not in look.why_not
