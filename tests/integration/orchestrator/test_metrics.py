"""``/metrics`` of a real server: what waits, what ended, and no name of a person, a file or a password."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.storescp import free_port
from support.web_server import Served, served  # noqa: F401 a fixture

from common.stages import State
from orchestrator.ledger.schema import Item, Job
from orchestrator.metrics.instruments import place


def figures(text: str) -> dict[tuple[str, str], float]:
    """(name, the value of its only label) → figure."""
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_waits_is_told_by_queue_and_state(served: Served) -> None:  # noqa: F811
    with served.farm.ledger.begin() as session:
        session.add(
            Job(id="a" * 32, key="k", sources=["/x"], destinations=["/y"], profile={"name": "archive"}, audio="strip")
        )
        session.flush()
        session.add_all(
            Item(
                id=f"{n:032x}",
                job_id="a" * 32,
                name=f"Doe^Jane {n}",
                source=f"/x/{n}",
                state=State.FOUND,
                queue="describe",
                number=n,
                size_bytes=10,
                mtime_ns=n,
            )
            for n in range(3)
        )
    answer = served.client.get("/metrics")
    assert answer.status_code == 200
    seen = figures(answer.text)
    assert seen["cinefarm_backlog_items", "describe"] == 3
    assert seen["cinefarm_items", "found"] == 3
    assert seen["cinefarm_source_bytes", "found"] == 30
    assert seen["cinefarm_backlog_seconds", "cpu"] == 0
    assert "Doe" not in answer.text
    assert "/x" not in answer.text


def test_one_queue_is_told_before_anybody_serves_it(served: Served) -> None:  # noqa: F811
    answer = served.client.get("/api/v1/queues/gpu.nvenc")
    assert answer.status_code == 200
    assert answer.json()["backlog_seconds"] == 0
    assert served.client.get("/api/v1/queues/nonsense").status_code == 422


@pytest.mark.parametrize(
    ("uri", "label"),
    [
        ("dicom://ARCHIVE@pacs.example:104", "dicom:ARCHIVE@pacs.example"),
        ("dicom+tls://ARCHIVE@pacs.example:2762", "dicom+tls:ARCHIVE@pacs.example"),
        ("dicomweb+https://anna:secret@pacs.example/studies?x=1", "dicomweb+https:pacs.example"),
        ("s3://bucket/prefix/Doe", "s3:bucket"),
    ],
)
def test_a_destination_is_told_without_path_or_password(uri: str, label: str) -> None:
    assert place(uri) == label


def test_a_folder_is_told_by_a_digest() -> None:
    assert place("/archive/Doe^Jane").startswith("folder:")
    assert "Doe" not in place("/archive/Doe^Jane")


@pytest.mark.farm
@pytest.mark.peer("prometheus")
def test_prometheus_scrapes_the_service_and_loads_the_rules(served: Served, tmp_path: Path) -> None:  # noqa: F811
    here = Path(__file__).parents[3] / "k8s/monitoring"
    port = free_port()
    config = (here / "prometheus.yml").read_text(encoding="utf-8")
    target = served.url.removeprefix("http://")
    config = config.replace(
        "dns_sd_configs: [{ names: [orchestrator], type: A, port: 8080 }]",
        f'static_configs: [{{ targets: ["{target}"] }}]',
    )
    config = config.replace("authorization: { credentials_file: /run/secrets/metrics_token }\n", "").replace(
        "30s", "1s"
    )
    (tmp_path / "prometheus.yml").write_text(config, encoding="utf-8")
    (tmp_path / "rules.yml").write_text((here / "rules.yml").read_text(encoding="utf-8"), encoding="utf-8")
    argv = ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    with subprocess.Popen([*argv, f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + 60
            while not _value(port, "cinefarm_build_info"):
                assert time.monotonic() < end
                assert process.poll() is None
                time.sleep(0.2)
            groups = httpx.get(f"http://127.0.0.1:{port}/api/v1/rules", timeout=10).json()["data"]["groups"]
            assert {group["name"] for group in groups} == {"cinefarm-recorded", "cinefarm-alerts"}
            while not _value(port, "cinefarm:backlog_seconds"):
                assert time.monotonic() < end
                time.sleep(0.2)
        finally:
            process.kill()


def _value(port: int, query: str) -> list[object]:
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": query}, timeout=10).json()
    except httpx.HTTPError:
        return []
    return list(answer["data"]["result"])


def test_the_loops_figures_reach_the_server_beside_it(tmp_path: Path) -> None:
    """Two processes, as ``cinefarm serve`` has them."""
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    loop = "from orchestrator.metrics import instruments; instruments.leases_expired.labels('cpu').inc(3)"
    subprocess.run([sys.executable, "-c", loop], env=environment, check=True)
    server = (
        "from prometheus_client import CollectorRegistry, generate_latest\n"
        "from prometheus_client.multiprocess import MultiProcessCollector\n"
        "registry = CollectorRegistry(); MultiProcessCollector(registry); print(generate_latest(registry).decode())"
    )
    said = subprocess.run([sys.executable, "-c", server], env=environment, check=True, capture_output=True, text=True)
    assert figures(said.stdout)["cinefarm_leases_expired_total", "cpu"] == 3
