"""Every target that is encoded to, really made: the checker, dciodvfy and PyAV judge what came out."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pydicom
import pytest
from support.passage_to import Made, make, planned
from support.stereo_high import stereo_high

from common.bitstream import mpeg2
from common.dicom.transfer_syntaxes import ROOT
from common.errors import NoLegalPath
from common.ffmpeg import ffmpeg_program
from common.media import Scan
from common.orders import Path as Way
from common.recipes import TARGETS
from common.settings import Settings
from workers.describe import describe_sandboxed
from workers.stitch import emptied_at

LEGACY = ("-c:v", "mpeg4", "-q:v", "2")
WOVEN = (*LEGACY, "-flags", "+ildct+ilme")
MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
"""A P3 display of 1000 cd/m² behind BT.2020 (SMPTE ST 2086)."""


def shoot(path: Path, graph: str, *codec: str) -> Path:
    """A source from a lavfi graph."""
    argv = [ffmpeg_program(), "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", graph, *codec, str(path)]
    subprocess.run(argv, check=True)
    return path


@pytest.fixture
def film(tmp_path: Path) -> Callable[..., Path]:
    """Makes a source in the test's own folder."""
    return lambda name, graph, *codec: shoot(tmp_path / name, graph, *codec)


def scene(size: str, rate: str, frames: int, fields: str = "", aspect: str = "1") -> str:
    woven = f",setfield={fields}" if fields else ""
    return f"testsrc2=s={size}:r={rate}:d=9,trim=end_frame={frames}{woven},setsar={aspect},format=yuv420p"


PAL = scene("720x576", "25", 13, "tff", "16/15")
PACKED = scene("320x240", "25", 10)
CASES = {
    "ntsc": (".100", scene("720x480", "30000/1001", 13, "bff", "32/27"), WOVEN),
    "vga": (".100", scene("640x480", "30", 13), LEGACY),
    "720p60": (".101", scene("1280x720", "60", 6), LEGACY),
    "1080i25": (".101", scene("1920x1080", "25", 4, "tff"), WOVEN),
    "bd-720p50": (".103", scene("1280x720", "50", 6), LEGACY),
    "bd-1080i29": (".103", scene("1920x1080", "30000/1001", 4, "tff"), WOVEN),
    "level-4.1": (".102", PACKED, LEGACY),
    "level-4.2": (".104", PACKED, LEGACY),
    "main": (".107", PACKED, LEGACY),
    "main10": (".108", PACKED, LEGACY),
}


