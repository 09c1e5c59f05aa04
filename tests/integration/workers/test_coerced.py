"""Identifiers coerced on the way: what would be kept keeps its pixel data, its UID and all else; whatever is made says so."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pydicom
import pytest
from support import zoo
from support.passage import HEADER, passage
from support.zoo_dicom import enhanced_xa, jpeg_frames, stream_in

from common.dicom.identifiers import AccessionRule, Identifiers, PatientRule
from common.dicom.pixel_stream import read_header
from common.errors import BadIdentifiers
from common.orders import Path as Way
from common.recipes import PROFILES

RULES = Identifiers(
    source="St. Elsewhere",
    patient=(PatientRule(prefix="E-", issuer="REGION"),),
    accession=(AccessionRule(prefix="E"),),
)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A DICOM video that is legal as it is: what we make of a clip."""
    clip = tmp_path / "clip.mp4"
    zoo.clip("-c:v", "libx264", "-profile:v", "high", "-bf", "2")(clip)
    made = passage(clip, tmp_path / "first")
    path = tmp_path / "kept.dcm"
    path.write_bytes(made.store.get(made.done.instance_key))
    assert passage(path, tmp_path / "second").plan.path is Way.KEEP
    return path


def tail(path: Path) -> bytes:
    read = read_header(path)
    return path.read_bytes()[read.pixel_data_offset : read.end]


def test_what_would_be_kept_gets_a_new_header_and_nothing_else(kept: Path, tmp_path: Path) -> None:
    made = passage(kept, tmp_path / "third", rules=RULES)
    assert (made.plan.path, made.plan.header_only, made.done.coerced) == (Way.REWRAP, True, True)
    assert made.plan.forced_by[-1].rule == "policy.identifiers"
    source = pydicom.dcmread(kept)
    assert (made.instance.PatientID, made.instance.IssuerOfPatientID) == ("E-P-1", "REGION")
    assert made.instance.SOPInstanceUID == source.SOPInstanceUID == made.done.sop_instance_uid
    result = tmp_path / "result.dcm"
    result.write_bytes(made.store.get(made.done.instance_key))
    assert tail(result) == tail(kept)
    changed = {"PatientID", "IssuerOfPatientID", "OriginalAttributesSequence"}
    assert {e.keyword for e in made.instance if e != source.get(e.tag)} == changed
    (item,) = made.instance.OriginalAttributesSequence
    assert item.ModifiedAttributesSequence[0].PatientID == "P-1"
    assert item.AttributeModificationDateTime == "20261123120000+0000"


def test_coerced_once_it_is_kept_to_the_byte_by_the_same_rules(kept: Path, tmp_path: Path) -> None:
    made = passage(kept, tmp_path / "third", rules=RULES)
    again = tmp_path / "again.dcm"
    again.write_bytes(made.store.get(made.done.instance_key))
    assert passage(again, tmp_path / "fourth", rules=RULES).plan.path is Way.KEEP


def test_what_the_rules_leave_alone_is_kept_to_the_byte(kept: Path, tmp_path: Path) -> None:
    other = Identifiers(patient=(PatientRule(when_issuer="SOMEBODY", prefix="X"),))
    made = passage(kept, tmp_path / "third", rules=other)
    assert (made.plan.path, made.plan.coercion, made.done.coerced) == (Way.KEEP, None, False)


def test_kept_frames_keep_their_fragments(tmp_path: Path) -> None:
    source = tmp_path / "frames.dcm"
    jpeg_frames(source)
    made = passage(source, tmp_path, profile=PROFILES["primary"], rules=RULES)
    assert (made.plan.header_only, made.instance.PatientID) == (True, "E-P-1")
    assert made.instance.PixelData == pydicom.dcmread(source).PixelData


def test_frames_coded_without_loss_keep_their_uid_and_get_the_new_identifiers(tmp_path: Path) -> None:
    source = tmp_path / "frames.dcm"
    enhanced_xa(source)
    made = passage(source, tmp_path, profile=PROFILES["primary"], rules=RULES)
    assert (made.plan.path, made.done.coerced, made.instance.PatientID) == (Way.FRAMES, True, "E-P-1")
    assert made.instance.SOPInstanceUID == pydicom.dcmread(source).SOPInstanceUID


def test_a_rewrapped_stream_gets_them_with_its_new_header(tmp_path: Path) -> None:
    source = tmp_path / "cut.dcm"
    stream_in(".102", 3, "-c:v", "libx264", "-profile:v", "high", "-bf", "2", suffix=".mp4")(source)
    made = passage(source, tmp_path, rules=RULES)
    assert (made.plan.path, made.plan.header_only) == (Way.REWRAP, False)
    assert made.instance.OriginalAttributesSequence[0].ModifiedAttributesSequence[0].PatientID == "P-1"


def test_the_data_of_a_mapping_are_coerced_too(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    zoo.clip("-c:v", "libx264", "-profile:v", "high", "-bf", "2")(clip)
    made = passage(clip, tmp_path, rules=RULES)
    assert (made.instance.PatientID, made.done.coerced) == ("E-P-1", True)
    assert HEADER["00100020"]["Value"] == ["P-1"]


def test_a_source_that_the_rules_refuse_fails_when_it_is_described(kept: Path, tmp_path: Path) -> None:
    with pytest.raises(BadIdentifiers, match="does not have this one"):
        passage(kept, tmp_path / "third", rules=Identifiers(patient=(PatientRule(ids={"P-2": "P-3"}),)))


def test_evidence_and_result_hold_no_identifier(kept: Path, tmp_path: Path) -> None:
    made = passage(kept, tmp_path / "third", rules=RULES)
    said = json.dumps(made.evidence) + made.done.model_dump_json() + made.source.model_dump_json()
    assert "E-P-1" not in said
    assert "REGION" not in said
    assert pydicom.dcmread(io.BytesIO(made.store.get(made.done.instance_key))).PatientID == "E-P-1"
