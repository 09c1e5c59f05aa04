"""STOW-RS to a server that misbehaves on command: every answer, every way to fall silent, and what is looked at afterwards."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from support.web_archive import Request, WebArchive, receipt, web_archive

from common.bandwidth import Pace
from common.destinations import WebDestination
from common.errors import CinefarmError, DestinationRefused, DestinationUnavailable, LeaseLost, StoreFault
from common.network.association import Timeouts
from common.orders import DeliverDone, DeliverOrder
from workers.deliver.dicomweb import deliver_to_web

from .conftest import UID, Outbox

IMPATIENT = Timeouts(connect=2, stall=1, answer=1)

Send = Callable[..., DeliverDone]


@pytest.fixture
def archive() -> Iterator[WebArchive]:
    with web_archive() as archive:
        yield archive


@pytest.fixture
def order(outbox: Outbox) -> DeliverOrder:
    return outbox.instance()


@pytest.fixture
def send(outbox: Outbox, archive: WebArchive, order: DeliverOrder) -> Send:
    """Deliver; ``settings`` and fields of the order can be named. Naps are not slept."""

    def deliver(*, settings: dict[str, Any] | None = None, pace: Pace | None = None, **fields: Any) -> DeliverDone:
        return deliver_to_web(
            order.model_copy(update=fields),
            WebDestination(f"http://127.0.0.1:{archive.port}/rs"),
            outbox.store,
            outbox.settings.model_copy(update=settings or {}),
            timeouts=IMPATIENT,
            pace=pace or Pace(),
            sleep=lambda _: None,
        )

    return deliver


def ours(outbox: Outbox, order: DeliverOrder) -> bytes:
    path = outbox.store.local_path(order.instance_key)
    assert path is not None
    return path.read_bytes()


def busy(**headers: str) -> Callable[[Request], bool]:
    def answer(request: Request) -> bool:
        return request.answer(503, b"", "text/plain", **headers)

    return answer


def says(status: int, value: object) -> Callable[[Request], bool]:
    def answer(request: Request) -> bool:
        for _ in request.body():
            pass
        return request.json(status, value)

    return answer


def test_the_instance_arrives_byte_by_byte_and_is_looked_for(
    send: Send, archive: WebArchive, outbox: Outbox, order: DeliverOrder
) -> None:
    done = send()
    assert archive.stored == {UID: ours(outbox, order)}
    assert done.location == UID
    assert done.proof == "STOW-RS 200, found by QIDO-RS"


def test_an_instance_that_is_there_is_compared_and_not_stored_twice(send: Send, archive: WebArchive) -> None:
    send()
    assert send().proof == "already there, read back by WADO-RS: same sha256"
    assert archive.asked.count("STOW") == 1


def test_another_object_under_this_uid_is_left_as_it_is(
    send: Send, archive: WebArchive, outbox: Outbox, order: DeliverOrder
) -> None:
    theirs = ours(outbox, order)[:-100] + b"x" * 92 + ours(outbox, order)[-8:]
    archive.stored[UID] = theirs
    with pytest.raises(DestinationRefused, match="another object under this SOP Instance UID"):
        send()
    assert archive.stored[UID] == theirs


def test_a_header_that_the_archive_changes_is_named_in_the_proof(
    send: Send, archive: WebArchive, outbox: Outbox, order: DeliverOrder
) -> None:
    archive.stored[UID] = ours(outbox, order).replace(b"Doe^Jane", b"DOE^JANE")
    assert (
        send().proof == "already there, read back by WADO-RS: same sha256 of Pixel Data, header changed by the archive"
    )


def test_all_are_read_back_where_that_is_the_policy(send: Send) -> None:
    assert send(verify="all").proof == "STOW-RS 200, found by QIDO-RS, read back by WADO-RS: same sha256"


def test_bytes_that_change_in_the_archive_are_no_success(send: Send, archive: WebArchive) -> None:
    def spoil(request: Request) -> bool:
        data = request.instance()
        archive.stored[UID] = data[:-50] + b"\1" * 42 + data[-8:]
        return request.json(200, receipt(stored=UID))

    archive.script("STOW", spoil)
    with pytest.raises(DestinationRefused, match="another object"):
        send(verify="all")


def test_a_warning_is_read_back_and_named(send: Send, archive: WebArchive) -> None:
    def coerce(request: Request) -> bool:
        archive.stored[UID] = request.instance().replace(b"PAT-1", b"PAT-9")
        return request.json(202, receipt(stored=UID, warning=0xB000))

    archive.script("STOW", coerce)
    proof = send().proof
    assert proof.startswith(
        "STOW-RS 202, status B000 (coercion of data elements), found by QIDO-RS, read back by WADO-RS"
    )
    assert proof.endswith("header changed by the archive")


@pytest.mark.parametrize(
    ("reason", "error", "words"),
    [
        (0xA700, DestinationUnavailable, "out of resources"),
        (0xA900, DestinationRefused, "data set does not match SOP class"),
        (0xC122, DestinationRefused, "does not take its transfer syntax"),
        (0x0124, DestinationRefused, "not authorised"),
        (None, DestinationRefused, "refused the object"),
    ],
)
def test_a_failure_reason_says_whether_to_try_again(
    send: Send, archive: WebArchive, reason: int | None, error: type[CinefarmError], words: str
) -> None:
    archive.script("STOW", says(409, receipt(failed=UID, reason=reason)))
    with pytest.raises(error, match=words):
        send()


def test_a_duplicate_that_cannot_be_compared_is_no_success(send: Send, archive: WebArchive) -> None:
    archive.script("STOW", says(409, receipt(failed=UID, reason=0x0111)))
    with pytest.raises(DestinationRefused, match="does not give it to be compared"):
        send()


def test_a_duplicate_with_the_same_bytes_is_one(
    send: Send, archive: WebArchive, outbox: Outbox, order: DeliverOrder
) -> None:
    def hide(request: Request) -> bool:
        return request.json(200, [])

    archive.stored[UID] = ours(outbox, order)
    archive.script("QIDO", hide)  # an index that lags behind
    archive.script("STOW", says(409, receipt(failed=UID, reason=0x0111)))
    assert send().proof == "STOW-RS 409, already there, read back by WADO-RS: same sha256"


def test_what_is_confirmed_and_cannot_be_found_is_no_success(send: Send, archive: WebArchive) -> None:
    archive.script("STOW", says(200, receipt(stored=UID)))
    with pytest.raises(DestinationUnavailable, match="QIDO-RS does not find it"):
        send()


def test_an_index_that_lags_behind_is_waited_for(send: Send, archive: WebArchive) -> None:
    late = [lambda request: request.json(200, [])] * 3
    archive.script("QIDO", *late)
    assert "found by QIDO-RS" in send().proof
    assert archive.asked == ["QIDO", "STOW", "QIDO", "QIDO", "QIDO"]


def test_an_object_stored_under_another_uid_is_refused(send: Send, archive: WebArchive) -> None:
    archive.script("STOW", says(200, receipt(stored="2.25.999")))
    with pytest.raises(DestinationRefused, match="another SOP Instance UID"):
        send()


def test_a_receipt_in_xml_is_read(send: Send, archive: WebArchive) -> None:
    def refuse(request: Request) -> bool:
        for _ in request.body():
            pass
        item = f'<DicomAttribute tag="00081155" vr="UI"><Value number="1">{UID}</Value></DicomAttribute>'
        item += '<DicomAttribute tag="00081197" vr="US"><Value number="1">49442</Value></DicomAttribute>'
        sequence = f'<DicomAttribute tag="00081198" vr="SQ"><Item number="1">{item}</Item></DicomAttribute>'
        model = (
            f'<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">{sequence}</NativeDicomModel>'
        )
        return request.answer(409, model.encode(), "application/dicom+xml")

    archive.script("STOW", refuse)
    with pytest.raises(DestinationRefused, match="C122"):
        send()


def test_a_busy_server_is_waited_for_as_long_as_it_asks(
    send: Send, archive: WebArchive, outbox: Outbox, order: DeliverOrder
) -> None:
    archive.script("STOW", busy(Retry_After="7"), busy())
    assert send().proof.startswith("STOW-RS 200")
    assert archive.stored[UID] == ours(outbox, order)


def test_a_server_that_is_busy_for_long_is_left_to_the_ledger(send: Send, archive: WebArchive) -> None:
    archive.script("STOW", busy(Retry_After="3600"))
    with pytest.raises(DestinationUnavailable, match="busy"):
        send()


def test_a_cut_in_mid_body_is_tried_again_later_and_the_next_attempt_is_whole(send: Send, archive: WebArchive) -> None:
    archive.script("STOW", lambda request: next(request.body()) is None or request.hang_up())
    with pytest.raises(DestinationUnavailable, match="ended the connection"):
        send()
    assert send().proof == "STOW-RS 200, found by QIDO-RS"


def test_an_answer_that_is_lost_does_not_make_a_second_store(send: Send, archive: WebArchive) -> None:
    def store_and_vanish(request: Request) -> bool:
        archive.stored[UID] = request.instance()
        return request.hang_up()

    archive.script("STOW", store_and_vanish)
    with pytest.raises(DestinationUnavailable):
        send()
    assert send().proof.startswith("already there")
    assert archive.asked.count("STOW") == 1


def test_a_silent_server_is_given_up(send: Send, archive: WebArchive) -> None:
    import threading

    over = threading.Event()
    archive.script("STOW", lambda request: over.wait(10))
    with pytest.raises(DestinationUnavailable, match="silent"):
        send()
    over.set()


@pytest.mark.parametrize("status", [401, 403, 404, 413, 415, 500, 507])
def test_a_status_says_who_must_act(send: Send, archive: WebArchive, status: int) -> None:
    archive.script("STOW", says(status, {}))
    error = DestinationUnavailable if status >= 500 else DestinationRefused
    with pytest.raises(error, match=f"STOW-RS: HTTP {status}"):
        send()


def test_a_redirection_gets_no_credentials(send: Send, archive: WebArchive) -> None:
    with web_archive() as elsewhere:
        place = f"http://127.0.0.1:{elsewhere.port}/other?secret=1"
        archive.script("QIDO", lambda request: request.answer(302, Location=place))
        with pytest.raises(DestinationRefused, match="elsewhere") as refused:
            send(settings={"dicomweb_token": SecretStr("t0ken")})
        assert elsewhere.asked == []
    assert "secret" not in refused.value.hint


def test_the_token_goes_into_the_header_and_nowhere_else(
    send: Send, archive: WebArchive, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen = archive.seen
    archive.script("STOW", lambda request: seen.append(request.headers["Authorization"]) or says(401, {})(request))  # type: ignore[func-returns-value]
    with pytest.raises(DestinationRefused, match="credentials") as refused:
        send(settings={"dicomweb_token": SecretStr("t0ken")})
    assert seen == ["Bearer t0ken"]
    assert "t0ken" not in f"{refused.value.message}{refused.value.hint}{caplog.text}"


def test_a_credentials_file_names_who_gets_what(send: Send, archive: WebArchive, tmp_path: Path) -> None:
    path = tmp_path / "credentials.toml"
    path.write_text(f'["127.0.0.1:{archive.port}"]\nbasic_auth = "me:pass"\n["other.example"]\ntoken = "t0ken"\n')
    archive.script("STOW", lambda request: archive.seen.append(request.headers["Authorization"]) or False)  # type: ignore[func-returns-value]
    send(settings={"dicomweb_credentials_file": path, "dicomweb_token": SecretStr("not for you")})
    assert archive.seen == ["Basic bWU6cGFzcw=="]


def test_a_rotten_copy_never_arrives_whole(
    send: Send, archive: WebArchive, outbox: Outbox, order: DeliverOrder
) -> None:
    path = outbox.store.local_path(order.instance_key)
    assert path is not None
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreFault):
        send()
    assert archive.stored == {}


def test_a_revoked_attempt_ends_in_mid_transfer(send: Send, archive: WebArchive) -> None:
    def check() -> None:
        if "STOW" in archive.asked:
            raise LeaseLost("given to another")

    def wait_for_the_server(_: float) -> None:
        end = time.monotonic() + 5
        while "STOW" not in archive.asked and time.monotonic() < end:
            time.sleep(0.01)

    with pytest.raises(LeaseLost):
        send(pace=Pace(check=check, bytes_per_second=100_000, sleep=wait_for_the_server))
    assert archive.stored == {}


def test_the_limit_in_bytes_per_second_is_kept(send: Send) -> None:
    naps: list[float] = []
    send(pace=Pace(bytes_per_second=100_000, sleep=naps.append))
    assert sum(naps) > 2  # 300 kB


def test_a_server_that_lets_us_store_and_not_search_is_taken_at_its_word(send: Send, archive: WebArchive) -> None:
    archive.script("QIDO", *[lambda request: request.answer(403)] * 2)
    assert send().proof == "STOW-RS 200, QIDO-RS not offered: not looked for"


def test_nobody_there_is_an_outage(send: Send, archive: WebArchive) -> None:
    archive.port = 1
    with pytest.raises(DestinationUnavailable, match="no connection"):
        send()


def test_a_patient_stays_out_of_addresses(send: Send, archive: WebArchive) -> None:
    with pytest.raises(CinefarmError, match="cannot stand in an address"):
        send(study_uid="../../admin")
    assert archive.asked == []
