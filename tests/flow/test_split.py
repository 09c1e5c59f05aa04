"""``--accepts 'DEST max=…'``: what is too large for a destination arrives there in parts, once."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import av
import pydicom
import pytest
from pydicom.encaps import generate_fragments
from support.desk import Desk, ffmpeg
from support.orthanc import Orthanc, serve
from support.s3 import free_ports

pytestmark = pytest.mark.farm

PARTED = ("-c:v", "libx264", "-profile:v", "high", "-level:v", "4.1", "-g", "12", "-sc_threshold", "0", "-bf", "2")
OPEN = (*PARTED, "-x264-params", "open-gop=1:keyint=12")


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with serve(tmp_path_factory.mktemp("orthanc"), *free_ports(2)) as archive:
        yield archive


def clip(desk: Desk, name: str, words: tuple[str, ...]) -> Path:
    path = desk.file(name)
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=4,format=yuv420p", *words, str(path))
    return path


def frames(instance: pydicom.FileDataset) -> int:
    stream = b"".join(generate_fragments(instance.PixelData))[: instance.EncapsulatedPixelDataValueTotalLength]
    with av.open(io.BytesIO(stream)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.peer("Orthanc")
def test_a_clip_in_parts_reaches_an_archive_and_a_folder_once(desk: Desk, orthanc: Orthanc) -> None:
    source = clip(desk, "clip.mp4", PARTED)
    uri, limit = f"dicom://ORTHANC@127.0.0.1:{orthanc.dicom_port}", source.stat().st_size // 2
    words = ("--map", str(desk.mapping()), "--to", uri, "--accepts", f"{uri} max={limit}B")
    run = desk.migrate(*words)
    assert run.code == 0, run.stderr
    item = run.items["clip.mp4"]
    assert (item["path"], len(item["instances"])) == ("rewrap", 3)
    assert item["plan"]["split"]["rule"] == "destination.size"
    assert sum(one["bytes"] for one in item["instances"]) == item["bytes_after"]
    kept = [pydicom.dcmread(path) for path in desk.results()]
    assert sum(map(frames, kept)) == sum(int(one.NumberOfFrames) for one in kept) == 100
    stored = {
        json.loads(orthanc.get(f"/instances/{name}/simplified-tags"))["SOPInstanceUID"] for name in orthanc.instances()
    }
    assert stored == {str(one.SOPInstanceUID) for one in kept} == {one["sop_instance_uid"] for one in item["instances"]}
    again = desk.migrate(*words)
    assert again.code == 0
    assert (len(orthanc.instances()), len(desk.results())) == (3, 3)
    objects = [path.name for path in (desk.state / "objects").rglob("*.dcm*")]
    assert objects == []
    desk.results()[1].unlink()
    assert desk.migrate(*words).code == 0
    assert (len(orthanc.instances()), len(desk.results())) == (3, 3)


def test_a_clip_whose_groups_are_all_open_is_encoded_to_be_cut(desk: Desk) -> None:
    limit = clip(desk, "open.mp4", OPEN).stat().st_size // 2
    run = desk.migrate("--map", str(desk.mapping()), "--accepts", f"{desk.out} max={limit}B")
    assert run.code == 0, run.stderr
    item = run.items["open.mp4"]
    assert item["path"] == "encode"
    assert item["plan"]["forced_by"][-1]["rule"] == "source.borders"
    assert all(one["bytes"] <= limit for one in item["instances"])
    assert sum(frames(pydicom.dcmread(path)) for path in desk.results()) == 100
