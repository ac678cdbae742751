"""What rules may name, and its value in one window. Missing is not zero: it is None."""

from __future__ import annotations

from collections.abc import Iterable

from streaming.events.expressions import Type, Value
from streaming.modality import Modality
from streaming.results import EMOTIONS, SOUNDS, ModalityReceipt, Result
from streaming.states import ViewState

NUMBERS = (
    "sentiment",
    "sentiment_low",
    "sentiment_high",
    "arousal",
    "faces",
    "face_share",
    "speech_share",
    "loudness_dbfs",
    "words",
    *(f"emotion.{name}" for name in EMOTIONS),
    *(f"sound.{name}" for name in SOUNDS),
    *(f"coverage.{modality}" for modality in Modality),
)


def known_names(kinds: Iterable[str]) -> dict[str, Type]:
    """All names and their types; `kinds` of events can be looked at as `event.KIND`."""
    numbers = dict.fromkeys(NUMBERS, Type.NUMBER)
    return numbers | {f"event.{kind}": Type.TRUTH for kind in kinds}


def quantities(result: Result, happening: Iterable[str], kinds: Iterable[str]) -> dict[str, Value]:
    """The values in one result. `happening`: kinds of which an event was open in its hop."""
    signals, mood = result.signals, result.sentiment
    found: dict[str, Value] = dict.fromkeys(NUMBERS)
    for modality, receipt in result.modalities.items():
        found[f"coverage.{modality}"] = receipt.coverage
    if mood is not None:
        found |= {
            "sentiment": mood.score,
            "sentiment_low": mood.low,
            "sentiment_high": mood.high,
        }
    found["arousal"] = result.arousal
    found |= {f"emotion.{name}": p for name, p in (result.emotions or {}).items()}
    if _seen(result.modalities.get(Modality.VIDEO)):
        found |= {"faces": float(signals.faces), "face_share": signals.face_share}
    if _seen(result.modalities.get(Modality.AUDIO)):
        found |= {f"sound.{name}": signals.sounds.get(name, 0.0) for name in SOUNDS}
        found |= {"speech_share": signals.speech_share, "loudness_dbfs": signals.loudness_dbfs}
    text = result.modalities.get(Modality.TEXT)
    if text is not None and text.state is not ViewState.ABSENT:
        found["words"] = float(signals.words)
    now = set(happening)
    return found | {f"event.{kind}": kind in now for kind in kinds}


def _seen(receipt: ModalityReceipt | None) -> bool:
    return receipt is not None and receipt.coverage > 0
