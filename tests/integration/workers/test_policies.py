"""What the policies of a job do to a source, and that it is on the record."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from support import zoo
from support.passage import Result, keeps, passage
from support.zoo import BT709, CONSTANT, DEINTERLACE, QUARTERS, TONE, TONE_MAP, X264
from support.zoo_dicom import enhanced_xa, us_volume

from common.errors import NoLegalPath
from common.handling import AS_IT_IS, Handling
from common.media import Scan
from common.orders import Path as Way
from common.recipes import Audio
from common.settings import Settings
from workers.describe import describe_sandboxed

Make = Callable[[Path], None]
HIGH = ("-profile:v", "high", "-bf", "2")
TIMES = (0, 1, 2, 4, 5, 8, 9, 10)


def of(make: Make, folder: Path, handling: Handling = AS_IT_IS, suffix: str = ".mp4", **wanted: object) -> Result:
    source = folder / f"source{suffix}"
    make(source)
    return passage(source, folder, handling=handling, **wanted)  # type: ignore[arg-type]


def seen(result: Result, folder: Path) -> object:
    """The stream of a result, as a source."""
    path = folder / "again.mp4"
    path.write_bytes(result.stream)
    return describe_sandboxed(path, ".mp4", Settings()).video


@pytest.mark.parametrize(("first", "scan"), [("tff", Scan.TOP_FIELD_FIRST), ("bff", Scan.BOTTOM_FIELD_FIRST)])
def test_kept_fields_keep_their_order_in_the_stream(tmp_path: Path, first: str, scan: Scan) -> None:
    result = of(zoo.interlaced(*zoo.FFV1, *BT709, first=first), tmp_path, suffix=".mkv")
    assert seen(result, tmp_path).scan is scan  # type: ignore[attr-defined]


def test_fields_that_no_target_holds_are_refused_and_the_policy_is_named(tmp_path: Path) -> None:
    make = zoo.interlaced(*zoo.FFV1, *BT709)
    with pytest.raises(NoLegalPath) as refused:
        of(make, tmp_path, suffix=".mkv", syntaxes=(".107",))
    assert "deinterlace" in refused.value.hint
    (tmp_path / "again").mkdir()
    assert of(make, tmp_path / "again", DEINTERLACE, ".mkv", syntaxes=(".107",)).target == ".107"


def test_deinterlacing_is_on_record_and_in_the_header(tmp_path: Path) -> None:
    result = of(zoo.interlaced(*zoo.FFV1, *BT709), tmp_path, DEINTERLACE, ".mkv")
    assert result.evidence["treatment"]["deinterlaced"]["field_order"] == "tff"
    assert "the treated picture" in result.evidence["treatment"]["reference"]
    assert "deinterlaced" in result.instance.DerivationDescription


def test_a_policy_that_changes_nothing_is_no_part_of_the_work(tmp_path: Path) -> None:
    result = of(zoo.clip(*X264, *HIGH, *BT709), tmp_path, Handling(**DEINTERLACE.model_dump() | {"rate": "constant"}))
    assert result.plan.handling == AS_IT_IS
    assert keeps(result.plan.path)
    assert "treatment" not in result.evidence


def test_a_variable_rate_is_kept_with_the_real_times_in_the_header(tmp_path: Path) -> None:
    result = of(zoo.variable_rate(*X264, *HIGH, *BT709, times=TIMES), tmp_path)
    assert result.plan.path is Way.REWRAP
    assert list(result.instance.FrameTimeVector) == [0, 40, 40, 80, 40, 120, 40, 40]
    assert result.instance.FrameIncrementPointer == 0x00181065
    assert "FrameTime" not in result.instance


def test_an_encoded_variable_rate_has_its_times_too(tmp_path: Path) -> None:
    result = of(zoo.variable_rate("-c:v", "mpeg4", "-q:v", "2", times=TIMES), tmp_path)
    assert result.plan.path is Way.ENCODE
    assert list(result.instance.FrameTimeVector) == [0, 40, 40, 80, 40, 120, 40, 40]


def test_a_rate_made_constant_repeats_frames_and_keeps_the_mapping(tmp_path: Path) -> None:
    result = of(zoo.variable_rate(*X264, *HIGH, *BT709, times=TIMES), tmp_path, CONSTANT)
    record = result.evidence["treatment"]["constant_rate"]
    assert (result.plan.path, record["rate"]) == (Way.ENCODE, "25")
    assert record["mapping"] == [[0, 2, 1], [2, 1, 2], [3, 1, 1], [4, 1, 3], [5, 3, 1]]
    assert sum(count for _, count, _ in record["mapping"]) == result.source.video.frame_count
    assert sum(count * times for _, count, times in record["mapping"]) == result.instance.NumberOfFrames == 11
    assert "FrameTimeVector" not in result.instance


def test_sound_stays_beside_a_rate_made_constant(tmp_path: Path) -> None:
    """Both begin 0.2 s into the file."""
    frames = "+".join(f"eq(N,{number})*{time + 5}" for number, time in enumerate(TIMES))
    filters = f"{zoo.scaled('yuv420p', 'bt601')},settb=1/25,setpts='{frames}'"
    make = zoo.clip(
        *("-c:v", "mpeg4", "-q:v", "2", "-map", "0:v", "-map", "1:a", "-c:a", "pcm_s16le"),
        *("-fps_mode", "passthrough", "-enc_time_base", "1/25", "-avoid_negative_ts", "disabled"),
        filters=filters,
        inputs=tuple(word.format(48_000) for word in TONE),
    )
    result = of(make, tmp_path, CONSTANT, ".mkv", audio=Audio.KEEP)
    with av.open(BytesIO(result.stream)) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        starts = [float(stream.start_time * stream.time_base) for stream in (video, sound)]  # type: ignore[operator]
    assert starts[0] - starts[1] == pytest.approx(0.2, abs=0.03)


def test_hdr_never_loses_its_highlights_silently(tmp_path: Path) -> None:
    with pytest.raises(NoLegalPath) as refused:
        of(zoo.high_range("smpte2084"), tmp_path, syntaxes=(".102", ".104", ".107"))
    assert "tone-map" in refused.value.hint


def test_hdr10_that_must_be_encoded_keeps_its_tags_and_mastering_metadata(tmp_path: Path) -> None:
    result = of(zoo.high_range("smpte2084", "yuv422p10le"), tmp_path)
    assert (result.plan.path, result.target) == (Way.ENCODE, ".108")
    assert _said_of_light(result.stream) == _said_of_light((tmp_path / "source.mp4").read_bytes())
    header = result.instance
    assert (header.BitsAllocated, header.BitsStored, header.HighBit) == (16, 10, 9)


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_tone_mapped_hdr_looks_like_the_scene(tmp_path: Path, transfer: str) -> None:
    """Reference white (203 cd/m²) lands below the top, and each colour keeps its hue: equal parts of the scene's R, G and B."""
    result = of(zoo.high_range(transfer), tmp_path, TONE_MAP)
    picture = result.rgb()
    for colour, (row, column) in zip(QUARTERS, ((30, 40), (30, 120), (90, 40), (90, 120)), strict=True):
        ratio = picture[row, column] / np.array(colour)
        assert ratio.min() > 0.72
        assert ratio.max() < 0.95
        assert ratio.max() / ratio.min() < 1.12
    assert result.target == ".102"
    assert result.evidence["treatment"]["tone_mapped"]["from"] == transfer


