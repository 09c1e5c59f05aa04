"""WADO-RS as clients of others ask it: headers, instances, frames, bulk data; pydicom judges what comes."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from support.viewing import H264_MANY, at, client_of, clip, keep, video
from support.web_server import Served


def sample(name: str) -> bytes:
    return Path(str(get_testdata_file(name))).read_bytes()


def at_of(data: bytes) -> str:
    made = pydicom.dcmread(BytesIO(data), stop_before_pixels=True)
    return at(made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID)


def test_a_header_comes_with_the_place_of_its_pixels(served: Served) -> None:
    keep(served, video(clip()))
    seen = client_of(served).retrieve_instance_metadata("1.2.3", "1.2.3.1", "1.2.3.1.1")
    header = Dataset.from_json(seen, bulk_data_uri_handler=lambda _tag, _vr, uri: uri.encode())
    assert (header.PatientName, header.NumberOfFrames, header.Rows) == ("Müller^Änne", 50, 240)
    plain = served.client.get(f"{at()}/metadata").json()[0]  # dicomweb-client's Host has no port
    assert plain["7FE00010"] == {"vr": "OB", "BulkDataURI": f"{served.url}{at()}/bulkdata/7FE00010"}
    assert header.AvailableTransferSyntaxUID == "1.2.840.10008.1.2.4.102"


def test_headers_of_series_and_study(served: Served) -> None:
    for instance in ("1.2.3.1.1", "1.2.3.1.2"):
        keep(served, video(clip(), instance=instance))
    keep(served, video(clip(), series="1.2.3.2", instance="1.2.3.2.1"))
    client = client_of(served)
    assert [each["00080018"]["Value"][0] for each in client.retrieve_series_metadata("1.2.3", "1.2.3.1")] == [
        "1.2.3.1.1",
        "1.2.3.1.2",
    ]
    assert len(client.retrieve_study_metadata("1.2.3")) == 3


@pytest.mark.parametrize("name", ["CT_small.dcm", "SC_rgb_jpeg_dcmtk.dcm", "examples_jpeg2k.dcm"])
def test_headers_of_real_files_are_those_that_pydicom_reads(served: Served, name: str) -> None:
    data = sample(name)
    keep(served, data)
    seen = served.client.get(f"{at_of(data)}/metadata").json()[0]
    known = pydicom.dcmread(BytesIO(data), stop_before_pixels=True)
    again = Dataset.from_json({tag: value for tag, value in seen.items() if "BulkDataURI" not in value})
    for keyword in ("PatientName", "PatientID", "Rows", "PhotometricInterpretation", "SeriesInstanceUID"):
        assert again.get(keyword) == known.get(keyword)


def test_an_instance_is_the_very_bytes(served: Served) -> None:
    data = video(clip())
    keep(served, data)
    instance = client_of(served).retrieve_instance("1.2.3", "1.2.3.1", "1.2.3.1.1")
    assert (instance.PatientID, instance.file_meta.TransferSyntaxUID.name) == (
        "P-1",
        "MPEG-4 AVC/H.264 High Profile / Level 4.1",
    )
    alone = served.client.get(at(), headers={"Accept": "application/dicom; transfer-syntax=*"})
    assert hashlib.sha256(alone.content).digest() == hashlib.sha256(data).digest()
    part = served.client.get(at(), headers={"Accept": "application/dicom", "Range": "bytes=128-131"})
    assert (part.status_code, part.content) == (206, b"DICM")


def test_a_study_is_a_message_of_all_its_instances(served: Served) -> None:
    for number in range(1, 4):
        keep(served, video(clip(), instance=f"1.2.3.1.{number}"))
    client = client_of(served)
    assert [each.SOPInstanceUID for each in client.iter_study("1.2.3")] == [f"1.2.3.1.{n}" for n in range(1, 4)]
    assert len(client.retrieve_series("1.2.3", "1.2.3.1")) == 3
    answer = served.client.get("/dicomweb/studies/1.2.3")
    assert int(answer.headers["content-length"]) == len(answer.content)
    head = served.client.head("/dicomweb/studies/1.2.3")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(answer.content)))


def test_another_transfer_syntax_is_refused_by_name(served: Served) -> None:
    keep(served, video(clip()))
    asked = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.50'
    answer = served.client.get(at(), headers={"Accept": asked})
    assert answer.status_code == 406
    assert "1.2.840.10008.1.2.4.102" in answer.json()["detail"]


def test_frames_are_those_that_pydicom_finds(served: Served) -> None:
    data = sample("examples_ybr_color.dcm")  # JPEG-RLE, 30 frames
    keep(served, data)
    made = pydicom.dcmread(BytesIO(data))
    known = list(pydicom.encaps.generate_frames(made.PixelData, number_of_frames=made.NumberOfFrames))
    uids = (made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID)
    found = client_of(served).retrieve_instance_frames(*uids, frame_numbers=[1, 7, 30])
    assert [bytes(frame) for frame in found] == [known[0], known[6], known[29]]


def test_native_frames_are_cut_at_their_size(served: Served) -> None:
    data = sample("CT_small.dcm")
    keep(served, data)
    made = pydicom.dcmread(BytesIO(data))
    uids = (made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID)
    frame = client_of(served).retrieve_instance_frames(
        *uids, frame_numbers=[1], media_types=("application/octet-stream",)
    )[0]
    assert np.array_equal(np.frombuffer(frame, "<i2").reshape(128, 128), made.pixel_array)


@pytest.mark.parametrize("numbers", ["0", "2", "1,9", "999999999"])
def test_frames_that_are_not_there_are_named_so(served: Served, numbers: str) -> None:
    data = sample("CT_small.dcm")
    keep(served, data)
    assert served.client.get(f"{at_of(data)}/frames/{numbers}").status_code == 404


def test_a_video_is_one_frame_its_whole_stream(served: Served) -> None:
    keep(served, video(clip(), H264_MANY, fragment_bytes=1000))
    client = client_of(served)
    frames = client.retrieve_instance_frames("1.2.3", "1.2.3.1", "1.2.3.1.1", frame_numbers=[1])
    assert [bytes(frame) for frame in frames] == [clip()]
    assert served.client.get(f"{at()}/frames/2").status_code == 404


def test_bulk_data_of_a_video_comes_alone_or_in_a_message(served: Served) -> None:
    keep(served, video(clip(), H264_MANY, fragment_bytes=1000))
    place = f"{at()}/bulkdata/7FE00010"
    assert [bytes(part) for part in client_of(served).retrieve_bulkdata(f"{served.url}{place}")] == [clip()]
    alone = served.client.get(place)
    assert (alone.headers["content-type"], alone.content) == ("video/mp4", clip())
    octets = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
    message = served.client.get(place, headers={"Accept": octets})
    assert f"Content-Type: application/octet-stream; transfer-syntax={H264_MANY}".encode() in message.content


def test_what_is_not_in_the_store_is_not_found(served: Served) -> None:
    key = keep(served, video(clip()))
    served.farm.store.delete(key)
    for path in (at(), f"{at()}/metadata", f"{at()}/rendered", f"{at()}/frames/1", "/dicomweb/studies/9.9"):
        assert served.client.get(path).status_code == 404
    assert served.client.get("/dicomweb/studies/abc/metadata").status_code in (400, 422)
