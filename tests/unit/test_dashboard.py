"""The Grafana dashboard asks for what is served, and for all of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from streaming.sinks.forward_metrics import ForwardMetrics
from streaming.sinks.metrics import Metrics

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana-dashboard.json"


def test_the_dashboard_and_the_metrics_know_the_same_names():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {
        re.sub(r"_(total|bucket)$", "", name)
        for panel in panels
        for target in panel["targets"]
        for name in re.findall(r"\battune_\w+", target["expr"])
    }
    served = [*Metrics().registry.collect(), *ForwardMetrics([]).collect()]
    assert asked == {family.name for family in served}


def test_every_label_that_is_asked_for_is_one_of_the_metrics():
    labels = {"stream", "status", "stage", "closed_by", "modality", "kind", "le", "part"}
    labels |= {"upstream", "outcome", "port", "what"}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            grouped = re.findall(r"by \(([^)]*)\)", target["expr"])
            named = {name.strip() for group in grouped for name in group.split(",")}
            assert named <= labels
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels
