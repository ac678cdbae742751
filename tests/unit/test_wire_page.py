"""The page about the wire names every kind of health message."""

from __future__ import annotations

import re
from pathlib import Path

from streaming.health import HealthKind

PAGE = Path(__file__).parents[2] / "docs" / "wire.md"


def test_the_table_of_health_messages_is_that_of_the_code() -> None:
    _, _, section = PAGE.read_text(encoding="utf-8").partition("\n## A health message\n")
    rows = [row.split("|")[1] for row in section.partition("\n## ")[0].splitlines() if "|" in row]
    named = [kind for row in rows for kind in re.findall(r"`([a-z_]+)`", row)]
    assert sorted(named) == sorted(HealthKind)
