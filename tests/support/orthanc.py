"""A real Orthanc without plugins, as a hospital's archive would be reached."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Orthanc:
    """Where it listens, and what it says over HTTP."""

    dicom_port: int
    http_port: int

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=30) as answer:
            return bytes(answer.read())

    def await_start(self) -> None:
        for _ in range(200):
            try:
                self.get("/system")
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
            else:
                return
        raise AssertionError("Orthanc did not start")

    def put(self, instance: bytes) -> None:
        """Give it one DICOM file, past the DICOM network."""
        url = f"http://127.0.0.1:{self.http_port}/instances"
        with urllib.request.urlopen(urllib.request.Request(url, data=instance, method="POST"), timeout=30):
            pass

    def statistics(self) -> dict[str, int]:
        """What it counts itself: CountStudies, CountInstances, TotalDiskSize in bytes …"""
        return {name: int(value) for name, value in json.loads(self.get("/statistics")).items() if str(value).isdigit()}

    def instances(self) -> list[str]:
        return [str(name) for name in json.loads(self.get("/instances"))]


@contextmanager
def serve(folder: Path, dicom_port: int, http_port: int, **options: object) -> Iterator[Orthanc]:
    """One server; it starts in about a second. ``options``: keys of its configuration file that are to be otherwise."""
    archive = Orthanc(dicom_port, http_port)
    settings = {
        "DicomAet": "ORTHANC",
        "DicomPort": archive.dicom_port,
        "DicomCheckCalledAet": True,
        "HttpPort": archive.http_port,
        "AuthenticationEnabled": False,
        "RemoteAccessAllowed": False,
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "Plugins": [],
        "OverwriteInstances": True,
    } | options
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with subprocess.Popen(
        ["Orthanc", str(folder / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            archive.await_start()
            yield archive
        finally:
            server.kill()
