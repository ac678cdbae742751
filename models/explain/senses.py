"""Each modality of a window as one differentiable function of what its encoder was given.

Invariant: `score` goes through the same encoders, pooling and calibration as the analyser, with
the other modalities absent; so its value at the input is the unimodal score of the result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from models.encoders.text import collate
from models.errors import ExplainError
from models.explain.material import EARLIER, HopFaces, HopVoice
from models.explain.subwords import WordSpan, embeddings, encode_embedded, hidden, tokenise
from models.features import CONTEXT_T, MELS, scale
from models.network import TOKEN_D, Network
from models.types import EMOTIONS, MODALITIES, Text

SENTIMENT = "sentiment"
TARGETS = (SENTIMENT, *EMOTIONS)
QUIET = float(scale(np.array(-12.0)))  # what the feature scale gives for silence
BLUR_PX = 8.0  # standard deviation; a sixth of a 48 px face, about an eye
FRAME_MS = 10


def check_target(name: str) -> str:
    """`name`, or an error that lists what can be explained."""
    if name not in TARGETS:
        raise ExplainError(f"no target {name!r}; expected one of: {', '.join(TARGETS)}")
    return name


class Sense(ABC):
    """One modality of one window. `x`, `baseline`: float32 (1, ...)."""

    modality: str
    x: Tensor
    baseline: Tensor

    def __init__(self, network: Network) -> None:
        self._network = network

    @abstractmethod
    def tokens(self, x: Tensor) -> Tensor:
        """(S, ...) -> (S, T, D) tokens of the window's hops or texts."""

    def score(self, x: Tensor, target: str) -> Tensor:
        """(S, ...) -> (S,): sentiment in [-1, 1], or the calibrated probability of an emotion."""
        own = self.tokens(x)
        tokens = [own.new_zeros(len(own), 1, TOKEN_D) for _ in MODALITIES]
        masks = [torch.zeros(len(own), 1, dtype=torch.bool) for _ in MODALITIES]
        m = MODALITIES.index(self.modality)
        tokens[m] = own
        masks[m] = torch.ones(own.shape[:2], dtype=torch.bool)
        opinions = self._network.opinions(tokens, masks)
        if target == SENTIMENT:
            return opinions.sentiment[:, m]
        return opinions.log_probabilities[:, m, EMOTIONS.index(target)].exp()

    @abstractmethod
    def fold(self, shares: np.ndarray) -> np.ndarray:
        """Shares of the shape of one `x` row -> of the shape that is shown, with the same sum."""


