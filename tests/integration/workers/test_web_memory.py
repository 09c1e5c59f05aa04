"""DICOMweb both ways in memory that does not know how large the instance is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "bench_dicomweb.py"

FLAT_MB = 120
"""The interpreter and its libraries take about 70."""


def test_a_large_instance_goes_out_and_comes_in_with_flat_memory() -> None:
    argv = [sys.executable, str(BENCHMARK), "--gib", "0.5", "--json"]
    run = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    ways = [json.loads(line) for line in run.stdout.splitlines()]
    assert [way["way"] for way in ways] == ["out", "in"]
    assert all(way["peak_MB"] < FLAT_MB for way in ways), ways
