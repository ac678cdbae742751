"""A result that says nothing but when it was."""

from __future__ import annotations

from streaming.results import Result, Signals
from streaming.states import ClosedBy


def plain_result(
    start_ns: int, end_ns: int, *, stream: str = "cam", index: int = 0, epoch: int = 0
) -> Result:
    return Result(
        stream=stream,
        epoch=epoch,
        index=index,
        start_ns=start_ns,
        end_ns=end_ns,
        closed_by=ClosedBy.WATERMARK,
        sentiment=None,
        arousal=None,
        emotions=None,
        modalities={},
        signals=Signals(),
        model="m",
    )
