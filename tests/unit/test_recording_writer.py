"""A recording on a disk that fills up ends there; whoever goes on handing over is not disturbed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streaming.clock import NS_PER_S
from streaming.errors import SinkError
from streaming.sinks.recording import RecordingWriter


def test_what_comes_after_the_disk_is_full_is_passed_over(tmp_path: Path) -> None:
    # disk      ok | full ............................
    # admitted  1 s  2 s          3 s           4 s
    # published        result: refused | closed
    writer = RecordingWriter(tmp_path / "a.mcap", {})
    writer.admit("tick", b"", 1 * NS_PER_S)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, writer._file.fileno())
    os.close(full)
    writer.admit("tick", b"", 2 * NS_PER_S)
    with pytest.raises(SinkError, match=r"a\.mcap ends here: No space left"):
        writer.send(b"result/cam", b"{}")
    writer.admit("tick", b"", 3 * NS_PER_S)
    with pytest.raises(SinkError, match="ends here"):
        writer.close()
    writer.admit("tick", b"", 4 * NS_PER_S)
    with pytest.raises(SinkError, match="closed"):
        writer.send(b"result/cam", b"{}")
