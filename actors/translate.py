"""The one place where windows become model input, and model output becomes results.

`streaming` and `models` do not know each other; this file knows both. Everything here is pure.
"""

from __future__ import annotations

import msgspec
import numpy as np

from actors.messages import WindowReady
from actors.window_ready import DECIMALS, rounded
from models.types import EMOTIONS, Hop, Scores, Text, WindowInput
from streaming.packets import Modality
from streaming.results import (
    ModalityReceipt,
    Prediction,
    Result,
    Sentiment,
    SpeechTrack,
    Timing,
)

SPEECH_AT = 0.5
SOUND_AT = 0.2  # less likely sounds are not told


def window_input(ready: WindowReady) -> WindowInput:
    """The same, as the models name it."""
    return WindowInput(
        stream=ready.stream,
        start_ns=ready.start_ns,
        end_ns=ready.end_ns,
        new_hops=tuple(
            Hop(
                start_ns=h.start_ns,
                end_ns=h.end_ns,
                faces=h.faces,
                audio=h.audio,
                audio_coverage=h.audio_coverage,
                texts=tuple(
                    Text(start_ns=t.start_ns, end_ns=t.end_ns, text=t.text, language=t.language)
                    for t in h.texts
                ),
            )
            for h in ready.hops
        ),
    )


def prediction(
    ready: WindowReady,
    scores: Scores,
    speech_share: float,
    *,
    model: str,
    timing: Timing,
) -> Prediction:
    """What the world is told of `ready`, given the model's `scores`.

    `speech_share` spans the whole window, of which `scores` has only the news.
    """
    result = Result(
        stream=ready.stream,
        index=ready.index,
        start_ns=ready.start_ns,
        end_ns=ready.end_ns,
        status=ready.status,
        revision=ready.revision,
        closed_by=ready.closed_by,
        sentiment=_sentiment(scores),
        arousal=None if scores.arousal is None else _signed(scores.arousal),
        emotions=None if scores.emotions is None else _named(scores.emotions),
        modalities={m: _with_scores(m, r, scores) for m, r in ready.receipts.items()},
        signals=msgspec.structs.replace(
            ready.signals, speech_share=rounded(speech_share), sounds=_sounds(scores)
        ),
        sync=ready.sync,
        words=_words(ready) if ready.sends_words else None,
        model=model,
        timing=timing,
    )
    return Prediction(
        result=result,
        speech=SpeechTrack(
            start_ns=scores.speech_start_ns,
            step_ns=scores.speech_step_ns,
            probability=tuple(np.round(scores.speech, DECIMALS).tolist()),
        ),
        loudness=ready.loudness,
        faces=ready.faces,
        health=ready.health,
        closed_at_ns=ready.closed_at_ns,
        origin_ns=ready.origin_ns,
        skipped=ready.skipped,
    )


def _words(ready: WindowReady) -> tuple[str, ...]:
    """What was begun to be said in the window's new hops."""
    return tuple(span.text for hop in ready.hops for span in hop.texts if span.text)


def _with_scores(modality: Modality, receipt: ModalityReceipt, scores: Scores) -> ModalityReceipt:
    alone, share = scores.unimodal.get(modality.value), scores.contributions.get(modality.value)
    if alone is None:
        return receipt
    return msgspec.structs.replace(
        receipt,
        contribution=None if share is None else rounded(share),
        sentiment=_signed(alone.sentiment),
        emotions=None if alone.emotions is None else _named(alone.emotions),
    )


def _sentiment(scores: Scores) -> Sentiment | None:
    if scores.sentiment is None or scores.sentiment_low is None or scores.sentiment_high is None:
        return None
    return Sentiment(
        score=_signed(scores.sentiment),
        low=_signed(scores.sentiment_low),
        high=_signed(scores.sentiment_high),
    )


def _named(probabilities: np.ndarray) -> dict[str, float]:
    return {e: min(rounded(p), 1.0) for e, p in zip(EMOTIONS, probabilities, strict=True)}


def _sounds(scores: Scores) -> dict[str, float]:
    """The sounds that are likely enough to be told, the likeliest first."""
    likely = sorted(scores.sounds.items(), key=lambda entry: -entry[1])
    return {name: min(rounded(p), 1.0) for name, p in likely if p >= SOUND_AT}


def _signed(value: float) -> float:
    return min(max(rounded(value), -1.0), 1.0)
