"""What a probe of an archive or a DICOMweb server told, as the object of docs/json.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from common.destinations import DicomDestination, WebDestination, parse_destination
from common.errors import PolicyError
from common.network.association import Caller
from common.network.probe import Probed, probe
from common.network.web_probe import Service, probe_web
from common.settings import Settings
from orchestrator.accepting import keep_probe
from orchestrator.ledger.database import Sessions


def probed(uri: str, settings: Settings, ledger: Sessions) -> dict[str, Any]:
    """Ask a destination what it takes; what an archive told is kept for the planner.

    Raises:
        PolicyError: it is no archive.
        EnvironmentFault: no association came about.
    """
    peer = prober(uri)
    if isinstance(peer, WebDestination):
        return web_facts(peer, probe_web(peer, settings))
    told = probe(peer, Caller.of(settings))
    with ledger.begin() as session:
        keep_probe(session, told)
    return archive_facts(told)


def prober(uri: str) -> DicomDestination | WebDestination:
    """The archive that is meant.

    Raises:
        PolicyError: the URI is not understood, or means a folder or a bucket.
    """
    peer = parse_destination(uri)
    if isinstance(peer, (DicomDestination, WebDestination)):
        return peer
    hint = "Write dicom://AET@host:port, dicom+tls:// or dicomweb+https://host/path."
    raise PolicyError("only archives are probed", hint=hint)


def archive_facts(told: Probed) -> dict[str, Any]:
    """What an archive told over DICOM."""
    contexts = [
        {"sop_class_uid": pair[0], "transfer_syntax_uid": pair[1], "taken": taken}
        for taken, pairs in ((True, told.taken), (False, told.refused))
        for pair in pairs
    ]
    return told.model_dump(mode="json", exclude={"taken", "refused"}) | {"contexts": contexts}


def web_facts(server: WebDestination, services: Sequence[Service]) -> dict[str, Any]:
    """What a DICOMweb server told."""
    return {"destination": server.uri, "services": [asdict(each) for each in services]}
