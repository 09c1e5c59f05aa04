"""From one DICOMweb server to another, each with a password of its own: QIDO-RS and WADO-RS in, STOW-RS out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support import studies
from support.desk import Desk
from support.orthanc import WEB, Orthanc, serve
from support.s3 import free_ports

pytestmark = [
    pytest.mark.farm,
    pytest.mark.peer("Orthanc"),
    pytest.mark.skipif(not Path(str(WEB["Plugins"][0])).exists(), reason="orthanc-dicomweb is not installed"),  # type: ignore[index]
]

STUDIES = 2


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Orthanc, Orthanc]]:
    """One with loops, a still and a report, and an empty one; the farm has the credentials of both."""
    with ExitStack() as open_servers:
        made = []
        for name in ("source", "target"):
            (tmp_path / name).mkdir()
            server = serve(tmp_path / name, *free_ports(2), password=f"{name}:secret", **WEB)
            made.append(open_servers.enter_context(server))
        source, target = made
        for number in range(STUDIES):
            source.put(studies.loop(number))
        source.put(studies.still(0, 1))
        source.put(studies.report(0))
        tables = [f'["127.0.0.1:{each.http_port}"]\nbasic_auth = "{each.password}"\n' for each in made]
        (tmp_path / "credentials.toml").write_text("".join(tables), encoding="utf-8")
        monkeypatch.setenv("CINEFARM_DICOMWEB_CREDENTIALS_FILE", str(tmp_path / "credentials.toml"))
        yield source, target


def test_loops_go_from_server_to_server_once(desk: Desk, servers: tuple[Orthanc, Orthanc]) -> None:
    source, target = servers
    query = f"{source.web_uri}?StudyDate=20190101-20191231&ModalitiesInStudy=US"
    for _ in range(2):
        run = desk.migrate(
            "--profile", "primary", "--accepts", f"{target.web_uri} verify=all", source=query, to=target.web_uri
        )
        assert run.code == 0, run.stderr
        assert run.summary["counts"] == {"done": STUDIES}
        assert target.statistics()["CountInstances"] == STUDIES
    proofs = {delivery["proof"] for item in run.items.values() for delivery in item["deliveries"]}
    assert proofs == {"STOW-RS 200, found by QIDO-RS, read back by WADO-RS: same sha256"}
    assert not list((desk.state / "objects" / "sources").rglob("*"))
    logs = "".join(path.read_text(errors="replace") for path in (desk.state / "logs").iterdir())
    assert "secret" not in logs
    assert "Doe" not in logs


def test_a_server_that_does_not_know_us_ends_the_listing_with_a_word(
    desk: Desk, servers: tuple[Orthanc, Orthanc], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CINEFARM_DICOMWEB_CREDENTIALS_FILE")
    run = desk.migrate(source=servers[0].web_uri)
    assert run.code != 0
    assert "CINEFARM_DICOMWEB_CREDENTIALS_FILE" in run.stderr
