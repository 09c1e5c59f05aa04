"""Destination profiles: the files, the words that use them, and what the planner makes of each."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from fractions import Fraction
from pathlib import Path as File
from typing import Any

import pytest
from support.descriptions import LEGAL, clip, video

from common.dicom.sop_classes import VIDEO_ENDOSCOPIC
from common.dicom.transfer_syntaxes import MAX_FRAGMENT_BYTES, ROOT, short
from common.errors import NoLegalPath, PolicyError
from common.media import Description, DicomFacts, Kind, Scan
from common.orders import Path, Plan
from common.recipes import ARCHIVE, DIAGNOSTIC, PRIMARY
from common.settings import Settings
from orchestrator.accept_words import parse_acceptance
from orchestrator.acceptance import Acceptance, Destinations
from orchestrator.destinations import Library
from orchestrator.destinations.document import destinations_page
from orchestrator.planner import plan

LIBRARY = Library.of(Settings(profiles_dir=None))
PACS = "dicom://PACS@host:104"
OLD = {"codec": "mpeg4", "profile": None, "level_idc": None}  # legal nowhere
PAL = OLD | {"width": 720, "height": 576, "scan": Scan.TOP_FIELD_FIRST}
OURS = 'name = "ours"\ntitle = "Ours"\nkind = "archive"\n'


def accepts(words: str, to: str = PACS) -> Acceptance:
    return parse_acceptance(f"{to} {words}", LIBRARY)


def stored(syntax: str, *, fragments: int = 1, moov_first: bool = True, **changes: Any) -> Description:
    """A DICOM video that is legal as it is."""
    dicom = DicomFacts(
        sop_class_uid=VIDEO_ENDOSCOPIC,
        sop_instance_uid="1.2.3",
        series_uid="1.2.4",
        study_uid="1.2.5",
        transfer_syntax_uid=f"{ROOT}{syntax}",
        modality="ES",
        fragment_count=fragments,
        stream_length=1_999_000,
    )
    mpeg2 = syntax.startswith((".100", ".101"))
    facts = {"kind": Kind.DICOM_VIDEO, "dicom": dicom, "moov_first": None if mpeg2 else moov_first}
    stream = video(**{"frame_rate": Fraction(25)} | LEGAL[syntax] | changes)
    return clip(stream, container="mpegts" if mpeg2 else "mp4", **facts)


def planned(source: Description, *words: str) -> Plan:
    places = [accepts(each, f"dicom://PACS{number}@host:104") for number, each in enumerate(words, 1)]
    return plan(source, ARCHIVE, places, modality="ES")


def test_every_fact_has_a_source_and_every_file_the_name_of_its_profile() -> None:
    folder = File(__file__).parents[3] / "orchestrator" / "destinations"
    assert {file.stem for file in folder.glob("*.toml")} == set(LIBRARY.profiles)
    assert all(list(profile.facts) or profile.notes for profile in LIBRARY.profiles.values())


def test_the_page_of_profiles_is_current(request: pytest.FixtureRequest) -> None:
    page = request.config.rootpath / "docs" / "destinations.md"
    made = destinations_page(LIBRARY)
    assert page.read_text(encoding="utf-8") == made, "run: python -m orchestrator.destinations.document > " + page.name


def test_a_site_s_own_file_goes_before_the_built_in_one(tmp_path: File) -> None:
    (tmp_path / "any.toml").write_text(
        OURS.replace("ours", "orthanc") + '[max_bytes]\nvalue = "2GiB"\nsource = "measured"\n'
    )
    library = Library.of(Settings(profiles_dir=tmp_path))
    stated = parse_acceptance(f"{PACS} profile=orthanc", library)
    assert (stated.max_bytes, stated.syntaxes) == (2 * 2**30, None)
    assert "weasis" in library.profiles


def test_a_profile_may_be_a_file(tmp_path: File) -> None:
    (tmp_path / "ours.toml").write_text(OURS)
    assert accepts(f"profile={tmp_path}/ours.toml").profile == "ours"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (OURS + "colour = 1", "colour"),
        (OURS + '[syntaxes]\nvalue = [".999"]\nsource = "somebody"', "999"),
        (OURS + "[commitment]\nvalue = 'yes'", "source"),
        (OURS + "[max_bytes]\nvalue = 'much'\nsource = 'somebody'", "much"),
        ("name =", "TOML"),
    ],
)
def test_a_wrong_file_is_named_with_its_fault(text: str, named: str, tmp_path: File) -> None:
    (tmp_path / "ours.toml").write_text(text)
    with pytest.raises(PolicyError) as refused:
        Library.of(Settings(profiles_dir=tmp_path))
    assert "ours.toml" in refused.value.message
    assert named in refused.value.message


@pytest.mark.parametrize(
    "words", ["profile=nobody", "profile=ohif", "plays-in=orthanc", "plays-in=", "profile=/no/such.toml"]
)
def test_what_is_no_such_profile_is_refused(words: str) -> None:
    with pytest.raises(PolicyError) as refused:
        accepts(words)
    assert refused.value.hint


def test_stated_words_win_over_the_profile_and_viewers_lift_nothing() -> None:
    said = accepts(
        "profile=orthanc syntaxes=.102,.102.1 fragmentable=yes commitment=no verify=all pdu=64KiB plays-in=ohif,weasis"
    )
    assert (said.fragmentable, said.commitment, said.verify, said.pdu_bytes) == (True, "no", "all", 65_536)
    assert [viewer.profile for viewer in said.viewers] == ["ohif", "weasis"]
    assert "OHIF" in Destinations((said,)).refuses(f"{ROOT}.102.1").why


@pytest.mark.parametrize("words", ["commitment=perhaps", "verify=some", "pdu=1kB", "pdu=long"])
def test_words_that_are_not_understood_are_refused(words: str) -> None:
    with pytest.raises(PolicyError) as refused:
        accepts(words)
    assert refused.value.hint


def test_what_is_kept_in_the_ledger_is_read_back_whole() -> None:
    said = accepts("profile=ge-centricity plays-in=ohif")
    assert Acceptance.model_validate_json(said.model_dump_json()) == said


PLANS = [
    ("profile=orthanc", clip(video(**OLD)), Path.ENCODE, ".102"),
    ("profile=orthanc", clip(size_bytes=2**32), Path.REWRAP, ".102"),
    ("profile=dcm4chee-arc", clip(size_bytes=2**32), Path.REWRAP, ".102.1"),
    ("profile=ge-centricity", clip(video(**PAL)), Path.ENCODE, ".100"),
    ("profile=ge-centricity", clip(video(**OLD | {"width": 1920, "height": 1080})), Path.ENCODE, ".101"),
    ("profile=ge-centricity", clip(video(**OLD | {"width": 3840, "height": 2160})), Path.ENCODE, ".107"),
    ("profile=ge-centricity", stored(".102"), Path.KEEP, ".102"),
    ("profile=ge-centricity", clip(), Path.REWRAP, ".102"),
    ("profile=ge-centricity syntaxes=.102", clip(video(**PAL)), Path.ENCODE, ".102"),
    ("profile=aws-healthimaging", clip(size_bytes=1_100_000_000), Path.REWRAP, ".102"),
    *((f"profile={name}", clip(video(**OLD)), Path.ENCODE, ".102") for name in (
        "philips-intellispace", "siemens-syngo-plaza", "agfa-enterprise-imaging", "carestream-vue", "fujifilm-synapse",
        "google-healthcare",
    )),
    ("plays-in=ohif", stored(".102"), Path.KEEP, ".102"),
    ("plays-in=ohif", stored(".102", moov_first=False), Path.REWRAP, ".102"),
    ("plays-in=ohif", stored(".100"), Path.ENCODE, ".102"),
    ("plays-in=weasis", stored(".107"), Path.KEEP, ".107"),
    ("plays-in=weasis", stored(".107", fragments=3), Path.REWRAP, ".107"),
    ("plays-in=weasis", stored(".100"), Path.KEEP, ".100"),
    ("plays-in=horos", clip(video(**PAL)), Path.ENCODE, ".100"),
    ("plays-in=osirix,radiant,meddream", stored(".102"), Path.KEEP, ".102"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "source", "path", "syntax"), PLANS)
def test_the_planner_obeys_the_profile(words: str, source: Description, path: Path, syntax: str) -> None:
    chosen = planned(source, words)
    assert (chosen.path, short(chosen.transfer_syntax_uid)) == (path, syntax), chosen.reason


@pytest.mark.parametrize(
    ("words", "source", "rule", "name"),
    [
        (
            "profile=orthanc plays-in=horos",
            stored(".102", width=720, height=576),
            "destination.syntax",
            "profile horos",
        ),
        ("plays-in=ohif", stored(".102", moov_first=False), "destination.index", "profile ohif"),
        ("plays-in=weasis", stored(".107", fragments=3), "destination.fragments", "profile weasis"),
        (
            "profile=aws-healthimaging",
            stored(".102").model_copy(update={"size_bytes": 10**10}),
            "destination.size",
            "aws",
        ),
    ],
)
def test_the_record_says_which_profile_closed_a_path(words: str, source: Description, rule: str, name: str) -> None:
    closed = planned(source, words).forced_by[0]
    assert (closed.path, closed.rule) == (Path.KEEP, rule)
    assert name in closed.why


def test_a_wish_has_the_rungs_of_its_own_ladder() -> None:
    source = clip(video(**PAL))
    wished = plan(source, DIAGNOSTIC, [accepts("prefers=.100")], modality="ES")
    assert (wished.rungs, plan(source, DIAGNOSTIC, modality="ES").rungs) == (3, 4)
    assert (
        plan(source, DIAGNOSTIC, [accepts("prefers=.100")], modality="ES", rung=2).transfer_syntax_uid == f"{ROOT}.100"
    )


def test_a_wish_does_not_cost_bits_of_a_sample() -> None:
    deep = clip(video(**OLD | {"bit_depth": 10, "pixel_format": "yuv420p10le"}))
    assert plan(deep, DIAGNOSTIC, [accepts("prefers=.100,.101")], modality="ES").transfer_syntax_uid == f"{ROOT}.108"


def test_an_archive_that_takes_only_mpeg2_gets_it() -> None:
    assert planned(clip(video(**PAL)), "syntaxes=.100,.101").transfer_syntax_uid == f"{ROOT}.100"


def test_of_two_wishes_the_destination_named_first_has_its_own() -> None:
    source = clip(video(**OLD | {"width": 1920, "height": 1080}))
    assert planned(source, "prefers=.107", "profile=ge-centricity").transfer_syntax_uid == f"{ROOT}.107"
    assert planned(source, "profile=ge-centricity", "prefers=.107").transfer_syntax_uid == f"{ROOT}.101"


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        ("syntaxes=.100,.101", "plays-in=ohif", ("PACS1", "OHIF", ".100", ".102")),
        ("plays-in=horos", "plays-in=ohif", ("Horos", "OHIF")),
        ("syntaxes=.102", "syntaxes=.107", ("PACS1", "PACS2")),
        ("syntaxes=.101", "containers=mp4", ("PACS1", "PACS2")),
    ],
)
def test_destinations_that_contradict_each_other_are_both_named(
    first: str, second: str, names: tuple[str, ...]
) -> None:
    with pytest.raises(NoLegalPath) as refused:
        planned(clip(video(**PAL)), first, second)
    assert refused.value.rule == "destination.conflict"
    assert all(name in refused.value.message for name in names)


def test_hevc_of_several_fragments_is_parted_where_a_viewer_plays_one() -> None:
    source = clip(video(**LEGAL[".107"]), size_bytes=3 * 2**32)
    chosen = planned(source, "plays-in=weasis")
    assert chosen.split is not None
    assert (chosen.split.rule, chosen.split.limit_bytes) == ("destination.fragments", MAX_FRAGMENT_BYTES)
    assert planned(source, "profile=dcm4chee-arc").split is None


def test_a_profile_of_video_does_not_close_compressed_frames() -> None:
    frames = stored(".102").model_copy(
        update={
            "kind": Kind.DICOM_FRAMES,
            "container": "frames",
            "dicom": stored(".102").dicom.model_copy(update={"transfer_syntax_uid": f"{ROOT}.80"}),
        }
    )
    assert plan(frames, PRIMARY, [accepts("profile=orthanc plays-in=ohif")]).path is Path.KEEP


def test_a_wheel_holds_every_profile(tmp_path: File, request: pytest.FixtureRequest) -> None:
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(words, cwd=request.config.rootpath, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"orchestrator/destinations/{name}.toml" for name in LIBRARY.profiles} <= set(names)
