"""Rules of a job: which one counts, what it changes, and what is refused."""

from __future__ import annotations

import pytest
from pydicom import Dataset
from support.descriptions import clip, video

from common.errors import PolicyError
from common.header_patterns import HeaderPatterns
from common.media import Description
from common.orders import DescribeOrder, Path
from common.recipes import ARCHIVE, PROFILES, Figure, Threshold, settled
from orchestrator.jobfile import JobFile
from orchestrator.planner import plan
from orchestrator.profiles import by_header
from orchestrator.rules import parse_threshold
from orchestrator.work import work_digest

BASE = {"sources": ("/in",), "destinations": ("/out",)}


def job(*rules: dict[str, object], **fields: object) -> JobFile:
    return JobFile.model_validate(BASE | {"rules": rules} | fields).checked()


ULTRASOUND: dict[str, object] = {"name": "loops", "modality": ["us", "IVUS"], "profile": "diagnostic"}


def test_a_job_without_rules_is_the_job_that_it_was() -> None:
    assert JobFile.model_validate(BASE).chosen() == ARCHIVE
    assert JobFile.model_validate(BASE).chosen().digest == ARCHIVE.digest


def test_the_first_rule_that_fits_counts_and_the_plan_names_it() -> None:
    profile = job(ULTRASOUND, {"name": "rest", "profile": "review"}).chosen()
    assert profile.for_source("US", "", "").name == "diagnostic"
    assert profile.for_source("ES", "", "").rule == "rest"


def test_an_item_that_no_rule_fits_has_the_jobs_profile() -> None:
    assert job(ULTRASOUND).chosen().for_source("ES", "", "").name == "archive"


def test_the_plan_says_which_rule_chose_profile_and_gate() -> None:
    made = plan(clip(video(codec="mjpeg")), job(ULTRASOUND).chosen(), modality="US")
    assert (made.path, made.profile, made.rule) == (Path.ENCODE, "diagnostic", "loops")
    assert made.reason.endswith("(rule loops: profile diagnostic)")
    assert made.gate == PROFILES["diagnostic"].gate


def test_classes_and_series_fit_by_uid_short_name_and_beginning() -> None:
    rule = {"name": "one", "sop_class": ["endoscopic"], "series": ["1.2.3.*"], "profile": "review"}
    profile = job(rule).chosen()
    endoscopic = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
    assert profile.for_source("ES", endoscopic, "1.2.3.4").rule == "one"
    assert profile.for_source("ES", endoscopic, "1.2.4").rule == ""
    assert profile.for_source("ES", "1.2", "1.2.3.4").rule == ""


def test_thresholds_replace_those_on_the_same_figure_and_join_the_others() -> None:
    profile = (
        job({"name": "finer", "thresholds": ["vmaf p1 >= 92.5", "cambi_added p99 <= 2"]})
        .chosen()
        .for_source("", "", "")
    )
    asked = {(each.metric, each.statistic): each.limit for each in profile.gate.thresholds}
    assert asked["vmaf", "p1"] == 92.5
    assert asked["cambi_added", "p99"] == 2
    assert asked["psnr_y", "mean"] == 40
    assert Figure.CAMBI in profile.gate.measured


def test_thresholds_may_be_the_whole_gate() -> None:
    profile = job({"name": "short", "only": True, "thresholds": ["ssim min >= 0.9"]}).chosen().for_source("", "", "")
    assert profile.gate.thresholds == (Threshold(metric="ssim", statistic="min", minimum=0.9),)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"only": True, "thresholds": ["vmaf mean >= 95", "ssim harmonic_mean >= 0.9"]}, "a gate of means alone"),
        ({"thresholds": ["vmaf p1 => 90"]}, "is no threshold"),
        ({"thresholds": ["vmaf p1 <= 90"]}, "a threshold on vmaf is a minimum"),
        ({"thresholds": ["cambi p99 >= 1"]}, "a threshold on cambi is a maximum"),
        ({"thresholds": ["vif p1 >= 0.9"]}, "vif p1 is no figure"),
        ({"thresholds": ["vmaf median >= 90"]}, "vmaf median is no figure"),
        ({"profile": "best"}, "there is no profile best"),
        ({"profile": "diagnostic", "stride": 2}, "profile diagnostic measures every frame"),
        ({"profile": "review", "stride": 3, "thresholds": ["ssim min >= 0.8"]}, "needs every frame"),
    ],
)
def test_rules_that_would_let_a_ruined_result_through_or_mean_nothing_are_refused(
    rule: dict[str, object], reason: str
) -> None:
    with pytest.raises(PolicyError, match=reason):
        job({"name": "r"} | rule)


def test_a_threshold_is_read_with_any_spaces() -> None:
    assert parse_threshold(" ssim  p5>=0.98 ") == Threshold(metric="ssim", statistic="p5", minimum=0.98)


COLON: dict[str, object] = {"name": "colon", "study_description": ["*colo*"], "profile": "review"}


def test_a_rule_with_patterns_fits_where_the_reader_of_the_header_says_so() -> None:
    profile = job(ULTRASOUND, COLON).chosen()
    assert profile.header_patterns == (None, HeaderPatterns(study_description=("*colo*",)))
    assert profile.for_source("ES", "", "", (1,)).rule == "colon"
    assert profile.for_source("ES", "", "").rule == ""
    assert profile.for_source("US", "", "", (1,)).rule == "loops"


def test_the_plan_names_the_rule_whose_patterns_fit() -> None:
    source = clip(video(codec="mjpeg"), header_rules=(0,))
    assert plan(source, job(COLON).chosen(), modality="ES").rule == "colon"
    assert plan(clip(video(codec="mjpeg")), job(COLON).chosen(), modality="ES").rule == ""


def test_rules_without_patterns_ask_nothing_and_are_the_rules_that_they_were() -> None:
    profile = job(ULTRASOUND).chosen()
    assert profile.header_patterns == ()
    assert "header" not in settled(profile.model_dump(mode="json"))["rules"][0]


def test_plain_video_is_answered_for_by_its_supplied_header_and_dicom_by_its_own() -> None:
    header = Dataset()
    header.StudyDescription = "Colonoscopy"
    patterns = job(COLON).chosen().header_patterns
    assert by_header(clip(), patterns, header).header_rules == (0,)
    assert by_header(clip(), (), header) == clip()


def test_descriptions_and_orders_of_before_still_parse() -> None:
    assert Description.model_validate(clip().model_dump(exclude={"header_rules"})) == clip()
    order = DescribeOrder(order_id="o", item_id="i", attempt=1, source_key="sources/i")
    assert DescribeOrder.model_validate(order.model_dump(exclude={"header_patterns"})) == order


def test_what_rules_made_of_the_header_changes_no_address_of_the_work() -> None:
    source = clip(video(codec="mjpeg"))
    one, other = plan(source, ARCHIVE), plan(source.model_copy(update={"header_rules": (3,)}), ARCHIVE)
    assert work_digest(one) == work_digest(other)
