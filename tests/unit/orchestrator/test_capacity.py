"""What so many procedures a day need."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import PolicyError
from common.recipes import ARCHIVE
from orchestrator.capacity import Hospital, Site, Specialty, Speeds, need_of, read_hospital, reckon

ENDOSCOPY = Specialty(name="endoscopy", procedures_a_day=10, minutes=15, bit_rate="8Mbit/s")
KEY = (ARCHIVE.ladder[0].encoder, ARCHIVE.ladder[0].preset)


def test_a_known_bit_rate_gives_the_source_documents_storage():
    """8 Mbit/s for 900 s are 900 MB; ten a day on 250 days are 2.25 TB; container and header come on top."""
    need = need_of(ENDOSCOPY, Site(), Speeds())
    assert need.procedure_bytes == pytest.approx(900e6, rel=1e-3)
    assert need.year_bytes == pytest.approx(2.25e12, rel=1e-3)
    assert need.month_bytes == need.year_bytes / 12
    assert need.network_bit_rate == pytest.approx(9e9 * 8 / 86400, rel=1e-3)


def test_the_farms_own_speed_and_size_stand_in_place_of_the_tables():
    fast = Speeds({KEY: 1e9}, {(*KEY, ARCHIVE.ladder[0].crf): 0.02}, 5)
    plain = ENDOSCOPY.model_copy(update={"bit_rate": None})
    need = need_of(plain, Site(), fast)
    samples = 1920 * 1080 * 25 * 900
    assert need.work_seconds == pytest.approx(10 * samples / 1e9)
    assert need.procedure_bytes == pytest.approx(samples * 0.02 / 8, rel=1e-2)
    assert need.measured == ("speed", "size")
    assert need_of(plain, Site(), Speeds()).measured == ()


def test_the_archive_waits_for_the_daily_work():
    site, speeds = Site(workers=1), Speeds({KEY: 1920 * 1080 * 25.0})  # as fast as it plays
    day = Specialty(name="e", procedures_a_day=48, minutes=15, archive_hours=120)  # 12 of 24 hours
    whole = reckon(Hospital(site=site, specialty=(day,)), speeds)
    assert whole.workers_needed == 1
    assert whole.archive_days == pytest.approx(120 / 12)
    busy = day.model_copy(update={"procedures_a_day": 96.0})
    assert reckon(Hospital(site=site, specialty=(busy,)), speeds).archive_days is None


def test_a_link_that_does_not_suffice_is_seen():
    hospital = Hospital(site=Site(link="1Mbit/s", hours_a_day=10), specialty=(ENDOSCOPY,))
    share = reckon(hospital, Speeds()).link_share
    assert share is not None
    assert share > 1


@given(st.floats(0.1, 500), st.floats(0.1, 600), st.floats(1, 120))
def test_twice_the_procedures_need_twice_of_all(procedures, minutes, rate):
    once = Specialty(name="x", procedures_a_day=procedures, minutes=minutes, rate=rate)
    one, two = (
        need_of(each, Site(), Speeds()) for each in (once, once.model_copy(update={"procedures_a_day": 2 * procedures}))
    )
    assert two.year_bytes == pytest.approx(2 * one.year_bytes)
    assert two.work_seconds == pytest.approx(2 * one.work_seconds)
    assert two.bit_rate == one.bit_rate


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[site]\n", "specialty"),
        ("[[specialty]]\nname='x'\nprocedures_a_day=1\nminutes=1\nsize='big'\n", "specialty.0.size"),
        ("[[specialty]]\nname='x'\nprocedures_a_day=1\nminutes=1\ncolour='red'\n", "colour"),
        ("[[specialty]]\nname='x'\nprocedures_a_day=1\nminutes=1\nprofile='primary'\n", "no profile that encodes"),
        ("[[specialty]]\nname='x'\nprocedures_a_day=1\nminutes=1\nbit_rate='fast'\n", "no rate"),
        ("name=", "no TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(tmp_path: Path, text: str, said: str):
    path = tmp_path / "h.toml"
    path.write_text(text)
    with pytest.raises(PolicyError, match=said):
        read_hospital(path)
