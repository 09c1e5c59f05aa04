"""Every service of ours in compose.yaml, started as a process with the command, environment and secrets of the file."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from support import compose
from support.compose import ROOT, Service
from support.desk import Desk
from support.postgres import PostgresServer, postgres, postgres_server  # noqa: F401 a fixture
from support.s3 import ACCESS_KEY, SECRET_KEY, S3Server, s3_server
from support.storescp import free_port

from orchestrator.embedded import server_program

pytestmark = [pytest.mark.farm, pytest.mark.timeout(300), pytest.mark.peer("postgres")]

CINEFARM = str(Path(sys.executable).with_name("cinefarm"))
REPLICAS = 2


class Server:
    """One server: names of other containers become places of this machine, and nothing else is changed."""

    def __init__(self, folder: Path, secrets: Path, s3: S3Server, ledger_place: str, *overrides: Path) -> None:
        self.folder, self.secrets, self.processes = folder, secrets, {}
        self.file, self.ours = compose.load(*overrides), compose.services(*overrides)
        self.overrides, self.scheme = overrides, "https" if overrides else "http"
        self.broker_port, self.ports = free_port(), {}
        bucket = s3.bucket()
        self._write("cinefarm_s3_access_key", ACCESS_KEY)
        self._write("cinefarm_s3_secret_key", SECRET_KEY)
        self._translations = {
            "@broker:6379": f"@127.0.0.1:{self.broker_port}",
            "@ledger:5432/cinefarm": ledger_place,
            "http://minio:9000": s3.endpoint,
            "https://minio:9000": s3.endpoint,
            "s3://cinefarm/": f"s3://{bucket}/",
            "0.0.0.0": "127.0.0.1",  # noqa: S104 the file's word
        }

    def start_broker(self) -> None:
        """The file's own command, configuration of the secrets included."""
        (self.folder / "broker").mkdir()
        _, *words = self.file["services"]["broker"]["command"]
        port = "--tls-port" if self.overrides else "--port"
        program = "redis-server" if self.overrides else server_program()  # the wheel's speaks no TLS
        argv = [program, *(self._secret(word) for word in words), port, self.broker_port]
        argv += ["--dir", self.folder / "broker"]
        self._start("broker", [str(word) for word in argv], dict(os.environ))

    def start(self, service: Service, number: int = 0) -> None:
        name = f"{service.name}-{number}"
        port = self.ports[name] = free_port()
        own = self.folder / name
        for place in ("scratch", "state", "secrets"):
            (own / place).mkdir(parents=True)
        for secret in service.secrets:
            text = self._file(secret).read_text(encoding="utf-8")
            (own / "secrets" / secret).write_text(self._here(text, own), encoding="utf-8")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(own),
            "CINEFARM_STATE_DIR": str(own / "state"),
            "CINEFARM_SCRATCH_DIR": str(own / "scratch"),
            "CINEFARM_SECRETS_DIR": str(own / "secrets"),
            "CINEFARM_ALIVE_FILE": str(own / "scratch" / "alive"),
        }
        environment |= {key: self._here(value, own) for key, value in service.environment.items()}
        for key in ("CINEFARM_HTTP_PORT", "CINEFARM_FLOWER_PORT"):
            if key in environment:
                environment[key] = str(port)
        words = [str(port) if word == "11112" else word for word in service.command]
        self._start(name, [CINEFARM, *words], environment)

    def alive(self, name: str) -> bool:
        """What the image's health check says."""
        check = [ROOT / "k8s/images/alive.sh"]
        environment = {"PATH": os.environ["PATH"], "CINEFARM_ALIVE_FILE": str(self.folder / name / "scratch" / "alive")}
        return subprocess.run(check, env=environment, capture_output=True, check=False).returncode == 0

    def token(self) -> str:
        return self._read("admin_token")

    def stop(self) -> dict[str, int]:
        """SIGTERM to all, as Compose does; their exit codes."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        return {name: process.wait(30) for name, process in self.processes.items()}

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    def _start(self, name: str, argv: list[str], environment: dict[str, str]) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(argv, env=environment, stdout=log, stderr=log, cwd=self.folder)

    def _here(self, value: str, own: Path) -> str:
        for there, here in self._translations.items():
            value = value.replace(there, here)
        return value.replace("/run/secrets", str(own / "secrets"))

    def _file(self, secret: str) -> Path:
        """Where the file says that a secret lies."""
        return self.secrets / Path(self.file["secrets"][secret]["file"]).relative_to("k8s/compose/secrets")

    def _secret(self, word: str) -> str:
        return str(self._file(Path(word).name)) if word.startswith("/run/secrets/") else word

    def _read(self, name: str) -> str:
        return (self.secrets / name).read_text(encoding="utf-8")

    def _write(self, name: str, text: str) -> None:
        (self.secrets / name).write_text(text, encoding="utf-8")


def wait(ready: Callable[[], bool], why: Callable[[], str], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, why()
        time.sleep(0.2)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """What both scripts make."""
    folder = tmp_path / "secrets"
    for script in ("secrets.sh", "certificates.sh"):
        subprocess.run([ROOT / "k8s/compose" / script, folder], check=True, capture_output=True)
    return folder


@pytest.fixture
def server(tmp_path: Path, secrets: Path, s3: S3Server, postgres: PostgresServer) -> Iterator[Server]:  # noqa: F811
    url = postgres.new_database()
    yield from running(Server(tmp_path, secrets, s3, url.partition("cinefarm")[2]))


@pytest.fixture
def server_with_tls(tmp_path: Path, secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each part with the certificate that the script made for it."""
    port, password = free_port(), (secrets / "ledger_password").read_text(encoding="utf-8")
    certificates = secrets / "tls"

    def start(server: PostgresServer) -> None:
        server.start_with_certificate(certificates / "ledger.pem", port, password)

    store = tmp_path_factory.mktemp("s3-tls")
    with postgres_server(start), s3_server(store, certificates / "minio.pem", trust=certificates / "ca.pem") as s3:
        place = f"@127.0.0.1:{port}/postgres"
        yield from running(Server(tmp_path, secrets, s3, place, compose.TLS))


