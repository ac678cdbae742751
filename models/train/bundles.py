"""Tokens of held-out samples, clean and degraded, from which combinations are drawn.

No corpus at hand shows, speaks and writes one person's emotion, so combinations of modalities are
made: samples of equal label from different corpora stand in for one person, samples of unequal
label for contradiction, degraded samples for evidence that should count for less.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models import features, weights
from models.data.faces import load_faces
from models.data.speech import Clip, load_speech
from models.data.text import load_text
from models.encoders.text import collate
from models.labels import VALENCE_VECTOR, ferplus_matrix
from models.network import TOKEN_D, Network
from models.state import SPEECH

HOP_T, HOPS = 50, 4  # frames of a hop and hops of a window, as live
BATCH = 128
TEXTS = 2500  # of each set


@dataclass(frozen=True)
class Bundle:
    """tokens, poor (B, T, D); mask bool (B, T); labels int64 (B,); sentiment float32 (B,).

    group int64 (B,): the speaker, or a number of its own; groups are never cut in two.
    """

    tokens: Tensor
    poor: Tensor
    mask: Tensor
    labels: Tensor
    sentiment: Tensor
    group: Tensor

    def take(self, chosen: np.ndarray) -> Bundle:
        """Rows by index or boolean mask."""
        at = torch.from_numpy(chosen)
        return Bundle(*(getattr(self, field.name)[at] for field in fields(self)))


def degrade_faces(pixels: np.ndarray, seed: int) -> Tensor:
    """Blur, darkness, noise and a covered half: float (B, 48, 48)."""
    generator = torch.Generator().manual_seed(seed)
    x = F.avg_pool2d(torch.from_numpy(pixels).float().unsqueeze(1), 6, 6)
    x = F.interpolate(x, size=pixels.shape[1:], mode="bilinear").squeeze(1)
    x = x * 0.4 + torch.randn(x.shape, generator=generator) * 15
    x[:, 24:] = torch.where(torch.rand(len(x), 1, 1, generator=generator) < 0.5, 20.0, x[:, 24:])
    return x.clamp(0, 255)


def degrade_mel(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise within 1 to 3 nepers (4 to 13 dB) of the loudest speech; (T, 64) nats."""
    grain = np.log(rng.exponential(1.0, mel.shape) + 0.05)
    return np.logaddexp(mel, mel.max() - rng.uniform(1, 3) + grain).astype(np.float32)


def degrade_text(text: str, rng: np.random.Generator) -> str:
    """A third of the words, as a poor recogniser might leave."""
    words = text.split()
    kept = [word for word in words if rng.random() < 0.34]
    return " ".join(kept or words[:1])


