"""The short form of `python -m benchmarks.source_loss`: three kinds of source are lost once."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

KINDS = ("growing file", "ZeroMQ", "microphone")


@pytest.mark.skipif(not shutil.which("pulseaudio"), reason="needs pulseaudio")
def test_a_source_is_lost_and_back_and_nothing_else_is_disturbed() -> None:
    # A process of its own: ALSA looks for its configuration once, where the benchmark puts it.
    command = [sys.executable, "-m", "benchmarks.source_loss", "--times", "1", *KINDS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "packets that are in no account: 0" in done.stdout
    for kind in KINDS:
        assert f"'source': '{kind}'" in done.stderr
