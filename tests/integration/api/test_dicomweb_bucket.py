"""Results in a bucket are shown as those in a folder are: by ranges of their objects."""

from __future__ import annotations

import io
from pathlib import Path

import av
import pytest
from PIL import Image
from support.s3 import S3Server
from support.server import redis_server
from support.viewing import H264_MANY, at, client_of, clip, keep, video
from support.web_server import serving

from common.settings import Settings


def test_a_result_in_a_bucket(tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    bucket = s3.bucket()
    with redis_server() as broker_url:
        settings = Settings(broker_url=broker_url, state_dir=tmp_path / "state", store_url=f"s3://{bucket}/farm")
        with serving(settings) as served:
            data = video(clip("-c:v", "libx264", "-g", "10"), H264_MANY, fragment_bytes=1000)
            keep(served, data)
            whole = served.client.get(f"{at()}/rendered").content
            with av.open(io.BytesIO(whole)) as container:
                assert sum(1 for _ in container.decode(video=0)) == 50
            part = served.client.get(f"{at()}/rendered", headers={"Range": "bytes=5000-6999"})
            assert (part.status_code, part.content) == (206, whole[5000:7000])
            assert client_of(served).retrieve_instance("1.2.3", "1.2.3.1", "1.2.3.1.1").PatientID == "P-1"
            assert served.client.get(at(), headers={"Accept": "application/dicom"}).content == data
            picture = served.client.get(f"{at()}/frames/20/rendered").content
            assert Image.open(io.BytesIO(picture)).size == (320, 240)
