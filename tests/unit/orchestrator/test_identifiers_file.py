"""The rule file for identifiers: what it may hold, and that no error names a value of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import BadIdentifiers
from common.recipes import ARCHIVE
from common.store.folder import FolderStore
from orchestrator.ingest.identifiers import load_identifiers, put_identifiers
from orchestrator.ingest.worklist import WorklistRequest
from orchestrator.jobfile import JobFile
from orchestrator.jobs import JobRequest, submit
from orchestrator.ledger.database import open_ledger
from orchestrator.ledger.schema import Job
from workers.coerce import stored_rules

FILE = """
source = "St. Elsewhere"
[[patient]]
when_issuer = "OLD"
map = "patients.csv"
unmapped = "keep"
prefix = "E-"
issuer = "REGION"
[[accession]]
match = '(\\d+)'
replace = 'E\\1'
"""


def written(folder: Path, text: str = FILE, patients: str = "old;new\n17;P-0017\n\n18;P-0018\n") -> Path:
    (folder / "patients.csv").write_text(patients)
    path = folder / "rules.toml"
    path.write_text(text)
    return path


def test_a_file_with_its_list_is_read(tmp_path: Path) -> None:
    rules = load_identifiers(written(tmp_path))
    assert rules.patient[0].ids == {"17": "P-0017", "18": "P-0018"}
    assert rules.accession[0].new_number("4711") == "E4711"
    assert "P-0017" not in repr(rules)


def test_workers_find_the_rules_under_their_key(tmp_path: Path) -> None:
    rules, store = load_identifiers(written(tmp_path)), FolderStore(tmp_path / "store")
    assert stored_rules(store, put_identifiers(rules, store)) == rules


def test_a_job_file_names_rules_and_worklist_and_their_values_stay_in_the_store(tmp_path: Path) -> None:
    written(tmp_path)
    job = tmp_path / "job.toml"
    job.write_text(
        'sources = ["in"]\ndestinations = ["out"]\nidentifiers = "rules.toml"\nworklist = "dicom://RIS@ris:104"\n'
        "accession = '_(A[0-9]+)_'\n"
    )
    store = FolderStore(tmp_path / "store")
    asked = JobFile.load(job).request(tmp_path, store)
    assert asked.identifiers_key == load_identifiers(tmp_path / "rules.toml").key
    assert stored_rules(store, asked.identifiers_key) is not None
    assert asked.worklist == WorklistRequest(server="dicom://RIS@ris:104", accession="_(A[0-9]+)_")
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with ledger() as session:
        row = session.get_one(Job, submit(ledger, asked))
        assert (row.identifiers_key, row.worklist) == (asked.identifiers_key, asked.worklist.model_dump(mode="json"))


def test_with_other_rules_it_is_another_job(tmp_path: Path) -> None:
    key = load_identifiers(written(tmp_path)).key
    keys = {
        JobRequest(("/a",), ("/b",), ARCHIVE, identifiers_key=each).key for each in (None, key, "identifiers/x.json")
    }
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("text", "patients", "word"),
    [
        ("[[patient]", "", "no TOML"),
        ("", "", "no rule"),
        ('[[patient]]\nprefixx = "A"', "", "patient.0.prefixx: Extra inputs"),
        ("[[patient]]\nids = {secret = 7}", "", "patient.0.ids"),
        ('[[patient]]\nmap = "gone.csv"', "", "No such file"),
        ('[[patient]]\nmap = "patients.csv"', "alt,neu\n", "old,new"),
        ('[[patient]]\nmap = "patients.csv"', "old,new\nsecret,1\nsecret,2\n", "line 3: this old ID is there twice"),
        ('[[patient]]\nmap = "patients.csv"', "old,new\nsecret\n", "line 2: not two values"),
        ('[[patient]]\nmap = "patients.csv"', "old,new\n1,sécret\n", "printable ASCII"),
        ("[[accession]]\nmatch = '('", "", "no regular expression"),
    ],
)
def test_errors_name_the_place_and_never_a_value(tmp_path: Path, text: str, patients: str, word: str) -> None:
    with pytest.raises(BadIdentifiers, match=word) as refused:
        load_identifiers(written(tmp_path, text, patients))
    assert "cret" not in str(refused.value)
