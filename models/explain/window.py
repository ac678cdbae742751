"""The explanation of one window: every modality that took part, every target asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.errors import ExplainError
from models.explain.gradients import MOST_STEPS, Attribution, integrate, require_captum
from models.explain.material import Material
from models.explain.senses import (
    FRAME_MS,
    SENTIMENT,
    Faces,
    Sense,
    Voice,
    Words,
    check_target,
)
from models.explain.subwords import WordSpan
from models.network import Network
from models.types import EMOTIONS, MODALITIES


@dataclass(frozen=True, kw_only=True)
class Sound:
    """mel: float32 (T, 64), NaN where no speech was encoded; frame t begins at
    start_ns + t * step_ns."""

    start_ns: int
    step_ns: int
    mel: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """parts[modality][target]: what that modality says on its own, and why.

    The shapes of the shares: video (F, 48, 48) as `crops`; audio (T, 64) as `sound.mel`; text
    (W,) as `words`, whose texts stand in `material.texts`.
    """

    material: Material
    prior: float
    targets: tuple[str, ...]
    parts: dict[str, dict[str, Attribution]]
    crops: np.ndarray | None
    sound: Sound | None
    words: tuple[WordSpan, ...]


def explain(
    network: Network, material: Material, prior: float, targets: Sequence[str] = ()
) -> Explanation:
    """Attribute the unimodal scores of a window. Without `targets`: sentiment and top emotion.

    `network`: float32 in PyTorch, for gradients pass through it.
    """
    require_captum()
    if material.scores.emotions is None:
        if material.scores.sentiment is not None:
            raise ExplainError("this window's score is of Chinese words, which are not explained")
        raise ExplainError("there was not enough evidence in this window: no score to explain")
    top = EMOTIONS[int(material.scores.emotions.argmax())]
    wanted = tuple(check_target(name) for name in targets) or (SENTIMENT, top)
    senses = senses_of(network, material)
    parts = {m: {name: attribute(senses[m], name) for name in wanted} for m in senses}
    faces, voice, words = (senses.get(m) for m in MODALITIES)
    return Explanation(
        material=material,
        prior=prior,
        targets=wanted,
        parts=parts,
        crops=faces.crops if isinstance(faces, Faces) else None,
        sound=_sound(voice) if isinstance(voice, Voice) else None,
        words=tuple(words.words) if isinstance(words, Words) else (),
    )


def senses_of(network: Network, material: Material) -> dict[str, Sense]:
    """The modalities that took part in the score of `material`."""
    senses: dict[str, Sense] = {}
    present = material.scores.unimodal
    if "video" in present and material.faces:
        senses["video"] = Faces(network, material.faces)
    if "audio" in present and material.voices:
        senses["audio"] = Voice(network, material.voices)
    if "text" in present and material.texts:
        senses["text"] = Words(network, material.texts, material.earlier)
    return senses


def attribute(sense: Sense, target: str, most_steps: int = MOST_STEPS) -> Attribution:
    """Integrated gradients of one modality's own score, folded into the shape that is shown."""
    found = integrate(lambda x: sense.score(x, target), sense.x, sense.baseline, most_steps)
    return replace(found, shares=sense.fold(found.shares))


def _sound(voice: Voice) -> Sound:
    return Sound(start_ns=voice.start_ns, step_ns=FRAME_MS * 1_000_000, mel=voice.picture())
