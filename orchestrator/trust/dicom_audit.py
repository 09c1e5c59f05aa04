"""DICOM Audit Messages (PS3.15 A.5) as bytes of XML. Pure: records in, messages out.

Codes are those of PS3.16 CID 400 (event), 401 (type) and 402 (role), and of RFC 3881 for kinds of identifiers. The ledger knows no
patient, so where the standard wants a Patient ID it says ``<none>``, as archives do for an unknown one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, tostring

Code = tuple[str, str, str]
"""Code, coding system, meaning."""

APPLICATION_ACTIVITY: Code = ("110100", "DCM", "Application Activity")
AUDIT_LOG_USED: Code = ("110101", "DCM", "Audit Log Used")
BEGIN_TRANSFERRING: Code = ("110102", "DCM", "Begin Transferring DICOM Instances")
INSTANCES_ACCESSED: Code = ("110103", "DCM", "DICOM Instances Accessed")
INSTANCES_TRANSFERRED: Code = ("110104", "DCM", "DICOM Instances Transferred")
SECURITY_ALERT: Code = ("110113", "DCM", "Security Alert")
USER_AUTHENTICATION: Code = ("110114", "DCM", "User Authentication")

APPLICATION_START: Code = ("110120", "DCM", "Application Start")
APPLICATION_STOP: Code = ("110121", "DCM", "Application Stop")
LOGIN: Code = ("110122", "DCM", "Login")
LOGOUT: Code = ("110123", "DCM", "Logout")
SOFTWARE_CONFIGURATION: Code = ("110131", "DCM", "Software Configuration")
RESTRICTED_FUNCTION: Code = ("110132", "DCM", "Use of Restricted Function")
USER_SECURITY: Code = ("110137", "DCM", "User Security Attributes Changed")

APPLICATION: Code = ("110150", "DCM", "Application")
DESTINATION_ROLE: Code = ("110152", "DCM", "Destination Role ID")
SOURCE_ROLE: Code = ("110153", "DCM", "Source Role ID")

STUDY_UID: Code = ("110180", "DCM", "Study Instance UID")
PATIENT_NUMBER: Code = ("2", "RFC-3881", "Patient Number")
URI: Code = ("12", "RFC-3881", "URI")

UNKNOWN_PATIENT = "<none>"

SUCCESS, MINOR, SERIOUS = "0", "4", "8"
"""EventOutcomeIndicator."""


@dataclass(frozen=True)
class Participant:
    """Who or what took part. ``address``: of a machine, where it is known."""

    user: str
    requestor: bool
    role: Code | None = None
    address: str = ""


@dataclass(frozen=True)
class Thing:
    """What it was about. ``instances``: SOP Class UID → how many, of a study."""

    identifier: str
    kind: Code
    type_code: str  # 1 person, 2 system object
    role: str  # 1 patient, 3 report, 13 security resource, 20 job
    name: str = ""
    instances: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Message:
    """One audit message."""

    event: Code
    action: str  # C, R, U, D, E
    at: datetime
    participants: tuple[Participant, ...]
    outcome: str = SUCCESS
    kinds: tuple[Code, ...] = ()
    things: tuple[Thing, ...] = ()
    said: str = ""  # EventOutcomeDescription


def patient() -> Thing:
    """The patient, whom we do not know."""
    return Thing(UNKNOWN_PATIENT, PATIENT_NUMBER, "1", "1", name="")


def study(uid: str, sop_class: str = "", count: int = 1) -> Thing:
    """A study, and what of it was moved."""
    return Thing(uid, STUDY_UID, "2", "3", instances=((sop_class, count),) if sop_class else ())


def xml(message: Message, source: str) -> bytes:
    """The message as PS3.15 A.5.1 has it; ``source``: AuditSourceID, the name of this farm."""
    root = Element("AuditMessage")
    event = SubElement(
        root,
        "EventIdentification",
        EventActionCode=message.action,
        EventDateTime=message.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        EventOutcomeIndicator=message.outcome,
    )
    _code(event, "EventID", message.event)
    for kind in message.kinds:
        _code(event, "EventTypeCode", kind)
    if message.said:
        SubElement(event, "EventOutcomeDescription").text = _clean(message.said)
    for participant in message.participants:
        _participant(root, participant)
    where = SubElement(root, "AuditSourceIdentification", AuditSourceID=_clean(source))
    SubElement(where, "AuditSourceTypeCode", {"csd-code": "4"})  # application server
    for thing in message.things:
        _thing(root, thing)
    text: bytes = tostring(root, encoding="utf-8")  # without a declaration, which would bring a line end
    return b'<?xml version="1.0" encoding="UTF-8"?>' + text


def _participant(root: Element, who: Participant) -> None:
    made = SubElement(
        root, "ActiveParticipant", UserID=_clean(who.user) or "unknown", UserIsRequestor=str(who.requestor).lower()
    )
    if who.address:
        is_ip = all(part.isdecimal() for part in who.address.split(".")) or ":" in who.address
        made.set("NetworkAccessPointID", _clean(who.address))
        made.set("NetworkAccessPointTypeCode", "2" if is_ip else "1")
    if who.role:
        _code(made, "RoleIDCode", who.role)


def _thing(root: Element, thing: Thing) -> None:
    made = SubElement(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=_clean(thing.identifier),
        ParticipantObjectTypeCode=thing.type_code,
        ParticipantObjectTypeCodeRole=thing.role,
    )
    _code(made, "ParticipantObjectIDTypeCode", thing.kind)
    SubElement(made, "ParticipantObjectName").text = _clean(thing.name)
    if thing.instances:
        described = SubElement(made, "ParticipantObjectDescription")
        for uid, count in thing.instances:
            SubElement(described, "SOPClass", UID=uid, NumberOfInstances=str(count))


def _code(parent: Element, name: str, code: Code) -> None:
    SubElement(parent, name, {"csd-code": code[0], "codeSystemName": code[1], "originalText": code[2]})


def _clean(text: str) -> str:
    """What XML 1.0 can hold: other characters would make the whole message unreadable."""
    return "".join(
        c if (c >= " " and not "\ud800" <= c <= "\udfff" and c < "\ufffe") or c > "\uffff" else "\ufffd" for c in text
    )
