"""Does what is said to matter matter: delete it and see how far the score falls.

Deletion test after Samek et al. 2017, "Evaluating the visualization of what a deep neural network
has learned", and Petsiuk et al. 2018, "RISE", against deletion at random of as much. The score is
the probability of the emotion that the modality itself finds likeliest.

What is deleted: words of a text, left out of it; blocks of 6 x 6 px, greyed to the crop's mean;
stretches of 50 ms of sound, lowered to silence in every band.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from models.explain.gradients import STEPS
from models.explain.material import HopFaces, HopVoice, heard
from models.explain.senses import QUIET, Faces, Sense, Voice, Words
from models.explain.window import attribute
from models.network import Network
from models.types import EMOTIONS, Hop, Text, WindowInput

BLOCK_PX = 6
STRETCH_T = 5  # frames of 10 ms
RANDOM_SETS = 10
HOP_N = 8_000


@dataclass(frozen=True)
class Deletable:
    """U units, their shares (U,), and the score without any set of them: bool (N, U) -> (N,)."""

    shares: np.ndarray
    score: float
    without: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Drop:
    """How far the score falls without the top share, the bottom share, or as many at random."""

    top: float
    random: float
    bottom: float


def drop(sample: Deletable, share: float, rng: np.random.Generator) -> Drop:
    """Delete `share` of the units, one at least."""
    units = len(sample.shares)
    count = max(1, round(share * units))
    order = np.argsort(-sample.shares, kind="stable")
    picks = [order[:count], order[-count:]]
    picks += [rng.permutation(units)[:count] for _ in range(RANDOM_SETS)]
    sets = np.zeros((len(picks), units), bool)
    for row, pick in enumerate(picks):
        sets[row, pick] = True
    fallen = sample.score - sample.without(sets)
    return Drop(float(fallen[0]), float(fallen[2:].mean()), float(fallen[1]))


def curve(sample: Deletable, shares: Sequence[float], order: np.ndarray) -> np.ndarray:
    """(len(shares),) scores as ever more units are deleted in `order`."""
    sets = np.zeros((len(shares), len(order)), bool)
    for row, share in enumerate(shares):
        sets[row, order[: round(share * len(order))]] = True
    return sample.without(sets)


def face(network: Network, crop: np.ndarray) -> Deletable:
    """uint8 (48, 48) -> its 64 blocks."""
    sense = Faces(network, (HopFaces(start_ns=0, end_ns=1, crops=crop[None]),))
    target, score = _likeliest(sense)
    side = crop.shape[0] // BLOCK_PX
    shares = attribute(sense, target, STEPS).shares[0]
    by_block = shares.reshape(side, BLOCK_PX, side, BLOCK_PX).sum((1, 3)).ravel()

    def without(sets: np.ndarray) -> np.ndarray:
        gone = sets.reshape(-1, side, side).repeat(BLOCK_PX, 1).repeat(BLOCK_PX, 2)
        pictures = np.where(gone, np.float32(crop.mean()), crop.astype(np.float32))
        return _scores(sense, torch.from_numpy(pictures).unsqueeze(1), target)

    return Deletable(by_block, score, without)


def sound(network: Network, samples: np.ndarray) -> Deletable | None:
    """float32 (N,) at 16 kHz -> its stretches of speech; None where nobody speaks."""
    hops = voices(samples)
    if not hops:
        return None
    sense = Voice(network, hops)
    target, score = _likeliest(sense)
    units = -(-sense.length // STRETCH_T)
    line = np.zeros((units * STRETCH_T,), np.float32)
    line[: sense.length] = attribute(sense, target, STEPS).shares.sum(1)
    spoken = np.zeros(units * STRETCH_T, bool)
    spoken[: sense.length] = ~np.isnan(sense.picture()[:, 0])
    real = np.flatnonzero(spoken.reshape(units, STRETCH_T).any(1))

    def without(sets: np.ndarray) -> np.ndarray:
        gone = np.zeros((len(sets), units), bool)
        gone[:, real] = sets
        rows = gone.repeat(STRETCH_T, 1)[:, sense.places]
        x = np.where(rows[..., None], np.float32(QUIET), sense.x.numpy())
        return _scores(sense, torch.from_numpy(x), target)

    return Deletable(line.reshape(units, STRETCH_T).sum(1)[real], score, without)


def words(network: Network, text: str) -> Deletable | None:
    """A text -> its words; None where there are fewer than three."""
    sense = Words(network, (Text(start_ns=0, end_ns=1, text=text),))
    if len(sense.words) < 3:
        return None
    target, score = _likeliest(sense)

    def without(sets: np.ndarray) -> np.ndarray:
        kept = [
            " ".join(w.word for w, gone in zip(sense.words, row, strict=True) if not gone)
            for row in sets
        ]
        scores = [Words(network, (Text(start_ns=0, end_ns=1, text=t),)) for t in kept]
        return np.concatenate([_scores(s, s.x, target) for s in scores])

    return Deletable(attribute(sense, target, STEPS).shares, score, without)


def voices(samples: np.ndarray) -> tuple[HopVoice, ...]:
    """The hops of a clip that hold speech, cut as the live pipeline cuts them."""
    step = HOP_N * 62_500  # ns
    hops = tuple(
        Hop(
            start_ns=i * step,
            end_ns=(i + 1) * step,
            faces=np.zeros((0, 48, 48), np.uint8),
            audio=samples[i * HOP_N : (i + 1) * HOP_N],
            audio_coverage=1.0,
        )
        for i in range(len(samples) // HOP_N)
    )
    if not hops:
        return ()
    return heard(WindowInput(stream="", start_ns=0, end_ns=hops[-1].end_ns, new_hops=hops))


def _likeliest(sense: Sense) -> tuple[str, float]:
    with torch.inference_mode():
        scores = [float(sense.score(sense.x, name)[0]) for name in EMOTIONS]
    top = int(np.argmax(scores))
    return EMOTIONS[top], scores[top]


def _scores(sense: Sense, x: torch.Tensor, target: str) -> np.ndarray:
    with torch.inference_mode():
        return sense.score(x, target).numpy()
