"""The API with a certificate: it speaks TLS alone, commands on this machine find it, and what is wrong with it is said at start."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import httpx
import pytest
from support.certificates import authority
from support.desk import Desk
from support.office import Office
from support.server import redis_server

from common.errors import PolicyError
from common.settings import Settings
from orchestrator.api.server import tls_files


def test_api_and_commands_speak_tls(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    certificate = ca.sign("farm", "127.0.0.1")
    (tmp_path / "sources").mkdir()
    with redis_server() as broker:
        office = Office(Desk(tmp_path), broker, "")
        office.environment = {
            "CINEFARM_HTTP_CERT_FILE": str(certificate),
            "CINEFARM_HTTP_KEY_FILE": str(certificate.with_suffix(".key")),
            "CINEFARM_API_CA_FILE": str(ca.certificate),
        }
        try:
            office.serve()
            jobs = office.run("jobs", "--json")
            assert (jobs.code, jobs.lines) == (0, []), jobs.stderr
            told = json.loads((office.desk.state / "api.json").read_text(encoding="utf-8"))["url"]
            assert told.startswith("https://")
            live = f"{told.removeprefix('https://')}/api/v1/health/live"
            trust = ssl.create_default_context(cafile=ca.certificate)
            assert httpx.get(f"https://{live}", verify=trust).status_code == 200
            with pytest.raises(httpx.HTTPError):
                httpx.get(f"https://{live}")  # nobody that this machine trusts has signed it
            with pytest.raises(httpx.HTTPError):
                httpx.get(f"http://{live}")
        finally:
            office.close()


def settings(certificate: Path | None, key: Path | None) -> Settings:
    return Settings(http_cert_file=certificate, http_key_file=key)


def test_a_certificate_that_cannot_be_used_is_refused_with_the_settings_names(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    one, other = ca.sign("one"), ca.sign("other")
    assert tls_files(settings(None, None)) == {}
    assert set(tls_files(settings(one, one.with_suffix(".key")))) == {"ssl_certfile", "ssl_keyfile"}
    for certificate, key in (
        (one, None),
        (one, other.with_suffix(".key")),
        (tmp_path / "none.pem", one.with_suffix(".key")),
    ):
        with pytest.raises(PolicyError) as refused:
            tls_files(settings(certificate, key))
        assert "CINEFARM_HTTP_CERT_FILE" in refused.value.hint
