"""Text to tokens: a small transformer over word pieces, and a causal context over utterances.

The encoder is that of BERT (Devlin et al. 2019: post-norm, learnt positions, GELU), four layers of
384; its token is a projection of the first piece's state and of the mean over all pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.text import MAX_PIECES, PAD, encode, fingerprint, vocabulary
from models.types import EMOTIONS

TOKEN_D = 128
LAYERS = 4
WIDTH = 384
HEADS = 12
WIDE = 1536
CONTEXT = 8  # utterances of a dialogue that `contextualise` sees, the last one among them
_HIDDEN = -1e4  # added to the attention of padding: its weight becomes 0 in float32
# Further readings of a token, each with the size of its answer.
READINGS = {
    "goemotions": 28,  # multi-label, the labels of GoEmotions
    "ekman": len(EMOTIONS),  # multi-label, their groups by Ekman's emotions
    "tone": 4,  # multi-label, their groups positive, negative, ambiguous, neutral
    "spoken": len(EMOTIONS),  # one emotion of a line of dialogue, as in MELD
    "spoken_tone": 3,  # negative, neutral or positive line of dialogue
    "stars": 5,  # very negative to very positive review, as in SST-5
}


def collate(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Texts -> ids int64 (B, T) and mask bool (B, T), all False if no piece is known."""
    return pad_ids(encode(texts))


def pad_ids(coded: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Lists of ids -> ids int64 (B, T), padded, and mask bool (B, T); T is at least 1."""
    longest = max([1, *(len(ids) for ids in coded)])
    ids = np.full((len(coded), longest), PAD, np.int64)
    for b, row in enumerate(coded):
        ids[b, : len(row)] = row
    made = torch.from_numpy(ids)
    return made, made != PAD


class Block(nn.Module):
    """Self-attention and a wide layer, each added to its input and normalised after."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.norm_attention = nn.LayerNorm(WIDTH, eps=1e-12)
        self.widen = nn.Linear(WIDTH, WIDE)
        self.narrow = nn.Linear(WIDE, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """(B, T, W), added mask (B, 1, 1, T) -> (B, T, W)."""
        parts = (self.query(x), self.key(x), self.value(x))
        q, k, v = (
            part.reshape(part.shape[0], part.shape[1], HEADS, WIDTH // HEADS).transpose(1, 2)
            for part in parts
        )
        scores = q @ k.transpose(-1, -2) * (WIDTH // HEADS) ** -0.5 + hidden
        seen = (scores.softmax(-1) @ v).transpose(1, 2)
        seen = seen.reshape(seen.shape[0], seen.shape[1], WIDTH)
        x = self.norm_attention(x + self.dropout(self.out(seen)))
        return self.norm(x + self.dropout(self.narrow(F.gelu(self.widen(x)))))


class Context(nn.Module):
    """What was said before, added to the last utterance: one attention with a gate."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.ages = nn.Embedding(CONTEXT, TOKEN_D)
        self.query = nn.Linear(TOKEN_D, TOKEN_D)
        self.key = nn.Linear(TOKEN_D, TOKEN_D)
        self.value = nn.Linear(TOKEN_D, TOKEN_D)
        self.mix = nn.Linear(2 * TOKEN_D, TOKEN_D)
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.ages.weight, std=0.1)
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, K, D), (B, K) -> (B, D); with no earlier utterance the last token itself."""
        last, earlier, known = tokens[:, -1], tokens[:, :-1], mask[:, :-1]
        count = earlier.shape[1]
        if count == 0:
            return last
        ages = self.ages.weight[:count].flip(0)  # 0 for the utterance just before
        keys = earlier + ages
        hidden = torch.where(known, 0.0, _HIDDEN)
        scores = (self.key(keys) @ self.query(last).unsqueeze(-1)).squeeze(-1) * TOKEN_D**-0.5
        shares = (scores + hidden).softmax(-1) * known
        recalled = (shares.unsqueeze(1) @ self.value(keys)).squeeze(1)
        change = self.mix(self.dropout(torch.cat([last, recalled], -1)))
        return last + change * known.any(-1, keepdim=True)


class TextEncoder(nn.Module):
    """Word pieces -> token (B, D); heads for emotion (B, 7), sentiment (B,) and READINGS.

    named_at, tones_at: the probability from which a label of "ekman", of "tone" counts as named.
    temperatures: of the softmax of `logits` and of the reading "spoken".
    """

    stored_bits: ClassVar = {"words": 4, "": 8}
    named_at: Tensor
    tones_at: Tensor
    temperatures: Tensor
    polarity_at: Tensor
    vocabulary: Tensor

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.words = nn.Embedding(len(vocabulary()), WIDTH, padding_idx=PAD)
        self.positions = nn.Embedding(MAX_PIECES, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.blocks = nn.ModuleList(Block(dropout) for _ in range(LAYERS))
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(2 * WIDTH, TOKEN_D)
        self.emotion = nn.Linear(TOKEN_D, len(EMOTIONS))
        self.valence = nn.Linear(TOKEN_D, 1)
        self.readings = nn.ModuleDict({n: nn.Linear(TOKEN_D, k) for n, k in READINGS.items()})
        self.context = Context(dropout)
        self.register_buffer("vocabulary", torch.tensor(fingerprint()))
        self.register_buffer("named_at", torch.full((READINGS["ekman"],), 0.4))
        self.register_buffer("tones_at", torch.full((READINGS["tone"],), 0.4))
        self.register_buffer("temperatures", torch.ones(2))
        self.register_buffer("polarity_at", torch.tensor([-0.3, 0.3]))

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """As of every module, but a file that was trained on other word pieces is refused."""
        given = state.get(f"{prefix}vocabulary")
        if given is not None and int(given) != fingerprint():
            rest[-1].append(f"word pieces {int(given):08x}, expected {fingerprint():08x}")
        super()._load_from_state_dict(state, prefix, *rest)

    def embed(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(B, T), (B, T) -> (B, T, 384): the vectors of the pieces."""
        return self.words(ids)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids (B, T), mask bool (B, T) -> (B, D)."""
        x = self.embed(ids, mask) + self.positions.weight[: ids.shape[1]]
        x = self.dropout(self.norm(x))
        hidden = torch.where(mask, 0.0, _HIDDEN)[:, None, None, :]
        for block in self.blocks:
            x = block(x, hidden)
        weight = mask.unsqueeze(-1).to(x.dtype)
        mean = (x * weight).sum(1) / weight.sum(1).clamp_min(1)
        return self.project(self.dropout(torch.cat([x[:, 0], mean], 1))).tanh()

    def contextualise(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, K, D), (B, K) -> (B, D): the last utterance in the light of those before it."""
        return self.context(tokens, mask)

    def logits(self, tokens: Tensor) -> Tensor:
        """(B, D) -> (B, 7)."""
        return self.emotion(tokens)

    def sentiment(self, tokens: Tensor) -> Tensor:
        """(B, D) -> (B,) in [-1, 1]."""
        return self.valence(tokens).squeeze(-1).tanh()

    def in_dialogue(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D) -> emotions (B, 7) and probabilities of negative, neutral, positive (B, 3)."""
        emotions = (self.read("spoken", tokens) / self.temperatures[1]).softmax(-1)
        return emotions, self.read("spoken_tone", tokens).softmax(-1)

    def read(self, name: str, tokens: Tensor) -> Tensor:
        """(B, D) -> (B, READINGS[name]) logits."""
        return self.readings[name](tokens)