def window_of(mel: np.ndarray, speech: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The spoken middle 2 s of a clip, cut as the live pipeline cuts it.

    (T, 64) nats and (T,) -> frames (hops, 24 + 50, 64), and in which hops somebody speaks.
    """
    normal, _ = features.normalise(mel, features.PEAK_FLOOR)
    spoken = np.flatnonzero(speech >= SPEECH)
    middle = int((spoken[0] + spoken[-1]) / 2) if len(spoken) else len(mel) // 2
    total = HOP_T * HOPS
    start = max(0, min(middle - total // 2, len(mel) - total))
    quiet = features.MelState.initial().context
    line = np.concatenate([quiet, normal, np.repeat(quiet[:1], total, 0)])
    said = np.concatenate([speech, np.zeros(total, speech.dtype)])
    hops = range(start, start + total, HOP_T)
    frames = np.stack([line[at : at + features.CONTEXT_T + HOP_T] for at in hops])
    mask = np.array([said[at : at + HOP_T].max() >= SPEECH for at in hops])
    return frames, mask if mask.any() else np.ones_like(mask)


@torch.inference_mode()
def _encode(part: torch.nn.Module, *inputs: Tensor) -> Tensor:
    chunks = zip(*(x.split(BATCH) for x in inputs), strict=True)
    return torch.cat([part(*chunk) for chunk in chunks])


def _encode_texts(network: Network, texts: list[str]) -> Tensor:
    """(B, D), as they come, without a dialogue; sorted by length so that little is padding."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    tokens = torch.zeros(len(texts), TOKEN_D)
    for at in range(0, len(order), BATCH):
        chosen = order[at : at + BATCH]
        with torch.inference_mode():
            alone = network.text(*collate([texts[i] for i in chosen])).unsqueeze(1)
            mask = torch.ones(len(chosen), 1, dtype=torch.bool)
            tokens[chosen] = network.text.contextualise(alone, mask)
    return tokens


def face_bundle(network: Network, data: Path, split: str, limit: int | None) -> Bundle:
    """FER+ faces; sentiment is the mean valence of the votes."""
    faces = load_faces(data, split).head(limit or 1 << 30)
    shares = faces.targets @ ferplus_matrix()
    clean = _encode(network.faces, torch.from_numpy(faces.pixels))
    poor = _encode(network.faces, degrade_faces(faces.pixels, 1))
    return Bundle(
        clean.unsqueeze(1), poor.unsqueeze(1), torch.ones(len(clean), 1, dtype=torch.bool),
        torch.from_numpy(shares.argmax(1)),
        torch.from_numpy((shares @ VALENCE_VECTOR).astype(np.float32)),
        torch.arange(len(clean)),
    )  # fmt: skip


def voice_bundle(network: Network, clips: list[Clip]) -> Bundle:
    """Two-second windows of speakers never trained on; sentiment is the label's valence."""
    rng = np.random.default_rng(2)
    pairs = [window_of(clip.mel, clip.speech) for clip in clips]
    noisy = [window_of(degrade_mel(clip.mel, rng), clip.speech)[0] for clip in clips]
    speakers = sorted({clip.speaker for clip in clips})
    labels = torch.tensor([clip.label for clip in clips])

    def tokens(frames: list[np.ndarray]) -> Tensor:
        line = torch.from_numpy(np.concatenate(frames).astype(np.float32))
        return _encode(network.voice, line).unflatten(0, (len(clips), HOPS))

    return Bundle(
        tokens([frames for frames, _ in pairs]), tokens(noisy),
        torch.from_numpy(np.stack([mask for _, mask in pairs])), labels,
        torch.from_numpy(VALENCE_VECTOR)[labels],
        torch.tensor([speakers.index(clip.speaker) for clip in clips]),
    )  # fmt: skip


def text_bundle(network: Network, data: Path, split: str, limit: int | None) -> Bundle:
    """GoEmotions and MELD rows with a single emotion, each line by itself."""
    sets = load_text(data, split)
    rows = [
        row
        for name in ("goemotions", "meld")
        for row in [r for r in sets[name] if r.label is not None][: limit or TEXTS]
    ]
    rng = np.random.default_rng(3)
    clean = _encode_texts(network, [row.text for row in rows])
    poor = _encode_texts(network, [degrade_text(row.text, rng) for row in rows])
    return Bundle(
        clean.unsqueeze(1), poor.unsqueeze(1), torch.ones(len(clean), 1, dtype=torch.bool),
        torch.tensor([row.label for row in rows]),
        torch.tensor([row.sentiment for row in rows], dtype=torch.float32),
        torch.arange(len(rows)),
    )  # fmt: skip


def bundles_of(
    network: Network, folder: Path, data: Path, split: str, cache: Path, limit: int | None = None
) -> list[Bundle]:
    """One bundle per modality, in the order of MODALITIES; kept on disk per version of encoders."""
    parts = weights.read_manifest(folder)["parts"]
    marks = [parts[name]["sha256"] for name in ("faces", "voice", "text")]
    key = hashlib.sha256(repr((marks, str(data.resolve()), split, limit, 2)).encode()).hexdigest()
    store = cache / f"pool-{key[:16]}.pt"
    if store.exists():
        return [Bundle(**entry) for entry in torch.load(store, weights_only=True)]
    bundles = [
        face_bundle(network, data, split, limit),
        voice_bundle(network, load_speech(data, split, cache, limit)),
        text_bundle(network, data, split, limit),
    ]
    cache.mkdir(parents=True, exist_ok=True)
    torch.save([vars(bundle) for bundle in bundles], store)
    return bundles


def part_of(bundle: Bundle, part: int, parts: int, seed: int = 0) -> Bundle:
    """One of `parts` random parts; the rows of a group stay together if there are many groups."""
    groups = bundle.group.numpy()
    alone = len(np.unique(groups)) < 50  # of a handful of speakers each part needs all
    keys = np.arange(len(groups)) if alone else groups
    chosen = np.random.default_rng(seed).integers(0, parts, int(keys.max()) + 1)
    return bundle.take(chosen[keys] == part)


@dataclass(frozen=True)
class Combination:
    """A batch of made-up people: what fusion takes in, and what it should say.

    degraded: float (B, M), 1 where the sample of a modality was degraded.
    """

    tokens: list[Tensor]
    masks: list[Tensor]
    emotions: Tensor
    sentiment: Tensor
    degraded: Tensor


@dataclass(frozen=True)
class Mix:
    """Shares of contradicting and of degraded samples among the combinations."""

    contradiction: float = 0.25
    degraded: float = 0.35


CLEAN = Mix(contradiction=0.0, degraded=0.0)
POOR = Mix(contradiction=0.0, degraded=1.0)


def class_shares(bundles: list[Bundle], present: np.ndarray) -> np.ndarray:
    """(7,) shares of the emotions among the people: the mean over the modalities (M,) present."""
    counts = [
        torch.bincount(b.labels, minlength=7).numpy() / len(b.labels)
        for b, there in zip(bundles, present, strict=True)
        if there
    ]
    return np.mean(counts, 0)


def _draw(bundle: Bundle, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each wanted class an index of a sample with that label, or any if there is none."""
    labels = bundle.labels.numpy()
    chosen = rng.integers(0, len(labels), len(wanted))
    for c in np.unique(wanted):
        pool = np.flatnonzero(labels == c)
        if len(pool):
            at = wanted == c
            chosen[at] = rng.choice(pool, at.sum())
    return chosen


def combine(
    bundles: list[Bundle], present: np.ndarray, rng: np.random.Generator, mix: Mix
) -> Combination:
    """Draw one sample per modality for each row of `present`, bool (B, M).

    Emotions are as frequent as in the corpora of the first row's modalities, not balanced: live
    people are mostly neutral, and probabilities mean nothing without the frequencies behind them.
    """
    size, m_count = present.shape
    classes = np.zeros(size, np.int64)
    for row in np.unique(present, axis=0):
        at = (present == row).all(1)
        classes[at] = rng.choice(7, at.sum(), p=class_shares(bundles, row))
    odd_one = np.where(rng.random(size) < mix.contradiction, rng.integers(0, m_count, size), -1)
    poor = rng.random(present.shape) < mix.degraded
    weight = torch.from_numpy(present * np.where(poor, 0.2, 1.0)).float()
    weight = weight / weight.sum(1, keepdim=True)
    tokens, masks, emotions, sentiments = [], [], [], []
    for m, bundle in enumerate(bundles):
        wanted = np.where(odd_one == m, rng.integers(0, 7, size), classes)
        at = torch.from_numpy(_draw(bundle, wanted, rng))
        worse = torch.from_numpy(poor[:, m])[:, None, None]
        tokens.append(torch.where(worse, bundle.poor[at], bundle.tokens[at]))
        masks.append(bundle.mask[at] & torch.from_numpy(present[:, m])[:, None])
        emotions.append(F.one_hot(bundle.labels[at], 7).float())
        sentiments.append(bundle.sentiment[at])
    return Combination(
        tokens, masks, (torch.stack(emotions, 1) * weight.unsqueeze(-1)).sum(1),
        (torch.stack(sentiments, 1) * weight).sum(1),
        torch.from_numpy(poor & present).float(),
    )  # fmt: skip
