"""Train a fusion of text and sound on CMU-MOSI; a sequence is a video, a step an utterance.

Text tokens are computed once and kept in the cache. Modality dropout hides one modality of a
whole video or of single utterances, so that every subset is practised.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import score_metrics, weights
from models.align.contrastive import clip_loss
from models.calibration import conformal_factor
from models.data.mosi import Segments, load_mosi
from models.encoders.text import TextEncoder
from models.errors import DataError, RecipeError
from models.fusions import FUSIONS
from models.mosi import LIMIT, MODALITIES, PART, MosiNetwork, text_digest, text_tokens
from models.train.recipe import Recipe
from models.train.task import Batch

SUBSETS = {"text": (True, False), "audio": (False, True), "text+audio": (True, True)}
COVERAGE = 0.8
SHIPPED = "shipped"


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`data` of the recipe.

    text: folder with the text encoder's weights, or "shipped". tokens: instead, an npy (N, D) of
    any encoder's tokens, in the order of the file. only: the one modality to train on, or "".
    hide_video, hide_step: chance that a modality is hidden in a whole video, in an utterance.
    alone: weight of the unimodal heads' losses. contrastive: of the alignment of text and sound.
    noise: standard deviation, in units of their own, of noise on the text tokens.
    """

    text: str = SHIPPED
    tokens: str = ""
    only: str = ""
    hide_video: float = 0.3
    hide_step: float = 0.1
    alone: float = 0.3
    contrastive: float = 0.0
    noise: float = 0.0


class Padded(msgspec.Struct, frozen=True):
    """text (V, T, D), audio (V, T, 73), here bool (V, T, 2), sentiment (V, T), NaN beyond."""

    text: Tensor
    audio: Tensor
    here: Tensor
    sentiment: Tensor


def pad(segments: Segments, tokens: np.ndarray) -> Padded:
    """Videos side by side; tokens (N, D) are those of the rows."""
    videos = segments.videos()
    shape = (len(videos), max(map(len, videos)))
    text = np.zeros((*shape, tokens.shape[1]), np.float32)
    audio = np.zeros((*shape, segments.audio.shape[1]), np.float32)
    here = np.zeros((*shape, len(MODALITIES)), bool)
    sentiment = np.full(shape, np.nan, np.float32)
    for v, rows in enumerate(videos):
        t = len(rows)
        text[v, :t], audio[v, :t] = tokens[rows], segments.audio[rows]
        here[v, :t], sentiment[v, :t] = True, segments.sentiment[rows]
    return Padded(*(torch.from_numpy(x) for x in (text, audio, here, sentiment)))


