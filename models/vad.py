"""Silero VAD as a pure step: the state goes in and comes out, hop borders leave no trace.

The sequence form of the network takes frames of 512 new samples behind 64 samples of context, so
one call per hop serves all of its frames. The file is found without importing `silero_vad`.
Source: https://github.com/snakers4/silero-vad (MIT).
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from models.errors import WeightsError

FRAME_N = 512
CONTEXT_N = 64
STEP_NS = FRAME_N * 1_000_000_000 // 16_000
_FILE = "silero_vad_16k_sequence.onnx"


@dataclass(frozen=True)
class VadState:
    """h, c: float32 (1, 1, 128). tail: 64 samples of context, then those of an unfinished frame."""

    h: np.ndarray
    c: np.ndarray
    tail: np.ndarray

    @classmethod
    def initial(cls) -> VadState:
        """The state before the first sample."""
        zeros = np.zeros((1, 1, 128), np.float32)
        return cls(zeros, zeros, np.zeros(CONTEXT_N, np.float32))


def model_path() -> Path:
    """Where the installed silero-vad package keeps the network."""
    spec = importlib.util.find_spec("silero_vad")
    roots = list(spec.submodule_search_locations or []) if spec else []
    for root in roots:
        path = Path(root) / "data" / _FILE
        if path.exists():
            return path
    raise WeightsError(
        f"expected {_FILE} in the silero-vad package, found none: install silero-vad"
    )


class SileroVad:
    """The network; it holds no stream's state."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(model_path()), options, providers=["CPUExecutionProvider"]
        )

    def step(self, state: VadState, samples: np.ndarray) -> tuple[VadState, np.ndarray]:
        """float32 (N,) at 16 kHz -> new state, probabilities (T,) of the frames it completed."""
        line = np.concatenate([state.tail, samples.astype(np.float32, copy=False)])
        frames = (len(line) - CONTEXT_N) // FRAME_N
        if frames == 0:
            return VadState(state.h, state.c, line), np.zeros(0, np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(line, CONTEXT_N + FRAME_N)[::FRAME_N]
        feeds = {"input": np.ascontiguousarray(windows), "h": state.h, "c": state.c}
        speech, h, c = self._session.run(None, feeds)
        return VadState(h, c, line[frames * FRAME_N :].copy()), speech
