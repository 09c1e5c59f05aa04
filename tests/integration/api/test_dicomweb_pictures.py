"""Thumbnails and rendered frames: the very frame, upright in its colours; what cannot be drawn costs an answer."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.data import get_testdata_file
from support.server import redis_server
from support.viewing import H264, H264_MANY, MPEG2, at, client_of, clip, keep, video
from support.web_server import Served, serving

from common.settings import Settings

STREAMS = {
    "mp4": ((), ".mp4", H264),
    "fragments": (("-c:v", "libx264", "-g", "10", "-bf", "3"), ".mp4", H264_MANY),
    "transport": (("-c:v", "libx264", "-g", "10"), ".ts", H264),
    "mpeg2": (("-c:v", "mpeg2video", "-q:v", "3"), ".mpg", MPEG2),
    "bare": (("-c:v", "libx264", "-g", "10"), ".264", H264),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server, so one pair of children, for all of them."""
    folder: Path = tmp_path_factory.mktemp("pictures")
    with redis_server() as broker_url, serving(Settings(broker_url=broker_url, state_dir=folder / "state")) as server:
        for name, (options, suffix, syntax) in STREAMS.items():
            size = 9000 if syntax == H264_MANY else 1 << 24
            made = video(clip(*options, suffix=suffix), syntax, fragment_bytes=size, instance=instance_of(name))
            keep(server, made)
        yield server


def instance_of(name: str) -> str:
    return f"1.2.3.1.{list(STREAMS).index(name) + 1}"


def opened(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def apart(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("number", [1, 2, 23, 50])
def test_a_frame_of_a_video_is_the_one_of_that_number(served: Served, name: str, number: int) -> None:
    options, suffix, _ = STREAMS[name]
    with av.open(io.BytesIO(clip(*options, suffix=suffix))) as container:
        known = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    data = served.client.get(
        f"{at(instance=instance_of(name))}/frames/{number}/rendered", headers={"Accept": "image/png"}
    ).content
    grey = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    distances = [apart(grey, frame) for frame in known]
    assert distances.index(min(distances)) == number - 1


def test_colours_are_those_of_the_scene(served: Served) -> None:
    from support.desk import ffmpeg

    path = served.farm.settings.state_dir / "scene.png"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=1", "-frames:v", "1", "-pix_fmt", "rgb24", str(path))
    data = client_of(served).retrieve_instance_frames_rendered(
        "1.2.3", "1.2.3.1", instance_of("mp4"), [1], media_types=("image/jpeg",)
    )
    whole, scene = opened(data), opened(path.read_bytes())
    assert apart(whole[20:100, 20:100].mean(axis=(0, 1)), scene[20:100, 20:100].mean(axis=(0, 1))) < 6


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "SC_rgb_jpeg_dcmtk.dcm", "examples_jpeg2k.dcm", "examples_palette.dcm"]
)
def test_frames_of_images_are_shown(served: Served, name: str) -> None:
    data = Path(str(get_testdata_file(name))).read_bytes()
    keep(served, data)
    made = pydicom.dcmread(io.BytesIO(data))
    place = at(made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID)
    answer = served.client.get(f"{place}/frames/1/rendered")
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (made.Columns, made.Rows)
    assert served.client.get(f"{place}/rendered").content == answer.content
    if made.PhotometricInterpretation == "RGB" or name == "SC_rgb_jpeg_dcmtk.dcm":
        exact = served.client.get(f"{place}/frames/1/rendered", headers={"Accept": "image/png"}).content
        assert apart(opened(exact), made.pixel_array) < 2


@pytest.mark.parametrize("place", ["/dicomweb/studies/1.2.3", "/dicomweb/studies/1.2.3/series/1.2.3.1", at()])
def test_thumbnails_are_small(served: Served, place: str) -> None:
    assert Image.open(io.BytesIO(served.client.get(f"{place}/thumbnail").content)).size == (256, 192)
    asked = served.client.get(f"{place}/thumbnail?viewport=64,64")
    assert Image.open(io.BytesIO(asked.content)).size == (64, 48)
    again = served.client.get(f"{place}/thumbnail", headers={"If-None-Match": asked.headers["etag"]})
    assert again.status_code == 200
    known = served.client.get(f"{place}/thumbnail?viewport=64,64", headers={"If-None-Match": asked.headers["etag"]})
    assert known.status_code == 304


@pytest.mark.parametrize(
    ("query", "status"),
    [("viewport=0,5", 400), ("viewport=9", 400), ("quality=101", 400), ("quality=x", 400), ("accept=image/gif", 406)],
)
def test_what_cannot_be_given_is_refused(served: Served, query: str, status: int) -> None:
    assert served.client.get(f"{at()}/frames/1/rendered?{query}").status_code == status


def test_a_frame_that_is_not_there(served: Served) -> None:
    assert served.client.get(f"{at()}/frames/51/rendered").status_code == 404


@pytest.mark.parametrize("stream", [b"\x00" * 4096, clip()[:400], clip()[:3000], b"\x47" + b"\xff" * 5000])
def test_hostile_bytes_cost_an_answer_and_not_the_server(served: Served, stream: bytes) -> None:
    keep(served, video(stream, study="6.6", series="6.6.1", instance="6.6.1.1"))
    answer = served.client.get(f"{at('6.6', '6.6.1', '6.6.1.1')}/frames/1/rendered")
    assert (answer.status_code, answer.headers["content-type"]) == (406, "application/problem+json")
    assert served.client.get(f"{at()}/thumbnail").status_code == 200