class Faces(Sense):
    """x (1, F, 48, 48) grey levels. Baseline: the same crops blurred until no feature is left.

    A blurred face keeps the light and the skin but has no expression, while black or grey would be
    a picture that is unlike any face (Sturmfels et al. 2020, "Visualizing the impact of feature
    attribution baselines").
    """

    modality = "video"

    def __init__(self, network: Network, hops: tuple[HopFaces, ...]) -> None:
        super().__init__(network)
        self._counts = [len(hop.crops) for hop in hops]
        self.crops = np.concatenate([hop.crops for hop in hops])
        self.x = torch.from_numpy(self.crops).float().unsqueeze(0)
        self.baseline = blurred(self.x)

    def tokens(self, x: Tensor) -> Tensor:
        each = self._network.faces(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return torch.stack([part.mean(1) for part in each.split(self._counts, 1)], 1)

    def fold(self, shares: np.ndarray) -> np.ndarray:
        return shares


def blurred(pixels: Tensor) -> Tensor:
    """(..., H, W) -> the same under a Gaussian of BLUR_PX, edges repeated."""
    reach = round(3 * BLUR_PX)
    at = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-((at / BLUR_PX) ** 2) / 2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    flat = pixels.reshape(-1, 1, *pixels.shape[-2:])
    for axis in (-1, -2):
        side = (reach, reach, 0, 0) if axis == -1 else (0, 0, reach, reach)
        weights = kernel if axis == -1 else kernel.transpose(-1, -2)
        flat = torch.nn.functional.conv2d(pad(flat, side, mode="replicate"), weights)
    return flat.view_as(pixels)


class Voice(Sense):
    """x (1, sum of frames, 64). Baseline: silence in every band.

    `fold` puts the hops on one time line of 10 ms frames that opens with the context of the first:
    a frame that also was the context of the next hop gets both of its shares.
    """

    modality = "audio"

    def __init__(self, network: Network, hops: tuple[HopVoice, ...]) -> None:
        super().__init__(network)
        self._lengths = [len(hop.frames) for hop in hops]
        self.x = torch.from_numpy(np.concatenate([hop.frames for hop in hops])).unsqueeze(0)
        self.baseline = torch.full_like(self.x, QUIET)
        origin = hops[0].start_ns
        step = FRAME_MS * 1_000_000
        self._at = [round((hop.start_ns - origin) / step) for hop in hops]
        self.start_ns = origin - CONTEXT_T * step
        self.length = self._at[-1] + self._lengths[-1]

    def tokens(self, x: Tensor) -> Tensor:
        return torch.stack([self._network.voice(part) for part in x.split(self._lengths, 1)], 1)

    def fold(self, shares: np.ndarray) -> np.ndarray:
        line = np.zeros((self.length, MELS), np.float32)
        for at, part in self._parts(shares):
            line[at : at + len(part)] += part
        return line

    @property
    def places(self) -> np.ndarray:
        """int (sum of frames,): where on the time line each frame of `x` lies."""
        spans = zip(self._at, self._lengths, strict=True)
        return np.concatenate([np.arange(at, at + length) for at, length in spans])

    def picture(self) -> np.ndarray:
        """float32 (T, 64): the frames on the same time line, NaN where no speech was encoded."""
        line = np.full((self.length, MELS), np.nan, np.float32)
        for at, part in self._parts(self.x[0].numpy()):
            line[at + CONTEXT_T : at + len(part)] = part[CONTEXT_T:]
        return line

    def _parts(self, rows: np.ndarray) -> list[tuple[int, np.ndarray]]:
        cuts = np.cumsum(self._lengths)[:-1]
        return list(zip(self._at, np.split(rows, cuts), strict=True))


class Words(Sense):
    """x (1, K, T, W): the word vectors of K texts. Baseline: every word unknown.

    earlier: utterances that came before, which stay as they are.
    """

    modality = "text"

    def __init__(
        self, network: Network, texts: tuple[Text, ...], earlier: tuple[Text, ...] = ()
    ) -> None:
        super().__init__(network)
        self.texts = [text.text for text in texts]
        self._pieces = tokenise(self.texts)
        self.x = embeddings(network.text, self._pieces).unsqueeze(0)
        self.baseline = hidden(network.text, self._pieces).unsqueeze(0)
        with torch.no_grad():
            self._before = [network.text(*collate([text.text]))[0] for text in earlier]

    def tokens(self, x: Tensor) -> Tensor:
        said = encode_embedded(self._network.text, self._pieces, x)
        if not hasattr(self._network.text, "contextualise"):
            return said
        before = [token.expand(len(x), 1, -1) for token in self._before]
        line, first = torch.cat([*before, said], 1), len(before)
        parts = [line[:, max(0, i - EARLIER) : i + 1] for i in range(first, line.shape[1])]
        everything = [torch.ones(part.shape[:2], dtype=torch.bool) for part in parts]
        pairs = zip(parts, everything, strict=True)
        return torch.stack([self._network.text.contextualise(*pair) for pair in pairs], 1)

    @property
    def words(self) -> list[WordSpan]:
        """The words of all texts, one share each, in order."""
        return self._pieces.words

    def fold(self, shares: np.ndarray) -> np.ndarray:
        by_piece = shares.sum(-1)
        return np.array(
            [by_piece[word.text, list(word.columns)].sum() for word in self.words], np.float32
        )
