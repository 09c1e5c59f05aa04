"""The rules file of the listener: what is read, what is refused by key, and which rule takes an arrival."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from common.errors import PolicyError
from common.recipes import Audio
from common.store.folder import FolderStore
from orchestrator.cli.listenfile import load_rules
from orchestrator.listener.rules import Rules

VIDEO, ULTRASOUND = "1.2.840.10008.5.1.4.1.1.77.1.1.1", "1.2.840.10008.5.1.4.1.1.3.1"


@dataclass(frozen=True)
class Came:
    calling_aet: str = "ENDO1"
    called_aet: str = "CINEFARM"
    sop_class_uid: str = VIDEO
    modality: str = "ES"


FILE = """
callers = ["ENDO*", "US1"]

[[rule]]
name = "ultrasound"
calling = "US?"
classes = ["ultrasound*"]
profile = "review"
destinations = ["dicom://ARCHIVE@pacs:104"]
priority = 5
window = "Mon-Fri 20:00-06:00 Europe/Berlin"

[[rule]]
name = "night"
called = "CINE_NIGHT"
modalities = ["ES", "GM"]
hold_seconds = 600
job = "day"
audio = "keep"
destinations = ["out"]

[[rule]]
name = "rest"
classes = "video-*"
destinations = ["out"]
"""


def loaded(folder: Path, text: str) -> Rules:
    path = folder / "listen.toml"
    path.write_text(text)
    return load_rules(path, FolderStore(folder / "objects"), patience_seconds=60.0)


def test_the_first_rule_that_fits_counts(tmp_path: Path) -> None:
    rules = loaded(tmp_path, FILE)

    def taken(came: Came) -> str | None:
        rule = rules.rule_for(came)
        return rule.name if rule else None

    assert taken(Came("US1", sop_class_uid=ULTRASOUND, modality="US")) == "ultrasound"
    assert taken(Came(called_aet="CINE_NIGHT")) == "night"
    assert taken(Came(called_aet="CINE_NIGHT", modality="XC")) == "rest"
    assert taken(Came()) == "rest"
    assert taken(Came(sop_class_uid=ULTRASOUND)) is None


def test_a_rule_says_what_its_jobs_are(tmp_path: Path) -> None:
    ultrasound, night, _ = loaded(tmp_path, FILE).rules
    assert ultrasound.request.profile.name == "review"
    assert (ultrasound.request.priority, ultrasound.request.window) == (5, "Mon-Fri 20:00-06:00 Europe/Berlin")
    assert ultrasound.request.destinations == ("dicom://ARCHIVE@pacs:104",)
    assert (ultrasound.hold_seconds, ultrasound.job, ultrasound.request.patience_seconds) == (60.0, "study", 60.0)
    assert (night.hold_seconds, night.job, night.request.audio) == (600.0, "day", Audio.KEEP)
    assert night.request.destinations == (str(tmp_path / "out"),)


def test_who_is_let_in_and_what_we_are_called(tmp_path: Path) -> None:
    rules = loaded(tmp_path, FILE)
    assert rules.lets_in("ENDO7")
    assert not rules.lets_in("endo7")
    assert rules.names("CINE_NIGHT")
    assert not rules.names("OTHER")
    assert not Rules().names("CINE_NIGHT")


def test_a_class_that_a_rule_names_by_uid_is_taken(tmp_path: Path) -> None:
    rules = loaded(tmp_path, '[[rule]]\nname = "a"\nclasses = ["1.2.3.4"]\ndestinations = ["out"]\n')
    assert "1.2.3.4" in rules.classes
    assert VIDEO in rules.classes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("caller = 1", "caller"),
        ("[[rule]]\ndestinations = ['out']", "rule 1.*name"),
        ("[[rule]]\nname = 'a'", "a.*destinations"),
        ("[[rule]]\nname = 'a'\ndestinations = ['out']\ncaling = 'X'", "rule 1 .a.*caling"),
        ("[[rule]]\nname = 'a'\ndestinations = ['out']\nclasses = ['vidoe-*']", "rule 1 .a.*vidoe"),
        ("[[rule]]\nname = 'a'\ndestinations = ['out']\nprofile = 'none'", "rule 1 .a.*none"),
        ("[[rule]]\nname = 'a'\ndestinations = ['out']\nwindow = 'never'", "rule 1 .a"),
        ("[[rule]]\nname = 'a'\ndestinations = ['out']\nsources = ['x']", "rule 1 .a.*sources"),
        ("[[rule]]\nname = 'a'\ndestinations = ['dicom://x']", "rule 1 .a.*AE title"),
        ("[[rule]]\nname = 'a'\ndestinations = ['o']\n[[rule]]\nname = 'a'\ndestinations = ['o']", "two rules"),
        ("[[rule", "TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key_that_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        loaded(tmp_path, text)


def test_a_file_that_is_not_there_is_named_so(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        load_rules(tmp_path / "none.toml", FolderStore(tmp_path / "objects"))
