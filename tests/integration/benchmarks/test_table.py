"""The table of all benchmarks: every one still runs, and one that fails is a row."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import run

BENCHMARKS = Path(run.__file__).parent


def test_the_cheap_benchmarks_run_on_their_smallest_inputs():
    argv = [sys.executable, str(BENCHMARKS / "run.py"), "--quick", "--only", "gate,ingest"]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert [row[1].split()[0] for row in rows] == ["encode", "ingest", "ingest"]
    assert all(float(row[4]) > 0 for row in rows)


def test_a_benchmark_that_fails_is_a_row_and_keeps_the_rows_before_it(tmp_path, monkeypatch):
    (tmp_path / "bench_broken.py").write_text(
        "from table import Row\n"
        "def rows(*, quick):\n"
        "    yield Row('first', 1.0, 2.0, 's', 'other')\n"
        "    raise ValueError('what | went wrong')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    lines = list(run.one("broken", quick=True))
    assert [line.name for line in lines[:-1]] == ["first"]
    assert lines[-1].reason == "exit code 1: ValueError: what | went wrong"
    assert "| FAILED | exit code 1: ValueError: what / went wrong |" in run.render(lines)


def test_a_benchmark_that_does_not_end_is_a_row(tmp_path, monkeypatch):
    (tmp_path / "bench_endless.py").write_text("import time\ndef rows(*, quick):\n    time.sleep(60)\n    yield\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(run, "QUICK_LIMIT_SECONDS", 1)
    assert [line.reason for line in run.one("endless", quick=True)] == ["not ended after 1 s"]


def test_a_name_that_is_not_there_is_refused_with_those_that_are():
    argv = [sys.executable, str(BENCHMARKS / "run.py"), "--only", "gates"]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no benchmark is called gates; there are " in done.stderr
    assert "check, chunks" in done.stderr


def test_the_rows_that_were_asked_for_are_in_the_table():
    asked = {"gate", "frame_sources", "rewrap", "describe", "check", "measure", "target", "overhead"}
    assert asked <= set(run.names())