class MosiTask:
    """See `models.train.task.Task`."""

    part = PART

    def __init__(
        self, recipe: Recipe, options: Options, parts: dict[str, tuple[Segments, np.ndarray]],
        text: str,
    ) -> None:  # fmt: skip
        self.recipe, self.options, self.text = recipe, options, text
        self.segments = {name: segments for name, (segments, _) in parts.items()}
        self.padded = {name: pad(*part) for name, part in parts.items()}
        self.text_d = next(iter(parts.values()))[1].shape[1]
        self.count = len(self.padded["train"].text)
        self.steps = -(-self.count // recipe.batch)
        self.practised = torch.tensor([options.only in ("", m) for m in MODALITIES])

    def model(self) -> MosiNetwork:
        """Standardised on the training part."""
        network = MosiNetwork(self.recipe.model, self.text_d, **self.recipe.options)
        network.standardise(self.segments["train"].audio)
        return network

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Whole videos in random order, with modalities hidden."""
        rng = torch.Generator().manual_seed(self.recipe.seed * 100_003 + epoch)
        order = torch.randperm(self.count, generator=rng)
        train = self.padded["train"]
        for rows in order.split(self.recipe.batch):
            here = train.here[rows] & self.practised
            length = int(here.any(-1).sum(1).max())
            here = self._hide(here[:, :length], rng)
            text = train.text[rows, :length]
            if self.options.noise:
                text = text + self.options.noise * torch.randn(text.shape, generator=rng)
            yield text, train.audio[rows, :length], here, train.sentiment[rows, :length]

    def _hide(self, here: Tensor, rng: torch.Generator) -> Tensor:
        """Modality dropout, at most one at a time; none where only one is practised."""
        if self.options.only:
            return here
        hidden = torch.zeros_like(here)
        for chance, shape in (
            (self.options.hide_video, (len(here), 1)),
            (self.options.hide_step, here.shape[:2]),
        ):
            which = torch.randint(0, here.shape[-1], shape, generator=rng)
            drawn = torch.rand(shape, generator=rng) < chance
            hide = F.one_hot(which, here.shape[-1]).bool() & drawn.unsqueeze(-1)
            hidden = torch.where(hidden.any(-1, keepdim=True), hidden, hide)
        return here & ~hidden

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Absolute error of the fused score and of the unimodal heads, and what else is asked."""
        text, audio, here, sentiment = batch
        fused = model(text, audio, here)
        total = _error(fused.sentiment, sentiment, fused.present) + fused.loss
        for i, m in enumerate(MODALITIES):
            total = total + self.options.alone * _error(
                fused.alone[m].sentiment, sentiment, here[..., i]
            )
        if self.options.contrastive:
            both = here.all(-1)
            a, b = (fused.projected[m][both] for m in MODALITIES)
            total = total + self.options.contrastive * clip_loss(a, b)
        return total

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """On the validation part; `closeness`, larger is better, is minus the mean error."""
        shown = SUBSETS[self.options.only or "text+audio"]
        figures = self.measure(model, "valid", shown)
        return {"closeness": -figures["mae"], **figures}

    def predict(self, model: nn.Module, part: str, shown: tuple[bool, bool]) -> np.ndarray:
        """Sentiment by row of a part, with the modalities `shown`."""
        data, segments = self.padded[part], self.segments[part]
        with torch.inference_mode():
            here = data.here & torch.tensor(shown)
            guess = model(data.text, data.audio, here).sentiment.clamp(-LIMIT, LIMIT).numpy()
        rows = np.concatenate(segments.videos())
        result = np.empty(len(segments), np.float64)
        result[rows] = guess[data.here[..., 0].numpy()]
        return result

    def measure(self, model: nn.Module, part: str, shown: tuple[bool, bool]) -> dict[str, float]:
        """The figures of MMSA."""
        return measure(self.predict(model, part, shown), self.segments[part].sentiment)

    def finish(self, model: nn.Module) -> dict[str, Any]:
        """Set the interval's width on validation; figures per subset, test part and validation."""
        assert isinstance(model, MosiNetwork)
        only = self.options.only
        subsets = {only: SUBSETS[only]} if only else SUBSETS
        valid = self.predict(model, "valid", list(subsets.values())[-1])
        error = np.abs(valid - self.segments["valid"].sentiment)
        model.half_width.fill_(conformal_factor(error, np.ones_like(error), COVERAGE))
        made = {
            "fusion": self.recipe.model, "options": self.recipe.options,
            "text": self.text, "text_d": self.text_d,
        }  # fmt: skip
        return {
            "made": made,
            **{
                part: {name: self.measure(model, part, shown) for name, shown in subsets.items()}
                for part in ("test", "valid")
            },
        }


def _error(guess: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error over the mask."""
    known = mask & truth.isfinite()
    error = (guess - torch.where(known, truth, 0.0)).abs()
    return (error * known).sum() / known.sum().clamp_min(1)


def measure(guess: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """MAE, Pearson r, CCC, Acc-2 and F1 (negative/positive and negative/non-negative), Acc-7."""
    return {
        "mae": score_metrics.mae(guess, truth),
        "pearson_r": score_metrics.pearson_r(guess, truth) if np.ptp(guess) > 1e-6 else 0.0,
        "ccc": score_metrics.ccc(guess, truth),
        "acc2_negative_positive": score_metrics.acc2(guess, truth, zeros=False),
        "acc2_negative_nonnegative": score_metrics.acc2(guess, truth, zeros=True),
        "f1_negative_positive": score_metrics.f1_2(guess, truth, zeros=False),
        "f1_negative_nonnegative": score_metrics.f1_2(guess, truth, zeros=True),
        "acc7": score_metrics.acc7(guess, truth),
    }


def read_options(recipe: Recipe) -> Options:
    """Checked `data` of a recipe."""
    try:
        options = msgspec.convert(recipe.data, Options, strict=False)
    except msgspec.ValidationError as error:
        raise RecipeError(f"data: {str(error).replace('`$.', '`')}") from error
    if options.only not in ("", *MODALITIES):
        expected = ", ".join(MODALITIES)
        raise RecipeError(f"data.only: expected one of {expected}, got {options.only!r}")
    if recipe.model not in FUSIONS:
        raise RecipeError(f"model: expected one of {', '.join(FUSIONS)}, got {recipe.model!r}")
    return options


def tokens_of(segments: Segments, options: Options, cache: Path) -> tuple[np.ndarray, str]:
    """(N, D) text tokens, from the cache if they are there, and what made them."""
    if options.tokens:
        tokens = np.load(options.tokens)
        if len(tokens) != len(segments):
            raise DataError(f"{options.tokens}: expected {len(segments)} rows, got {len(tokens)}")
        return tokens.astype(np.float32), options.tokens
    folder = weights.SHIPPED if options.text == SHIPPED else Path(options.text)
    digest = text_digest(folder)
    kept = cache / f"mosi_text_{digest}_{len(segments)}.npy"
    if not kept.exists():
        encoder = weights.load(TextEncoder(), folder, "text")
        cache.mkdir(parents=True, exist_ok=True)
        np.save(kept, text_tokens(encoder, [str(text) for text in segments.texts]))
    return np.load(kept), digest


def build(recipe: Recipe, data: Path, cache: Path) -> MosiTask:
    """Read the file, cut it into parts, fetch the tokens."""
    options = read_options(recipe)
    segments = load_mosi(data)
    tokens, text = tokens_of(segments, options, cache)
    parts = {}
    for name in ("train", "valid", "test"):
        part, rows = segments.part(name), segments.rows(name)
        if len(part) == 0:
            raise DataError(f"CMU-MOSI: expected utterances in the part {name!r}, got none")
        parts[name] = (part, tokens[rows])
    return MosiTask(recipe, options, parts, text)
