"""What rules may name, and its value in one window. Missing is not zero: it is None."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

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
    "mood_fast",
    "mood_slow",
    "mood_shift",
    "disagreement",
    "disagreement_high_score",
    "disagreement_low_score",
)
TEXTS = ("disagreement_high", "disagreement_low", "disagreement_label")
OF_FRAMES = {
    "speech": ("speech_probability",),
    "loudness": (
        "loudness_dbfs",
        "loudness_rise_db",
        "loudness_background_dbfs",
        "speech_probability",
    ),
    "look": ("faces", "face_seen", "track_id"),
}


def known_names(kinds: Iterable[str], every: str = "hop") -> dict[str, Type]:
    """All names that a rule may use that judges `every` hop, look or frame, and their types;
    `kinds` of events can be looked at as `event.KIND`, hop by hop."""
    if every in OF_FRAMES:
        return dict.fromkeys(OF_FRAMES[every], Type.NUMBER)
    numbers = dict.fromkeys(NUMBERS, Type.NUMBER) | dict.fromkeys(TEXTS, Type.TEXT)
    return numbers | {f"event.{kind}": Type.TRUTH for kind in kinds}


def quantities(result: Result, happening: Iterable[str], kinds: Iterable[str]) -> dict[str, Value]:
    """The values in one result, but for those with memory (`signals.Mood`). `happening`: kinds of
    which an event was open in its hop."""
    signals, mood = result.signals, result.sentiment
    found: dict[str, Value] = dict.fromkeys((*NUMBERS, *TEXTS))
    found |= disagreement(result)
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


def disagreement(result: Result) -> dict[str, Value]:
    """The two modalities that, each alone, say the most different things; empty when fewer than
    two spoke."""
    said = sorted(
        (str(m), r.sentiment) for m, r in result.modalities.items() if r.sentiment is not None
    )
    pairs = [(a, b) if a[1] >= b[1] else (b, a) for a, b in combinations(said, 2)]
    if not pairs:
        return {}
    (high, x), (low, y) = max(pairs, key=lambda pair: pair[0][1] - pair[1][1])
    opposed = x > 0 > y
    label = f"{high} positive, {low} negative" if opposed else f"{high} above {low}"
    return {
        "disagreement": x - y,
        "disagreement_high": high,
        "disagreement_low": low,
        "disagreement_high_score": x,
        "disagreement_low_score": y,
        "disagreement_label": label,
    }


def _seen(receipt: ModalityReceipt | None) -> bool:
    return receipt is not None and receipt.coverage > 0
