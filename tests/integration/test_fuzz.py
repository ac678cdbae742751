"""The fuzzer finds what is to be found: a reader that raises, hangs or grows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.fuzz import __main__ as fuzzing

FRAGILE = "tests.integration.fragile_reader"


@pytest.mark.parametrize(
    ("name", "words"),
    [("raises", "KeyError: 'a finding'"), ("hangs", "timeout"), ("grows", "out-of-memory")],
)
def test_a_reader_that_breaks_is_found_with_the_input_that_broke_it(
    name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzzing, "HANG_S", 6)
    row, finding = fuzzing.fuzz(f"{FRAGILE}:{name}", tmp_path, seconds=60)
    assert words in finding
    assert row["findings"] == 1
    found = Path(finding.rpartition(" ")[2])
    assert found.read_bytes()[:2] == b"na"


def test_errors_that_readers_may_raise_are_no_findings(tmp_path: Path) -> None:
    large = bytearray(os.urandom(1 << 20)) * 1100  # a test run's memory is not the reader's
    row, finding = fuzzing.fuzz(f"{FRAGILE}:sound", tmp_path, seconds=1)
    assert finding == ""
    assert row["inputs"] > 100
    assert len(large) > row["memory MB"] << 20
