"""DICOM over TLS against dcmtk's storescp: whom we believe, who believes us, and what is said when somebody does not."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.certificates import Authority, authority
from support.storescp import Start, storescps

from common.destinations import DicomDestination
from common.errors import DestinationRefused, DestinationUnavailable, PolicyError
from common.network.association import Caller, Timeouts, associate
from common.network.tls import SUITES, Credentials, client_context, server_context

VERIFICATION, IMPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.1.2"


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def archive(ca: Authority) -> Path:
    return ca.sign("archive", "127.0.0.1")


@pytest.fixture(scope="module")
def ours(ca: Authority) -> Path:
    return ca.sign("ours")


@pytest.fixture(scope="module")
def stranger(ca: Authority) -> Path:
    return authority(ca.certificate.parent, "other").sign("stranger", "127.0.0.1")


def credentials(ca: Authority, certificate: Path | None = None) -> Credentials:
    return Credentials(ca.certificate, certificate, certificate and certificate.with_suffix(".key"))


@pytest.fixture
def storescp() -> Iterator[Start]:
    """Start a storescp that keeps nothing; with a ``certificate`` it speaks TLS, and asks clients for theirs if ``believes``."""
    with storescps() as serve:

        def start(certificate: Path | None = None, believes: Path | None = None) -> int:
            tls = ["+tls", str(certificate.with_suffix(".key")), str(certificate)] if certificate else []
            tls += ["+cf", str(believes)] if believes else ["-ic"] if certificate else []
            return serve(*tls)

        yield start


def echo(port: int, ours: Credentials, *, host: str = "127.0.0.1") -> int:
    """The status of a C-ECHO over TLS."""
    caller = Caller("CINEFARM", 131_072, Timeouts(association=5), credentials=ours)
    with associate({VERIFICATION: [IMPLICIT]}, DicomDestination("PEER", host, port, tls=True), caller) as association:
        return int(association.send_c_echo().Status)


@pytest.mark.peer("storescp")
def test_a_server_whose_authority_we_believe_is_spoken_to(ca: Authority, archive: Path, storescp: Start) -> None:
    assert echo(storescp(archive), credentials(ca)) == 0


@pytest.mark.peer("storescp")
def test_both_sides_show_their_certificates(ca: Authority, archive: Path, ours: Path, storescp: Start) -> None:
    assert echo(storescp(archive, ca.certificate), credentials(ca, ours)) == 0


@pytest.mark.peer("storescp")
def test_a_server_that_demands_a_client_certificate_says_so(ca: Authority, archive: Path, storescp: Start) -> None:
    with pytest.raises(DestinationRefused, match="demands a client certificate, and we have none") as caught:
        echo(storescp(archive, ca.certificate), credentials(ca))
    assert "CINEFARM_DICOM_CERT_FILE" in caught.value.hint


@pytest.mark.peer("storescp")
def test_a_server_that_does_not_know_our_authority_says_so(
    ca: Authority, archive: Path, stranger: Path, storescp: Start
) -> None:
    with pytest.raises(DestinationRefused, match="refuses our client certificate: the archive does not know the CA"):
        echo(storescp(archive, ca.certificate), credentials(ca, stranger))


@pytest.mark.peer("storescp")
def test_a_server_of_an_unknown_authority_is_refused(ca: Authority, stranger: Path, storescp: Start) -> None:
    with pytest.raises(
        DestinationRefused, match=r"we refuse the certificate .* no authority that we believe"
    ) as caught:
        echo(storescp(stranger), credentials(ca))
    assert "CINEFARM_DICOM_CA_FILE" in caught.value.hint


@pytest.mark.peer("storescp")
def test_a_certificate_for_another_host_is_refused(ca: Authority, ours: Path, storescp: Start) -> None:
    with pytest.raises(DestinationRefused, match=r"not made out for the host 127\.0\.0\.1"):
        echo(storescp(ours), credentials(ca))


@pytest.mark.peer("storescp")
def test_an_expired_certificate_is_refused(ca: Authority, storescp: Start) -> None:
    with pytest.raises(DestinationRefused, match="it has expired"):
        echo(storescp(ca.sign("old", "127.0.0.1", days=-1)), credentials(ca))


@pytest.mark.peer("storescp")
def test_a_port_without_tls_is_not_spoken_to(ca: Authority, storescp: Start) -> None:
    with pytest.raises(DestinationUnavailable, match="ended the connection in the TLS handshake") as caught:
        echo(storescp(), credentials(ca))
    assert "speaks TLS on this port" in caught.value.hint


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_our_listener_and_our_client_understand_each_other(
    ca: Authority, archive: Path, ours: Path, version: ssl.TLSVersion
) -> None:
    listener = server_context(credentials(ca, archive))
    listener.maximum_version = version
    assert handshake(client_context(credentials(ca, ours)), listener) == version.name.replace("v1_", "v1.")


def test_our_listener_lets_no_stranger_in(ca: Authority, archive: Path, stranger: Path) -> None:
    with pytest.raises(ssl.SSLError):
        handshake(client_context(credentials(ca, stranger)), server_context(credentials(ca, archive)))


def test_our_listener_speaks_no_old_tls(ca: Authority, archive: Path) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(ca.certificate)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.set_ciphers("ECDHE-ECDSA-AES128-SHA256")  # CBC: not in BCP 195
    with pytest.raises(ssl.SSLError):
        handshake(old, server_context(credentials(ca, archive), anonymous_clients=True))


def handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> str | None:
    """The version that both agree on, after a byte each way."""
    here, there = socket.socketpair()
    failures: list[OSError] = []

    def answer() -> None:
        try:
            with server.wrap_socket(there, server_side=True) as end:
                end.sendall(end.recv(1))
        except OSError as error:
            failures.append(error)
            there.close()

    listening = threading.Thread(target=answer)
    listening.start()
    try:
        with client.wrap_socket(here, server_hostname="127.0.0.1") as end:
            end.sendall(b"?")
            end.recv(1)
            return end.version()
    finally:
        here.close()
        listening.join(10)
        if failures:
            raise failures[0]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"cert_file": "ours.pem"}, "half set"),
        ({"ca_file": "none.pem"}, "CINEFARM_DICOM_CA_FILE cannot be used: No such file"),
        ({"cert_file": "ours.pem", "key_file": "archive.key"}, "CINEFARM_DICOM_KEY_FILE cannot be used: KEY_VALUES"),
    ],
)
def test_settings_that_cannot_be_used_are_named(
    ca: Authority, archive: Path, ours: Path, names: dict[str, str], words: str
) -> None:
    folder = ca.certificate.parent
    with pytest.raises(PolicyError, match=words) as caught:
        client_context(Credentials(**{name: folder / file for name, file in names.items()}))
    assert str(folder) not in caught.value.message + caught.value.hint


def test_a_listener_that_believes_nobody_in_particular_does_not_start(archive: Path) -> None:
    with pytest.raises(PolicyError, match="whose client certificates"):
        server_context(Credentials(None, archive, archive.with_suffix(".key")))


def test_only_the_suites_of_rfc_9325_are_offered(ca: Authority) -> None:
    offered = {suite["name"] for suite in client_context(credentials(ca)).get_ciphers()}
    assert {name for name in offered if not name.startswith("TLS_")} == set(SUITES.split(":"))
