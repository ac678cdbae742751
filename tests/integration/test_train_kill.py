"""A training that is killed, as the kernel kills: SIGKILL, no last words; then resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPE = "task: tiny\nmodel: net\nepochs: 3\nbatch: 32\nlearning_rate: 1e-2\nmonitor: accuracy\n"
# The tiny task is of the tests; importing it enters it among the tasks.
COMMAND = "import tests.tiny_task; from attune.cli import main; main()"


def train(folder: Path, run: str, kill_at: str = "") -> subprocess.CompletedProcess[str]:
    """`attune train` in a process of its own."""
    return subprocess.run(
        [
            *(sys.executable, "-c", COMMAND, "train", str(folder / "tiny.yaml")),
            *("--threads", "1", "--data", str(folder / "data")),
            *("--run", str(folder / run), "--cache", str(folder / "cache")),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TINY_KILL_AT": kill_at},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def made(folder: Path, run: str) -> tuple[bytes, str]:
    """Weights and curve."""
    place = folder / run
    return (place / "tiny.safetensors").read_bytes(), (place / "metrics.csv").read_text()


# killed before the first batch of the second epoch, then within the third, then let live
@pytest.mark.slow
def test_killed_twice_and_resumed_it_ends_as_if_never_killed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    whole = train(tmp_path, "whole")
    assert whole.returncode == 0, whole.stderr
    for kill_at in ("1:0", "2:3"):
        killed = train(tmp_path, "killed", kill_at)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not (tmp_path / "killed" / "manifest.json").exists()
    resumed = train(tmp_path, "killed")
    assert resumed.returncode == 0, resumed.stderr
    assert "epoch 2:" not in resumed.stderr  # what was done is not done again
    assert made(tmp_path, "killed") == made(tmp_path, "whole")
    assert resumed.stdout == whole.stdout
    assert "made_up_test" in whole.stdout
