"""Speech events against people: a real conversation of 30 s with reference annotation (RTTM).

The probabilities are Silero VAD's for that recording, so that this test needs neither the model
nor the sound; docs/events.md says how they were made.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from events_timeline import MS, hops, predictions, run, spans_ms

from streaming.settings import EventSettings

RECORDING = json.loads((Path(__file__).parent / "two_speakers.json").read_text())
LENGTH_MS = 30_000


def covered(spans):
    """The milliseconds that lie in any of `spans`."""
    return {ms for start, end in spans for ms in range(round(start), round(end))}


def speech_error(settings: EventSettings) -> float:
    """Share of the recording in which events and annotation disagree."""
    steps = predictions(speech=RECORDING["probability"], cuts_ns=hops(LENGTH_MS * MS))
    heard = covered(spans_ms(run(steps, LENGTH_MS * MS, settings), "speech"))
    said = covered(RECORDING["annotated_ms"])
    return len(heard ^ said) / LENGTH_MS


def test_the_defaults_agree_with_the_annotation():
    assert speech_error(EventSettings()) < 0.03


@pytest.mark.parametrize("on", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("hang_ms", [0, 100, 300])
def test_agreement_does_not_hang_on_the_thresholds(on, hang_ms):
    settings = EventSettings(speech_on=on, speech_off=on - 0.15, speech_hang_ms=hang_ms)
    assert speech_error(settings) < 0.05


def test_thresholds_that_hear_nothing_disagree():
    assert speech_error(EventSettings(speech_min_ms=29_000)) > 0.7
