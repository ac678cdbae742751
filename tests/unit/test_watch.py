"""What `attune watch` says beside the messages."""

from __future__ import annotations

import io

import pytest

from attune.watch import JsonLines
from streaming.holes import Hole, LostEnd, NewEpoch


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (Hole(stream="cam", epoch=7, first=3, last=3), "stream cam: 1 missing (seq 3)"),
        (Hole(stream="cam", epoch=7, first=3, last=5), "stream cam: 3 missing (seq 3 to 5)"),
        (
            LostEnd(stream="cam", epoch=7, first=3),
            "stream cam: not known what came from seq 3 on (epoch 7)",
        ),
        (
            LostEnd(stream="", epoch=7, first=1),
            "all other streams: not known what came from seq 1 on (epoch 7)",
        ),
        (NewEpoch(epoch=8, previous=7), "the publisher was started anew (epoch 8)"),
    ],
)
def test_what_is_missing_is_said_on_standard_error(item, said, capsys):
    out = io.BytesIO()
    JsonLines(out).show(item)
    assert out.getvalue() == b""
    assert capsys.readouterr().err == f"attune watch: {said}\n"
