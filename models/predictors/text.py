"""Text: sentences -> probabilities of the seven emotions, and sentiment in [-1, 1].

A text of a dialogue is read in the light of the turns before it, by the heads for dialogue.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from models import weights
from models.encoders.bags import BagModel, bag_rows
from models.encoders.chinese import ChineseWords, opinion_of
from models.encoders.text import CONTEXT, TextEncoder, collate
from models.labels import CHNSENTICORP_SENTIMENT
from models.language import CHINESE, ENGLISH, language_of
from models.predictors import plain
from models.types import EMOTIONS

BASELINES = weights.SHIPPED / "baselines"
_AT_ONCE = 64


class TextPredictor(Protocol):
    """predict: texts and, for each, the earlier turns -> emotions (B, 7), sentiment (B,)."""

    def predict(
        self, texts: list[str], dialogue: list[list[int]] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of a batch; dialogue[i] are the rows of the earlier turns of row i, oldest first."""
        ...


class Neural:
    """The text encoder with its heads. A row of NaN: the text is in no language that it reads.

    chinese: reads Chinese texts, of which it tells a sentiment and no emotions.
    """

    def __init__(self, model: TextEncoder, chinese: ChineseWords | None = None) -> None:
        self._model = model.eval()
        self._chinese = chinese

    @classmethod
    def load(cls, folder: Path) -> Neural:
        """The part "text" of a folder of weights, and "chinese" if it has it."""
        return cls(weights.load(TextEncoder(), folder, "text"), ChineseWords.find(folder))

    @torch.inference_mode()
    def predict(
        self, texts: list[str], dialogue: list[list[int]] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """B texts -> (B, 7), (B,)."""
        readable = [language_of(text) == ENGLISH for text in texts]
        tokens, known = self._tokens(texts, readable)
        if dialogue is None:
            emotions = (self._model.logits(tokens) / self._model.temperatures[0]).softmax(-1)
            said = self._model.sentiment(tokens)
        else:
            heard = [[i for i in earlier if readable[i]] for earlier in dialogue]
            emotions, tones = self._model.in_dialogue(in_context(self._model, tokens, heard))
            said = tones[:, 2] - tones[:, 0]
        emotions[~known], said[~known] = torch.nan, torch.nan
        if self._chinese is not None:
            for i in self._in_chinese(texts):
                said[i] = opinion_of(self._chinese.positive(texts[i])).sentiment
        return emotions.numpy(), said.numpy()

    @torch.inference_mode()
    def multilabel(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Which groups each text names: bool (B, 7) over EMOTIONS, (B, 4) over GOEMOTIONS_TONES."""
        tokens, known = self._tokens(texts, [language_of(text) == ENGLISH for text in texts])
        chosen = []
        for name, at in (("ekman", self._model.named_at), ("tone", self._model.tones_at)):
            chosen.append(above(self._model.read(name, tokens).sigmoid(), at) & known[:, None])
        return chosen[0].numpy(), chosen[1].numpy()

    def positive(self, texts: list[str], said: np.ndarray) -> np.ndarray:
        """The sentiment of texts (B,) as a probability (B,), on the scale of each language."""
        scale = np.ones(len(texts))
        scale[self._in_chinese(texts)] = CHNSENTICORP_SENTIMENT[1]
        return (1 + said / scale) / 2

    def polarity(self, emotions: np.ndarray, said: np.ndarray) -> np.ndarray:
        """Sentiment of dialogue (B,) -> shares (B, 3) of negative, neutral and positive."""
        low, high = self._model.polarity_at.tolist()
        score = np.stack([low - said, np.zeros_like(said), said - high], 1) * 10
        shares = np.exp(score)
        return shares / shares.sum(1, keepdims=True)

    def _in_chinese(self, texts: list[str]) -> list[int]:
        return [i for i, text in enumerate(texts) if language_of(text) == CHINESE]

    def _tokens(self, texts: list[str], readable: list[bool]) -> tuple[Tensor, Tensor]:
        """(B, D), and which texts are readable and hold a known piece; the others are 0."""
        order = sorted(np.flatnonzero(readable).tolist(), key=lambda i: len(texts[i]))
        tokens = torch.zeros(len(texts), self._model.project.out_features)
        known = torch.zeros(len(texts), dtype=torch.bool)
        for start in range(0, len(order), _AT_ONCE):
            part = order[start : start + _AT_ONCE]
            ids, mask = collate([texts[i] for i in part])
            tokens[part], known[part] = self._model(ids, mask), mask.any(1)
        return tokens, known


def above(probabilities: Tensor, at: Tensor) -> Tensor:
    """Those above their thresholds, and always the one that is furthest up."""
    excess = probabilities - at
    return (excess >= 0) | (excess == excess.amax(1, keepdim=True))


def in_context(model: TextEncoder, tokens: Tensor, dialogue: list[list[int]]) -> Tensor:
    """Tokens (B, D) -> (B, D), each refined by those of at most CONTEXT - 1 earlier turns."""
    rows = torch.zeros(len(tokens), CONTEXT, dtype=torch.long)
    mask = torch.zeros(len(tokens), CONTEXT, dtype=torch.bool)
    for i, earlier in enumerate(dialogue):
        seen = [*earlier[-(CONTEXT - 1) :], i]
        rows[i, -len(seen) :] = torch.tensor(seen)
        mask[i, -len(seen) :] = True
    return model.contextualise(tokens[rows], mask)


class Bag:
    """A linear model over a bag of words; it knows nothing of the turns before."""

    def __init__(self, model: BagModel) -> None:
        self._model = model.eval()

    @torch.inference_mode()
    def predict(
        self, texts: list[str], dialogue: list[list[int]] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """B texts -> (B, 7), (B,)."""
        parts = [self._model(*bag_rows(texts[i : i + 512])) for i in range(0, len(texts), 512)]
        scores = torch.cat(parts)
        first = 0 if dialogue is None else len(EMOTIONS)
        emotions = scores[:, first : first + len(EMOTIONS)].softmax(-1)
        return emotions.numpy(), scores[:, -1].tanh().numpy()


def _bag(name: str) -> Bag:
    return Bag(weights.load(BagModel(name), BASELINES, name))


MODELS: dict[str, Callable[[], TextPredictor]] = {
    "shipped": lambda: Neural.load(weights.SHIPPED),
    "tfidf": lambda: _bag("tfidf"),
    "word2vec": lambda: _bag("word2vec"),
}


def load(name: str) -> TextPredictor:
    """A model by name, or the weights in a folder."""
    if name in MODELS:
        return MODELS[name]()
    folder = Path(name)
    return plain.PlainText(folder) if plain.holds(folder) else Neural.load(folder)