@pytest.fixture(scope="module")
def pal(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """An interlaced tape of 4:3 as MPEG-2 at Main Level."""
    folder = tmp_path_factory.mktemp("pal")
    return make(shoot(folder / "source.avi", PAL, *WOVEN), folder / "made", ".100")


@pytest.mark.parametrize("name", CASES)
def test_what_is_made_for_a_target_is_clean_for_every_judge(
    film: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    syntax, graph, codec = CASES[name]
    made = make(film("source.avi", graph, *codec), tmp_path / "made", syntax, preset="veryfast")
    assert made.findings == []
    dataset = pydicom.dcmread(made.instance, stop_before_pixels=True)
    assert dataset.file_meta.TransferSyntaxUID == f"{ROOT}{syntax}"
    source, output = made.source.video, made.output.video
    assert shown(made.stream) == source.frame_count == dataset.NumberOfFrames
    assert (output.frame_rate, output.scan) == (source.frame_rate, source.scan)
    assert (dataset.Rows, dataset.Columns) == (output.height, output.width)
    assert dataset.PhotometricInterpretation == "YBR_PARTIAL_420"


def shown(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.peer("dciodvfy")
@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed")
def test_dciodvfy_finds_no_error_in_mpeg2(pal: Made) -> None:
    told = subprocess.run(["dciodvfy", str(pal.instance)], capture_output=True, text=True, check=False)
    assert [line for line in (told.stdout + told.stderr).splitlines() if line.startswith("Error")] == []


def test_main_level_keeps_fields_and_non_square_pixels_and_says_so_upside_down_in_the_header(pal: Made) -> None:
    video = pal.output.video
    assert pal.findings == []
    assert (video.width, video.pixel_aspect, video.scan) == (720, Fraction(16, 15), Scan.TOP_FIELD_FIRST)
    assert shown(pal.stream) == pal.source.video.frame_count
    # vertical \ horizontal (PS3.3 C.7.6.3.1.7)
    assert list(pydicom.dcmread(pal.instance).PixelAspectRatio) == [15, 16]


def test_mpeg2_headers_name_profile_level_rate_and_buffer_and_groups_are_closed(pal: Made) -> None:
    stream = elementary(pal.stream, "mpeg2video")
    heads = mpeg2.sequence_of(stream)
    assert heads is not None
    sequence, display = heads
    assert (sequence.profile, sequence.level_code, sequence.progressive) == ("Main", 8, False)
    assert (sequence.bit_rate, sequence.buffer_bits) == (15_000_000, 1_835_008)
    assert display is not None
    assert (display.primaries, display.transfer, display.matrix) == (5, 6, 5)  # BT.601-7, 625 lines
    groups = [at for at in range(len(stream)) if stream.startswith(b"\0\0\1\xb8", at)]
    assert len(groups) == 2  # 13 frames, one group in 12
    assert all(stream[at + 7] & 0x40 for at in groups)  # closed_gop
    assert max(vertical_codes(stream)) <= 5  # ISO/IEC 13818-2 Table 8-8


def vertical_codes(stream: bytes) -> list[int]:
    """f_code[s][1] of every picture that has vectors (6.2.3.1; 15: none)."""
    found = []
    at = stream.find(b"\0\0\1\xb5")
    while at >= 0:
        if stream[at + 4] >> 4 == mpeg2.PICTURE_EXTENSION:
            found += [code for code in (stream[at + 5] >> 4, stream[at + 6] >> 4) if code != 15]
        at = stream.find(b"\0\0\1\xb5", at + 4)
    return found


def elementary(path: Path, form: str, *filters: str) -> bytes:
    argv = [ffmpeg_program(), "-v", "error", "-i", str(path), "-map", "0:V", "-c", "copy", *filters, "-f", form, "-"]
    return subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout


@pytest.mark.parametrize(("syntax", "size", "rate"), [(".100", "720x576", 25), (".103", "1280x720", 50)])
def test_noise_never_empties_the_decoders_buffer_nor_outlasts_a_group(
    film: Callable[..., Path], tmp_path: Path, syntax: str, size: str, rate: int
) -> None:
    noise = f"testsrc2=s={size}:r={rate}:d=2,trim=end_frame=14,noise=alls=30:allf=t:all_seed=1,format=yuv420p"
    source = film("source.avi", noise, "-c:v", "huffyuv", "-pix_fmt", "yuv422p")
    limits, path = TARGETS[f"{ROOT}{syntax}"], tmp_path / "stream"
    with pytest.raises(AssertionError, match="psnr"):  # the gate is missed: that much noise fits no buffer
        make(source, tmp_path / "made", syntax, preset="veryfast", keep_stream=path)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    sizes = [8 * packet.size for packet in packets]
    bits, buffer = limits["max_rate_kbit"] * 1000, limits["buffer_kbit"] * 1000
    filled = 1.0 if syntax == ".100" else 0.9  # ISO/IEC 13818-2 C.3.2: filled first; x264's own choice
    assert emptied_at(sizes, [Fraction(1, rate)] * len(sizes), rate=bits, buffer=buffer, filled=filled) is None
    assert sum(sizes) * rate / len(sizes) > 0.6 * bits  # it was the limit that held it
    keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
    assert max(after - before for before, after in zip(keys, [*keys[1:], len(packets)], strict=True)) <= rate


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_hdr_goes_to_main_10_with_its_colours_and_its_mastering_display(
    film: Callable[..., Path], tmp_path: Path, transfer: str
) -> None:
    colours = f"color_primaries=bt2020:color_trc={transfer}:colorspace=bt2020nc:range=tv"
    graph = f"testsrc2=s=320x240:r=25:d=0.4,format=yuv420p10le,setparams={colours}"
    words = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "5", "-pix_fmt", "yuv420p10le")
    source = film("source.mkv", graph, *words, "-x264-params", f"mastering-display={MASTERING}:cll=1000,400")
    made = make(source, tmp_path / "made", preset="veryfast")
    assert (made.plan.path, made.plan.transfer_syntax_uid) == (Way.ENCODE, f"{ROOT}.108")
    assert luminance(made.stream) == luminance(source)
    assert {finding.rule for finding in made.findings} == {"stream.gamut"}  # that viewers are not told is worth a word
    header = pydicom.dcmread(made.instance, stop_before_pixels=True)
    assert (header.BitsAllocated, header.BitsStored, header.HighBit) == (16, 10, 9)


def luminance(path: Path) -> tuple[object, ...]:
    """What FFmpeg's decoder says of the first frame: colours, and the side data that displays go by."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    said = {str(data.type): bytes(data) for data in frame.side_data}
    told = [said[f"Type.{name}"] for name in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL")]
    return frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range, *told


def test_hdr_is_not_put_into_eight_bits(film: Callable[..., Path]) -> None:
    graph = "testsrc2=s=320x240:r=25:d=0.2,format=yuv420p10le,setparams=color_trc=smpte2084:colorspace=bt2020nc"
    source = film("source.mkv", graph, "-c:v", "ffv1", "-pix_fmt", "yuv420p10le")
    description = describe_sandboxed(source, ".mkv", Settings())
    assert planned(description).transfer_syntax_uid == f"{ROOT}.108"
    with pytest.raises(NoLegalPath, match=r"BT\.2100"):
        planned(description, ".102")
    with pytest.raises(NoLegalPath, match=r"BT\.2100"):
        planned(description, accepts=[f"{ROOT}.102", f"{ROOT}.107"])


def test_ten_bits_of_standard_range_are_kept_for_diagnosis_and_where_they_are_asked_for(
    film: Callable[..., Path],
) -> None:
    source = film("source.mkv", PACKED, "-c:v", "ffv1", "-pix_fmt", "yuv422p10le")
    description = describe_sandboxed(source, ".mkv", Settings())
    chosen = {name: planned(description, profile=name).transfer_syntax_uid for name in ("archive", "diagnostic")}
    assert chosen == {"archive": f"{ROOT}.102", "diagnostic": f"{ROOT}.108"}
    assert planned(description, ".108").transfer_syntax_uid == f"{ROOT}.108"
    only_h264 = planned(description, profile="diagnostic", accepts=[f"{ROOT}.102"])
    assert only_h264.transfer_syntax_uid == f"{ROOT}.102"


@pytest.mark.parametrize("packing", [3, 4])
def test_a_packed_source_becomes_stereo_by_itself(film: Callable[..., Path], tmp_path: Path, packing: int) -> None:
    words = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p")
    source = film("source.mkv", PACKED, *words, "-x264-params", f"frame-packing={packing}")
    stereo(make(source, tmp_path / "made", preset="veryfast"), packing)


def test_a_source_that_does_not_say_so_is_tagged_by_policy(film: Callable[..., Path], tmp_path: Path) -> None:
    source = film("source.avi", PACKED, *LEGACY)
    stereo(make(source, tmp_path / "made", preset="veryfast", frame_packing=4), 4)


def stereo(made: Made, packing: int) -> None:
    assert made.plan.transfer_syntax_uid == f"{ROOT}.105"
    assert made.findings == []
    coding = made.output.video.coding
    assert coding is not None
    assert coding.frame_packing == packing
    assert pydicom.dcmread(made.instance, stop_before_pixels=True).StereoPairsPresent == "YES"


def test_nothing_is_encoded_to_stereo_high_and_the_refusal_says_why(film: Callable[..., Path]) -> None:
    description = describe_sandboxed(film("source.avi", PACKED, *LEGACY), ".avi", Settings())
    with pytest.raises(NoLegalPath, match="MVC") as refused:
        planned(description, ".106")
    assert ".105" in refused.value.hint
    assert refused.value.rule == "target.encoder"


@pytest.mark.parametrize("syntax", [None, ".106"])
def test_a_stereo_high_stream_is_rewrapped_to_the_bit(
    film: Callable[..., Path], tmp_path: Path, syntax: str | None
) -> None:
    words = ("-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "high", "-x264-params", "8x8dct=1:slices=1")
    source = tmp_path / "stereo.264"
    source.write_bytes(stereo_high(film("base.264", PACKED, *words, "-f", "h264").read_bytes()))
    made = make(source, tmp_path / "made", syntax)
    assert (made.plan.path, made.plan.transfer_syntax_uid) == (Way.REWRAP, f"{ROOT}.106")
    assert made.output.video.profile == "Stereo High"
    assert pydicom.dcmread(made.instance, stop_before_pixels=True).StereoPairsPresent == "YES"
    there, here = (units(elementary(path, "h264", "-bsf:v", "h264_mp4toannexb")) for path in (made.stream, source))
    assert there == here


def units(annex_b: bytes) -> list[str]:
    """Digests of the NAL units from the first on; where a set was repeated by the container's bitstream filter, once."""
    seen: list[str] = []
    for unit in annex_b.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]:
        digest = hashlib.sha256(unit).hexdigest()
        if unit[0] & 0x1F not in (7, 8) or digest not in seen:
            seen.append(digest)
    return seen


@pytest.mark.parametrize("suffix", ["avi", "m2v", "mpg", "ts"])
def test_legal_mpeg2_is_rewrapped_to_the_bit_when_its_target_is_asked_for(
    film: Callable[..., Path], tmp_path: Path, suffix: str
) -> None:
    rates = ("-maxrate", "15M", "-bufsize", "1835008", "-g", "12", "-bf", "2", "-profile:v", "main", "-level:v", "main")
    source = film(f"source.{suffix}", PAL, "-c:v", "mpeg2video", "-q:v", "4", "-flags", "+ildct+ilme", *rates)
    made = make(source, tmp_path / "made", ".100")
    assert (made.plan.path, made.output.container) == (Way.REWRAP, "mpegts")
    assert made.output.video.scan is Scan.TOP_FIELD_FIRST
    assert elementary(made.stream, "mpeg2video") == elementary(source, "mpeg2video")


def test_sound_beside_mpeg2_becomes_mp3(film: Callable[..., Path], tmp_path: Path) -> None:
    tone = ("-f", "lavfi", "-i", "sine=r=44100:d=0.5", "-c:a", "pcm_s16le", "-shortest")
    argv = (ffmpeg_program(), "-v", "error", "-f", "lavfi", "-i", PAL, *tone, *WOVEN, str(tmp_path / "source.avi"))
    subprocess.run(argv, check=True)
    made = make(tmp_path / "source.avi", tmp_path / "made", ".100", sound=True)
    assert [(stream.codec, stream.sample_rate, stream.channels) for stream in made.output.audio] == [("mp3", 48_000, 2)]
    assert made.findings == []