def test_nothing_is_said_of_hdr_where_there_is_none(tmp_path: Path) -> None:
    result = of(zoo.high_range("smpte2084"), tmp_path, TONE_MAP)
    assert _said_of_light(result.stream) == (1, 1, 1, [])


def test_a_second_video_and_a_second_sound_are_named(tmp_path: Path) -> None:
    make = zoo.sounding("-map", "0:v", "-c:a", "pcm_s16le", tracks=2)
    notes = of(make, tmp_path, suffix=".mkv").source.notes
    assert [note.partition(":")[0] for note in notes] == ["2 video streams", "2 sound tracks"]


@pytest.mark.parametrize("source", zoo.SOUNDS, ids=lambda source: source.name)
def test_sound_is_legal_afterwards_or_gone(tmp_path: Path, source: zoo.Source) -> None:
    result = of(source.make, tmp_path, suffix=source.suffix, audio=source.audio)
    with av.open(BytesIO(result.stream)) as container:
        found = [(track.codec_context.name, track.sample_rate, track.channels) for track in container.streams.audio]
        lengths = [float(track.duration * track.time_base) for track in container.streams.audio]  # type: ignore[operator]
    if source.audio is Audio.STRIP:
        assert found == []
        return
    ((codec, rate, channels),) = found
    assert (codec.removesuffix("float"), rate) in {("aac", 48_000), ("mp3", 44_100), ("mp3", 48_000)}
    assert channels in ((2, 6) if codec == "aac" else (1, 2))
    assert lengths[0] == pytest.approx(0.32, abs=0.16)  # ADPCM comes in whole blocks


def test_functional_groups_stay_with_their_frames(tmp_path: Path) -> None:
    header = of(enhanced_xa, tmp_path, suffix=".dcm").instance
    shared = header.SharedFunctionalGroupsSequence[0]
    numbers = [
        group.FrameContentSequence[0].FrameAcquisitionNumber for group in header.PerFrameFunctionalGroupsSequence
    ]
    assert numbers == list(range(1, header.NumberOfFrames + 1))
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [0.2, 0.2]
    assert "FrameVOILUTSequence" not in shared  # it is in the picture now
    assert header.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7.4"  # its module table has functional groups: A.8.5.3


@pytest.mark.parametrize(("views", "packing"), [("side-by-side", 3), ("top-bottom", 4)])
def test_asked_for_stereo_is_announced(tmp_path: Path, views: str, packing: int) -> None:
    """H.264 D.2.25, PS3.5 8.2.8; a legal plain stream is encoded for it, since the message lies in the bitstream."""
    result = of(zoo.clip(*X264, *HIGH, *BT709), tmp_path, Handling.model_validate({"stereo": views}))
    assert (result.plan.path, result.target) == (Way.ENCODE, ".105")
    assert result.instance.StereoPairsPresent == "YES"
    coding = seen(result, tmp_path).coding  # type: ignore[attr-defined]
    assert coding.frame_packing == packing


def test_a_volume_never_becomes_video(tmp_path: Path) -> None:
    with pytest.raises(NoLegalPath, match="Enhanced US Volume Storage are places"):
        of(us_volume, tmp_path, suffix=".dcm")


def _said_of_light(stream: bytes) -> tuple[int, int, int, list[bytes]]:
    """Primaries, transfer, matrix, and what the first picture carries of its mastering display and light level."""
    with av.open(BytesIO(stream)) as container:
        frame = next(container.decode(video=0))
    kinds = ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL")
    said = [bytes(data) for kind in kinds for data in frame.side_data if data.type.name == kind]  # type: ignore[attr-defined]
    return int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace), said
