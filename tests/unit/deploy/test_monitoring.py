"""k8s/monitoring: promtool reads the rules, the alerts fire when they should, and every expression asks for figures that exist."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY, Counter, Histogram

from orchestrator.metrics import instruments
from orchestrator.metrics.collector import FarmCollector

HERE = Path(__file__).parents[3] / "k8s/monitoring"
RULES = yaml.safe_load((HERE / "rules.yml").read_text(encoding="utf-8"))
BOARD = json.loads((HERE / "grafana/dashboards/cinefarm.json").read_text(encoding="utf-8"))


def promtool(*words: str) -> str:
    done = subprocess.run(["promtool", *words], cwd=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.peer("promtool")
def test_promtool_reads_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", "rules.yml")


@pytest.mark.peer("promtool")
def test_alerts_fire_when_they_should() -> None:
    assert "SUCCESS" in promtool("test", "rules", "rules.test.yml")


def known() -> set[str]:
    """Every figure that a scrape can hold."""
    names = {rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
    for made in vars(instruments).values():
        if isinstance(made, Counter):
            names.add(f"{made._name}_total")
        elif isinstance(made, Histogram):
            names |= {f"{made._name}_{part}" for part in ("bucket", "sum", "count")}
    source = Path(FarmCollector.collect.__code__.co_filename).read_text(encoding="utf-8")
    return names | set(re.findall(r'"(cinefarm_\w+)"', source))


def asked() -> set[str]:
    rules = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
    panels = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
    return {name for text in (*rules, *panels) for name in re.findall(r"\bcinefarm[_:][\w:]+", text)}


def test_every_expression_asks_for_what_exists() -> None:
    assert asked() <= known()


def test_every_alert_says_what_to_do() -> None:
    for group in RULES["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["annotations"]["action"]
                assert rule["labels"]["severity"] in ("warning", "critical")


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        box = panel["gridPos"]
        cells = {(x, y) for x in range(box["x"], box["x"] + box["w"]) for y in range(box["y"], box["y"] + box["h"])}
        assert not taken & cells, panel["title"]
        taken |= cells


def test_labels_are_bounded() -> None:
    for metric in REGISTRY.collect():
        if metric.name.startswith("cinefarm"):
            labels = {label for sample in metric.samples for label in sample.labels}
            assert labels <= {"kind", "outcome", "queue", "encoder", "verdict", "destination", "part", "le"}
