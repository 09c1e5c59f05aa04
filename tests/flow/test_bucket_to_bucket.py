"""From a bucket to a bucket: sources and results on an S3 server, the embedded farm between."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from support.desk import Desk, Run
from support.s3 import S3Server

pytestmark = pytest.mark.farm

NAME = "Doe^Jane"


def run(s3: S3Server, *words: str) -> Run:
    command = [str(Path(sys.executable).with_name("cinefarm")), *words, "--json"]
    env = os.environ | s3.environment()
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=env, check=False)
    return Run(done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr)


def test_a_bucket_is_planned_and_migrated_into_a_bucket_and_nothing_twice(desk: Desk, s3: S3Server) -> None:
    bucket, client = s3.bucket(), s3.client()
    for path in (desk.camera("clip.mp4"), desk.capture("tape.mpg"), desk.ultrasound("loop.dcm")):
        client.fput_object(bucket, f"in/{NAME}/{path.name}", str(path))
    source, to = f"s3://{bucket}/in", f"s3://{bucket}/out"
    mapping = ("--map", str(desk.mapping(f"{NAME}/*,P-1,{NAME},20240229,ES")))

    planned = run(s3, "plan", source, "--to", to, *mapping)
    assert {name: item["path"] for name, item in planned.items.items()} == {
        f"{NAME}/clip.mp4": "rewrap",
        f"{NAME}/loop.dcm": "encode",
        f"{NAME}/tape.mpg": "encode",
    }, planned.stderr

    command = ("migrate", source, "--to", to, "--state", str(desk.state), *mapping)
    done = run(s3, *command)
    assert {item["state"] for item in done.items.values()} == {"done"}, done.stderr
    there = {str(each.object_name): each for each in client.list_objects(bucket, prefix="out/", recursive=True)}
    instances = [name for name in there if name.endswith(".dcm")]
    assert len(instances) == 3
    assert all(f"{name.removesuffix('.dcm')}.evidence.json" in there for name in instances)
    frames = [pydicom.dcmread(BytesIO(client.get_object(bucket, name).data)).NumberOfFrames for name in instances]
    assert sorted(frames) == [25, 25, 30]

    nowhere = run(s3, *command[:3], "s3://no-such-bucket/out", *command[4:])
    assert (nowhere.code, "no-such-bucket does not exist" in nowhere.stderr) == (2, True)

    again = run(s3, *command)
    assert again.code == 0
    after = {str(each.object_name): each for each in client.list_objects(bucket, prefix="out/", recursive=True)}
    assert {name: each.last_modified for name, each in after.items()} == {
        name: each.last_modified for name, each in there.items()
    }
    kept = [path for path in desk.state.rglob("*") if path.is_file() and path.parent.name == "sources"]
    assert kept == []
    logs = b"".join(path.read_bytes() for path in (desk.state / "logs").iterdir())
    assert logs
    assert NAME.encode() not in logs
