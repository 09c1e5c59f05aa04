"""``cinefarm probe``: what real archives take is learned, shown, kept, and obeyed by the planner."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from support.descriptions import clip
from support.orthanc import serve
from support.storescp import Start, free_port, storescps
from support.web_archive import web_archive
from typer.testing import CliRunner

from common.destinations import DicomDestination
from common.dicom.sop_classes import MULTIFRAME_TRUE_COLOR_SC, VIDEO_ENDOSCOPIC
from common.errors import NoLegalPath, PolicyError
from common.network.association import Caller
from common.network.probe import EXPLICIT_LITTLE, MOST_CONTEXTS, SERVICES, pairs, probe
from common.recipes import ARCHIVE
from common.settings import Settings
from orchestrator.acceptance import Destinations
from orchestrator.accepting import keep_probe, known_of
from orchestrator.build import build_ledger
from orchestrator.cli.main import cli
from orchestrator.planner import plan

H264, FRAGMENTABLE, MPEG2 = (f"1.2.840.10008.1.2.4.{x}" for x in ("102", "102.1", "100"))


@pytest.fixture
def storescp() -> Iterator[Start]:
    with storescps() as start:
        yield start


def caller(state: Path) -> Caller:
    return Caller.of(Settings(state_dir=state))


@pytest.mark.peer("storescp")
def test_storescp_takes_all_video_but_the_fragmentable_twins(storescp: Start, tmp_path: Path) -> None:
    probed = probe(DicomDestination("PEER", "127.0.0.1", storescp("+xa", "-pdu", "65536")), caller(tmp_path))
    assert (VIDEO_ENDOSCOPIC, H264) in probed.taken
    assert (VIDEO_ENDOSCOPIC, FRAGMENTABLE) in probed.refused
    assert (MULTIFRAME_TRUE_COLOR_SC, EXPLICIT_LITTLE) in probed.taken
    assert {*probed.taken, *probed.refused} == set(pairs())
    assert probed.services == {"echo": True, "commitment": False, "find": False, "move": False, "get": False}
    assert (probed.max_pdu_bytes, probed.implementation_version[:11]) == (65_536, "OFFIS_DCMTK")


@pytest.mark.peer("storescp")
def test_an_archive_without_video_is_found_out(storescp: Start, tmp_path: Path) -> None:
    probed = probe(DicomDestination("PEER", "127.0.0.1", storescp("+x=")), caller(tmp_path))
    assert {syntax for _, syntax in probed.taken} == {"1.2.840.10008.1.2", EXPLICIT_LITTLE}


@pytest.mark.peer("Orthanc")
def test_orthanc_offers_queries_and_commitment(tmp_path: Path) -> None:
    with serve(tmp_path, free_port(), free_port()) as orthanc:
        probed = probe(DicomDestination("ORTHANC", "127.0.0.1", orthanc.dicom_port), caller(tmp_path))
    assert probed.services == dict.fromkeys(SERVICES, True)
    assert (VIDEO_ENDOSCOPIC, H264) in probed.taken
    assert (VIDEO_ENDOSCOPIC, FRAGMENTABLE) in probed.refused


@pytest.mark.peer("storescp")
def test_more_pairs_than_one_association_holds_are_asked_for_in_turn(
    storescp: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = DicomDestination("PEER", "127.0.0.1", storescp("+xa"))
    at_once = probe(peer, caller(tmp_path))
    monkeypatch.setattr("common.network.probe.MOST_CONTEXTS", 50)
    in_turn = probe(peer, caller(tmp_path))
    assert (in_turn.taken, in_turn.services) == (at_once.taken, at_once.services)
    assert MOST_CONTEXTS == 128


@pytest.mark.peer("storescp")
def test_the_command_shows_a_table_and_keeps_what_it_learned(storescp: Start, tmp_path: Path) -> None:
    uri = f"dicom://PEER@127.0.0.1:{storescp('+xa')}"
    shown = CliRunner().invoke(cli, ["probe", uri, "--state", str(tmp_path)])
    rows = {line.split()[0]: line.split()[1:] for line in shown.stdout.splitlines() if line.startswith(".")}
    assert rows[".102"] == ["yes"] * 6
    assert rows[".102.1"] == ["no"] * 6
    with build_ledger(Settings(state_dir=tmp_path)).begin() as session:
        (known,) = known_of(session, [uri])
    assert known.refuses(FRAGMENTABLE, VIDEO_ENDOSCOPIC) is not None
    assert known.refuses(H264, VIDEO_ENDOSCOPIC) is None
    assert known.commitment == "no"


@pytest.mark.peer("storescp")
def test_json_names_every_pair(storescp: Start, tmp_path: Path) -> None:
    uri = f"dicom://PEER@127.0.0.1:{storescp('+xa')}"
    said = json.loads(CliRunner().invoke(cli, ["probe", uri, "--state", str(tmp_path), "--json"]).stdout)
    assert (said["type"], said["destination"], said["services"]["echo"]) == ("probe", uri, True)
    assert len(TypeAdapter(list[dict[str, object]]).validate_python(said["contexts"])) == len(set(pairs()))


def test_an_archive_that_is_away_is_exit_code_1(tmp_path: Path) -> None:
    away = CliRunner().invoke(
        cli, ["probe", f"dicom://PEER@127.0.0.1:{free_port()}", "--state", str(tmp_path)], standalone_mode=False
    )
    assert away.return_value == 1


def test_a_web_server_is_asked_for_its_services() -> None:
    with web_archive() as archive:
        archive.script("STOW", lambda request: request.answer(400))
        uri = f"dicomweb+http://127.0.0.1:{archive.port}/rs"
        asked = CliRunner().invoke(cli, ["probe", uri, "--json"], standalone_mode=False)
    said = json.loads(asked.stdout)
    assert asked.return_value == 0
    assert {each["name"]: each["answers"] for each in said["services"]}["QIDO-RS"] is True


@pytest.mark.parametrize("place", ["/out", "s3://bucket"])
def test_what_is_no_archive_is_not_probed(place: str) -> None:
    with pytest.raises(PolicyError, match="only archives"):
        CliRunner().invoke(cli, ["probe", place], standalone_mode=False, catch_exceptions=False)


@pytest.mark.peer("storescp")
def test_a_plan_goes_by_what_was_learned(storescp: Start, tmp_path: Path) -> None:
    peer = DicomDestination("PEER", "127.0.0.1", storescp("+x="))
    with build_ledger(Settings(state_dir=tmp_path)).begin() as session:
        keep_probe(session, probe(peer, caller(tmp_path)))
        known = Destinations.of([peer.uri], known_of(session, [peer.uri]))
    with pytest.raises(NoLegalPath, match="when it was probed"):
        plan(clip(), ARCHIVE, known)
