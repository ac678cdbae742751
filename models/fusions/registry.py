"""The fusions that look at the modalities; `context` is put on top of one of them."""

from __future__ import annotations

from models.fusions.attention import Attention
from models.fusions.base import StepFusion
from models.fusions.concat import Concat
from models.fusions.gated import Gated
from models.fusions.lmf import LowRankTensor
from models.fusions.mult import CrossModal
from models.fusions.reconstruct import Reconstruct
from models.fusions.text_led import TextLed

WITHIN: dict[str, type[StepFusion]] = {
    "concat": Concat,
    "gated": Gated,
    "attention": Attention,
    "lmf": LowRankTensor,
    "mult": CrossModal,
    "reconstruct": Reconstruct,
    "text_led": TextLed,
}
