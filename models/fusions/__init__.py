"""The registry of fusions. Each takes any subset of modalities, with gaps, at any batch size.

>>> fusion = make("lmf", {"audio": 73, "text": 128}, classes=7)
>>> fused = fusion({"text": torch.randn(1, 4, 128)}, {"text": torch.ones(1, 4, dtype=torch.bool)})
>>> fused.sentiment.shape
torch.Size([1, 4])
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.errors import RecipeError
from models.fusions.base import Fused, Said, State, StepFusion
from models.fusions.context import Context
from models.fusions.registry import WITHIN

FUSIONS: dict[str, type[StepFusion]] = {**WITHIN, "context": Context}

__all__ = ["FUSIONS", "Fused", "Said", "State", "StepFusion", "make"]


def make(name: str, widths: Mapping[str, int], **options: Any) -> StepFusion:
    """A fresh fusion by name; `widths` gives the size of the tokens of each modality."""
    if name not in FUSIONS:
        raise RecipeError(f"fusion: expected one of {', '.join(FUSIONS)}, got {name!r}")
    try:
        return FUSIONS[name](widths, **options)
    except TypeError as error:
        raise RecipeError(f"fusion {name!r}: {error}; see models/fusions/{name}.py") from error
