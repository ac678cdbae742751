"""Task "pool": fit the live fusion over encoders that stay as they are.

Fitted on held-out samples (stacking, Wolpert 1992), because on their own training data the encoders
are surer than they should be, and a gate would learn to trust whichever memorised most. Validation
is cut in three: gate and scales are learnt on the first part, temperatures and intervals fitted on
the second, and the third is only reported on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.calibration import Group, conformal_factors, fit_temperatures
from models.errors import RecipeError
from models.fusion import COVERAGE, SUBSETS, Fused, Fusion, M, Opinions
from models.network import TOKEN_D, Network
from models.pooling import masked_softmax
from models.train.bundles import CLEAN, POOR, Bundle, Combination, Mix, bundles_of, combine, part_of
from models.train.pool_figures import figures_of
from models.train.recipe import Recipe
from models.train.task import Batch
from models.train.transfer import start_folder

FIT, CALIBRATE, REPORT = 0, 1, 2
DRAWS = 4000
OPTIONS = {"encoders", "steps", "contradiction", "degraded", "limit"}


def build(recipe: Recipe, data: Path, cache: Path) -> PoolTask:
    """The task of a recipe; `data.encoders` names the folder with the encoders' weights."""
    unknown = set(recipe.data) - OPTIONS
    if unknown:
        raise RecipeError(f"data: expected {', '.join(sorted(OPTIONS))}; got {min(unknown)!r}")
    if recipe.model != "gated":
        raise RecipeError(f"model: expected gated, got {recipe.model!r}")
    folder = start_folder(recipe.data.get("encoders", "shipped"))
    network = Network.load(folder, fused=False)
    bundles = bundles_of(network, folder, data, "valid", cache, recipe.data.get("limit"))
    return PoolTask(recipe, network, bundles)


class PoolTask:
    """See `models.train.task.Task`; the model is a `Fusion`, trained within its network."""

    part = "fusion"

    def __init__(self, recipe: Recipe, network: Network, bundles: list[Bundle]) -> None:
        self.steps = int(recipe.data.get("steps", 300))
        self._recipe = recipe
        self._network = network.requires_grad_(False).eval()
        self._sets = [[part_of(bundle, part, 3) for bundle in bundles] for part in range(3)]
        self._mix = Mix(
            contradiction=recipe.data.get("contradiction", 0.25),
            degraded=recipe.data.get("degraded", 0.4),
        )

    def model(self) -> nn.Module:
        """An untrained fusion."""
        return Fusion(TOKEN_D)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """People made of the first part, with any subset of the modalities."""
        rng = np.random.default_rng([self._recipe.seed, epoch])
        for _ in range(self.steps):
            present = SUBSETS.numpy()[rng.integers(1, 2**M, self._recipe.batch)]
            c = combine(self._sets[FIT], present, rng, self._mix)
            yield (*c.tokens, *c.masks, c.emotions, c.sentiment, c.degraded)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Soft cross-entropy, squared error, likelihood of the error's scale and degradation."""
        tokens, masks = list(batch[:M]), list(batch[M : 2 * M])
        emotions, sentiment, degraded = batch[2 * M :]
        fusion = self._fill(model)
        opinions = self._network.opinions(tokens, masks)
        fused = fusion(opinions)
        logits = fusion.pooled_logits(opinions, fused.weights)
        width = fusion.spread_of(opinions, fused.weights.detach(), logits.detach())
        error = (fused.sentiment - sentiment).abs()
        likelihood = (error.detach() / width + width.log()).mean()
        guess = torch.stack([fusion.spoilt_logits(m, tokens[m], masks[m]) for m in range(M)], 1)
        seen = F.binary_cross_entropy_with_logits(guess, degraded, opinions.present.float())
        said = F.cross_entropy(logits, emotions)
        return said + 2 * error.square().mean() + 0.5 * likelihood + seen

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Accuracy with all three, clean and degraded, before calibration; on the second part."""
        return {
            f"accuracy_{name}": self._accuracy(model, mix)
            for name, mix in (("clean", CLEAN), ("degraded", POOR))
        }

    def finish(self, model: nn.Module) -> dict[str, Any]:
        """Temperatures, the pool's sharpness, the intervals; figures on the third part."""
        fusion = self._fill(model)
        with torch.no_grad():
            self._set_temperatures(fusion)
            self._set_subsets(fusion)
        return figures_of(self._network, self._sets[REPORT], DRAWS)

    def _fill(self, model: nn.Module) -> Fusion:
        assert isinstance(model, Fusion)
        self._network.fusion = model
        return model

    def _accuracy(self, model: nn.Module, mix: Mix) -> float:
        c, _, fused = self._run(self._fill(model), 2**M - 1, mix, 1000)
        return float((fused.emotions.argmax(1) == c.emotions.argmax(1)).float().mean())

    def _run(
        self, fusion: Fusion, code: int, mix: Mix, size: int = DRAWS
    ) -> tuple[Combination, Opinions, Fused]:
        rng = np.random.default_rng(7)
        present = np.repeat(SUBSETS[code : code + 1].numpy(), size, 0)
        c = combine(self._sets[CALIBRATE], present, rng, mix)
        opinions = self._network.opinions(c.tokens, c.masks)
        return c, opinions, fusion(opinions)

    def _set_temperatures(self, fusion: Fusion) -> None:
        """One pair per modality, on its samples as they are and degraded."""
        for m, bundle in enumerate(self._sets[CALIBRATE]):
            both = torch.cat([bundle.tokens, bundle.poor]), torch.cat([bundle.mask, bundle.mask])
            size = len(both[0])
            tokens = [torch.zeros(size, 1, TOKEN_D) for _ in range(M)]
            masks = [torch.zeros(size, 1, dtype=torch.bool) for _ in range(M)]
            tokens[m], masks[m] = both
            logits = self._network.logits(tokens, masks)[0][m]
            degraded = fusion.spoilt_logits(m, *both).sigmoid()
            labels = torch.cat([bundle.labels, bundle.labels])
            fusion.temperature[m] = fit_temperatures(logits, degraded, labels)

    def _set_subsets(self, fusion: Fusion) -> None:
        """Sharpness of the pool for two and three modalities, and the intervals of each subset."""
        for code in range(1, 2**M):
            if code.bit_count() > 1:
                runs = [self._run(fusion, code, mix) for mix in (CLEAN, POOR)]
                parts = [self._pooled(fusion, opinions) for _, opinions, _ in runs]
                logits, mixed = (torch.cat(column) for column in zip(*parts, strict=True))
                labels = torch.cat([c.emotions.argmax(1) for c, _, _ in runs])
                fusion.sharpness[code] = -fit_temperatures(logits, mixed, labels)
            clean, poor = (self._errors(fusion, code, mix) for mix in (CLEAN, POOR))
            fusion.quantile[code] = torch.from_numpy(conformal_factors(clean, poor, COVERAGE))

    def _errors(self, fusion: Fusion, code: int, mix: Mix) -> Group:
        """Errors of the score, widths, and how degraded the input seems."""
        c, opinions, fused = self._run(fusion, code, mix)
        error = (fused.sentiment - c.sentiment).abs()
        mixed = (opinions.degraded * fused.weights).sum(1)
        return error.numpy(), fused.width.numpy(), mixed.numpy()

    def _pooled(self, fusion: Fusion, opinions: Opinions) -> tuple[Tensor, Tensor]:
        """Logits of the pool, and how degraded its input is."""
        weights = masked_softmax(opinions.evidence, opinions.present)
        return fusion.pooled_logits(opinions, weights), (opinions.degraded * weights).sum(1)