def running(server: Server) -> Iterator[Server]:
    try:
        server.start_broker()
        yield server
    finally:
        server.close()


def answers(url: str, **how: object) -> bool:
    try:
        return httpx.get(url, timeout=5, **how).status_code == 200  # type: ignore[arg-type]
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("name", ["server", pytest.param("server_with_tls", marks=pytest.mark.peer("redis-server"))])
def test_all_of_ours_come_up_do_a_job_and_stop(name: str, desk: Desk, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(name)
    trust = ssl.create_default_context(cafile=server.secrets / "tls" / "ca.pem")
    ours = server.ours
    assert set(ours) == {"orchestrator", "listener", "worker", "io-worker", "gpu-worker", "flower"}
    for number in range(compose.load()["services"]["orchestrator"]["deploy"]["replicas"]):
        server.start(ours["orchestrator"], number)
    api = [f"{server.scheme}://127.0.0.1:{server.ports[f'orchestrator-{number}']}" for number in range(REPLICAS)]
    for url in api:
        wait(lambda url=url: answers(f"{url}/api/v1/health/ready", verify=trust), lambda: server.log("orchestrator-0"))  # type: ignore[misc]
    for name in ("listener", "worker", "io-worker", "flower"):
        server.start(ours[name])
    for name in ("orchestrator-0", "orchestrator-1", "worker-0", "io-worker-0"):
        wait(lambda name=name: server.alive(name), lambda name=name: server.log(name))  # type: ignore[misc]

    desk.ultrasound("loop.dcm")
    job = desk.folder / "job.toml"
    keys = {"sources": [str(desk.sources)], "destinations": [str(desk.out)], "profile": "archive-fixed"}
    job.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in keys.items()), encoding="utf-8")
    environment = os.environ | {"CINEFARM_API_URL": api[1], "CINEFARM_API_TOKEN": server.token()}
    environment["CINEFARM_API_CA_FILE"] = str(server.secrets / "tls" / "ca.pem")

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [CINEFARM, *words], env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    submitted = command("submit", str(job), "--json")
    assert submitted.returncode == 0, submitted.stderr
    watched = command("watch", json.loads(submitted.stdout.splitlines()[0])["job"])
    assert watched.returncode == 0, watched.stdout + watched.stderr
    assert len(desk.results()) == 1
    refused = httpx.get(f"{api[0]}/api/v1/jobs", timeout=10, verify=trust)
    assert refused.status_code == 401

    flower = f"http://127.0.0.1:{server.ports['flower-0']}/api/workers"
    login = tuple((server.secrets / "cinefarm_flower_basic_auth").read_text().split(":"))
    wait(lambda: answers(flower, auth=login), lambda: server.log("flower-0"))
    assert not answers(flower)
    with socket.create_connection(("127.0.0.1", server.ports["listener-0"]), 5):
        pass
    codes = server.stop()
    assert {name: code for name, code in codes.items() if code != 0 and name != "flower-0"} == {}
    secret = server.token()
    assert not [name for name in codes if secret in server.log(name)]


@pytest.mark.skipif(any(Path(place).exists() for place in ("/dev/dri", "/dev/nvidiactl")), reason="it has a device")
def test_a_gpu_worker_without_a_gpu_says_what_is_missing_and_ends(server: Server) -> None:
    server.start(server.ours["gpu-worker"])
    assert server.processes["gpu-worker-0"].wait(120) == os.EX_UNAVAILABLE
    assert "this machine cannot serve gpu.nvenc" in server.log("gpu-worker-0")
