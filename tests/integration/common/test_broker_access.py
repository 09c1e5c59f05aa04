"""A broker behind TLS, certificates and users: what lets us in, and what is said when something does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError
from support.certificates import authority
from support.secure_redis import ENCODED, PASSWORD, SecureRedis, documented_rules, secure_redis
from support.server import redis_server

from common.broker_access import check_broker, open_redis, tls_options
from common.errors import EnvironmentFault, PolicyError
from common.farm import Message, make_app, publish
from common.leases import connect
from common.settings import Settings

pytestmark = pytest.mark.peer("redis-server")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureRedis]:
    with secure_redis(tmp_path_factory.mktemp("broker"), documented_rules()) as server:
        yield server


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of an authority that has nothing to do with this farm, and one that it signed."""
    ca = authority(tmp_path_factory.mktemp("other"), "other")
    ca.sign("stranger")
    return ca.certificate


def refusal(settings: Settings) -> str:
    """What an operator reads, message and hint."""
    with pytest.raises((EnvironmentFault, PolicyError)) as caught:
        check_broker(settings)
    told = f"{caught.value.message} {caught.value.hint}"
    assert PASSWORD not in told
    assert ENCODED not in told
    return told


def test_the_documented_user_is_let_in(server: SecureRedis) -> None:
    assert check_broker(server.settings()) == ()


def test_celery_publishes_by_the_same_settings(server: SecureRedis) -> None:
    with make_app(server.settings()) as app:
        publish(app, [Message("cinefarm.describe", {}, "describe", "o1")])
    assert open_redis(server.settings()).llen("describe") == 1


def test_celery_verifies_the_server_as_well(server: SecureRedis, other: Path) -> None:
    app = make_app(server.settings(broker_ca_file=other))
    with app.connection_for_write() as connection, pytest.raises(OperationalError, match="CERTIFICATE_VERIFY"):
        connection.ensure_connection(max_retries=1, interval_start=0)


@pytest.mark.parametrize(("user", "password"), [("cinefarm", "wrong"), ("nobody", ENCODED), ("", "")])
def test_a_wrong_user_or_password_names_the_setting(user: str, password: str, server: SecureRedis) -> None:
    told = refusal(server.settings(broker_url=server.url(user, password)))
    assert "refuses the user or the password of CINEFARM_BROKER_URL" in told
    assert "percent-encoded" in told


def test_a_server_that_another_authority_signed_is_not_believed(server: SecureRedis, other: Path) -> None:
    assert "CINEFARM_BROKER_CA_FILE must hold the CA" in refusal(server.settings(broker_ca_file=other))


def test_a_server_by_a_name_that_its_certificate_does_not_hold_is_not_believed(server: SecureRedis) -> None:
    told = refusal(server.settings(broker_url=server.url(host="localhost")))
    assert "Hostname mismatch" in told
    assert "host in CINEFARM_BROKER_URL" in told


def test_a_server_that_wants_a_client_certificate_says_so(server: SecureRedis) -> None:
    told = refusal(server.settings(broker_cert_file=None, broker_key_file=None))
    assert "Set CINEFARM_BROKER_CERT_FILE and CINEFARM_BROKER_KEY_FILE" in told


def test_a_client_certificate_of_another_authority_is_refused_in_words(server: SecureRedis, other: Path) -> None:
    stranger = other.with_name("stranger.pem")
    told = refusal(server.settings(broker_cert_file=stranger, broker_key_file=stranger.with_suffix(".key")))
    assert "refuses our client certificate" in told


def test_a_user_who_may_do_too_little_is_sent_to_the_documentation(tmp_path: Path) -> None:
    with secure_redis(tmp_path, "~* &* +@all -info", client_certificates=False) as server:
        told = refusal(server.settings(broker_cert_file=None, broker_key_file=None))
    assert "'info'" in told
    assert "docs/redis.md" in told


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"broker_ca_file": Path("/none/ca.pem")}, "CINEFARM_BROKER_CA_FILE cannot be used"),
        ({"broker_ca_file": Path("/dev/null")}, "CINEFARM_BROKER_CA_FILE cannot be used"),
        (
            {"broker_cert_file": Path("/none/c.pem")},
            "CINEFARM_BROKER_CERT_FILE and CINEFARM_BROKER_KEY_FILE cannot be used",
        ),
        ({"broker_key_file": None}, "half set"),
        ({"broker_url": "rediss://u:a%2Fpass@h:1/0?ssl_cert_reqs=none"}, "holds TLS options"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_any_connection(
    changes: dict[str, object], words: str, server: SecureRedis
) -> None:
    with pytest.raises(PolicyError, match=words):
        tls_options(server.settings(**changes))


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_tls_where_there_is_none_or_none_where_there_is_hints_at_the_scheme(scheme: str, server: SecureRedis) -> None:
    if scheme == "redis":
        settings = server.settings(broker_url=server.url().replace("rediss:", "redis:"))
        words = r"wants rediss://"
    else:
        settings, words = server.settings(broker_url="rediss://127.0.0.1:1/0"), r"wants redis://"
    with pytest.raises(ConnectionError, match=words):
        check_broker(settings)


def test_a_broker_that_may_delete_leases_is_a_note() -> None:
    with redis_server() as url:
        assert check_broker(Settings(broker_url=url)) == ()
        connect(url).config_set("maxmemory-policy", "allkeys-lru")
        (note,) = check_broker(Settings(broker_url=url))
    assert "maxmemory-policy allkeys-lru" in note


def test_no_setting_with_a_password_is_shown(server: SecureRedis) -> None:
    settings = server.settings(ledger_url=f"postgresql://u:{ENCODED}@h/d")
    assert ENCODED not in repr(settings)


@pytest.mark.parametrize("command", ["worker", "serve"])
def test_a_service_that_is_not_let_in_ends_with_one_sentence(
    command: str, server: SecureRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.environment(broker_url=server.url(password="wrong%2Fpass")).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CINEFARM_STATE_DIR", str(tmp_path))
    program = Path(sys.executable).with_name("cinefarm")
    done = subprocess.run([program, command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == {"worker": 69, "serve": 2}[command], done.stderr
    assert "refuses the user or the password of CINEFARM_BROKER_URL" in done.stderr
    assert "wrong" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
