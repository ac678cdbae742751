"""Time lines for the tests of events: tracks drawn by hand, cut into predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from streaming.events import EventEngine
from streaming.modality import Modality
from streaming.results import (
    Event,
    FaceCount,
    LoudnessTrack,
    ModalityReceipt,
    Phase,
    Prediction,
    Result,
    Sentiment,
    Signals,
    SpeechTrack,
)
from streaming.settings import EventSettings
from streaming.states import ClosedBy, ViewState

MS = 1_000_000
SPEECH_STEP = 32 * MS
LEVEL_STEP = 50 * MS
HOP = 500 * MS


def result(
    end_ns: int,
    *,
    score: float | None = None,
    alone: dict[Modality, float] | None = None,
    length_ns: int = 2000 * MS,
) -> Result:
    """A result with a sentiment `score`, and what each modality says `alone`."""
    receipts = {
        m: ModalityReceipt(state=ViewState.COMPLETE, coverage=1.0, packets=1, sentiment=s)
        for m, s in (alone or {}).items()
    }
    return Result(
        stream="cam",
        index=0,
        start_ns=max(end_ns - length_ns, 0),
        end_ns=end_ns,
        closed_by=ClosedBy.WATERMARK,
        sentiment=None if score is None else Sentiment(score=score, low=score, high=score),
        arousal=None,
        emotions=None,
        modalities=receipts,
        signals=Signals(),
        model="test",
    )


def predictions(
    *,
    speech: Sequence[float] = (),
    levels: Sequence[float | None] = (),
    looks: Sequence[FaceCount] = (),
    cuts_ns: Iterable[int],
    start_ns: int = 0,
) -> list[Prediction]:
    """Tracks that begin at `start_ns`, cut at `cuts_ns`: a frame comes once it is over."""
    out = []
    for before_ns, cut_ns in pairwise([start_ns, *sorted(cuts_ns)]):
        p0, p1 = _rows(before_ns, cut_ns, start_ns, SPEECH_STEP)
        l0, l1 = _rows(before_ns, cut_ns, start_ns, LEVEL_STEP)
        out.append(
            Prediction(
                result=result(cut_ns),
                speech=SpeechTrack(
                    start_ns=start_ns + p0 * SPEECH_STEP, probability=tuple(speech[p0:p1])
                ),
                loudness=LoudnessTrack(
                    start_ns=start_ns + l0 * LEVEL_STEP, dbfs=tuple(levels[l0:l1])
                ),
                faces=tuple(look for look in looks if before_ns <= look.t_ns < cut_ns),
            )
        )
    return out


def _rows(before_ns: int, cut_ns: int, start_ns: int, step_ns: int) -> tuple[int, int]:
    return (before_ns - start_ns) // step_ns, (cut_ns - start_ns) // step_ns


def hops(until_ns: int, start_ns: int = 0) -> list[int]:
    """Cuts every hop, the last at or after `until_ns`."""
    return list(range(start_ns + HOP, until_ns + HOP, HOP))


def run(
    steps: Iterable[Prediction], end_ns: int, settings: EventSettings | None = None
) -> list[Event]:
    """All events of `steps`, ended at `end_ns`."""
    engine = EventEngine("cam", settings)
    return [*(e for step in steps for e in engine.step(step)), *engine.finish(end_ns)]


def spans_ms(events: Iterable[Event], kind: str) -> list[tuple[float, float]]:
    """Start and end of the events of `kind` that ended, in milliseconds."""
    return [
        (e.start_ns / MS, e.end_ns / MS)
        for e in events
        if e.kind == kind and e.phase is Phase.END and e.end_ns is not None
    ]
