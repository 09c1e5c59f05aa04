"""Who believes whom: a DICOMweb server's certificate, and ours."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.certificates import Authority, authority
from support.web_archive import WebArchive, web_archive

from common.destinations import WebDestination
from common.errors import CinefarmError, DestinationRefused, PolicyError
from common.network.web import WebPeer
from common.settings import Settings

pytestmark = pytest.mark.peer("openssl")

Ask = Callable[..., int]


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def serve(ca: Authority) -> Iterator[Callable[..., WebArchive]]:
    """A server with a certificate for 127.0.0.1; ``asks``: it wants one of ours."""
    with ExitStack() as open_servers:

        def start(*, asks: bool = False) -> WebArchive:
            certificate = ca.sign("pacs", "127.0.0.1")
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca.certificate)
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
            context.verify_mode = ssl.CERT_REQUIRED if asks else ssl.CERT_NONE
            return open_servers.enter_context(web_archive(context))

        yield start


def ask(archive: WebArchive, host: str = "127.0.0.1", **settings: Any) -> int:
    server = WebDestination(f"https://{host}:{archive.port}/rs")
    with WebPeer(server, Settings(**settings), sleep=lambda _: None) as peer:
        return peer.get("/studies", what="QIDO-RS").status


def test_a_server_signed_by_our_ca_is_believed(serve: Callable[..., WebArchive], ca: Authority) -> None:
    assert ask(serve(), dicomweb_ca_file=ca.certificate) == 200


def test_a_server_signed_by_nobody_we_know_is_refused_at_once(serve: Callable[..., WebArchive]) -> None:
    with pytest.raises(DestinationRefused, match="not believed") as refused:
        ask(serve())
    assert "CINEFARM_DICOMWEB_CA_FILE" in refused.value.hint


def test_a_certificate_for_another_name_is_refused(serve: Callable[..., WebArchive], ca: Authority) -> None:
    with pytest.raises(DestinationRefused, match="not believed"):
        ask(serve(), host="localhost", dicomweb_ca_file=ca.certificate)


def test_a_server_that_asks_for_our_certificate_gets_it(serve: Callable[..., WebArchive], ca: Authority) -> None:
    ours = ca.sign("farm")
    keys = {"dicomweb_cert_file": ours, "dicomweb_key_file": ours.with_suffix(".key")}
    assert ask(serve(asks=True), dicomweb_ca_file=ca.certificate, **keys) == 200


def test_without_one_it_ends_the_handshake(serve: Callable[..., WebArchive], ca: Authority) -> None:
    with pytest.raises(CinefarmError) as refused:
        ask(serve(asks=True), dicomweb_ca_file=ca.certificate)
    assert "CINEFARM_DICOMWEB_CERT_FILE" in refused.value.hint


def test_a_server_without_tls_is_told_from_one_that_refuses_us(ca: Authority) -> None:
    with web_archive() as archive, pytest.raises(DestinationRefused, match="speaks no TLS"):
        ask(archive, dicomweb_ca_file=ca.certificate)


def test_a_key_that_is_none_is_named(serve: Callable[..., WebArchive], ca: Authority, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("no key")
    with pytest.raises(PolicyError, match="CINEFARM_DICOMWEB_CERT_FILE"):
        ask(serve(), dicomweb_cert_file=ca.certificate, dicomweb_key_file=tmp_path / "key")
    with pytest.raises(PolicyError, match="CINEFARM_DICOMWEB_CA_FILE"):
        ask(serve(), dicomweb_ca_file=tmp_path / "key")
