"""Windows per second of the network at several batch sizes, beside what the machine could do.

Each window brings 5 faces, one hop of sound and one text of 8 words; all stages run, eager and
compiled, in float32 and bfloat16. Beside each rate stand the two limits of the card: arithmetic
(its peak operations over the network's, counted) and bandwidth (its bytes per second over the
weights, read once per batch, plus the inputs). On a machine without a GPU it runs on the CPU and
says so; the peaks are then not known, and the limits are left out.

`python -m benchmarks.gpu [--quick]`
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.report import show, write
from models import weights
from models.encoders.text import collate
from models.network import TOKEN_D, Network
from models.runtime import Window
from models.state import DIALOGUE_K

BATCHES = (1, 8, 64, 512)
FACES, HOPS, FRAMES = 5, 4, 74
SAID = "I really do not think that this works"
# Dense peaks by the makers' data sheets: operations per second in float32 (TF32 off) and bfloat16,
# bytes per second. Key: part of the name that the driver gives.
PEAKS = {
    "H100": (67e12, 989e12, 3.35e12),
    "H200": (67e12, 989e12, 4.8e12),
    "A100": (19.5e12, 312e12, 2.0e12),
    "L4": (30.3e12, 121e12, 0.3e12),
    "T4": (8.1e12, 0.0, 0.32e12),
}


class Everything(nn.Module):
    """All stages in a row: one hop of B streams."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.window = Window(network)

    def forward(
        self, faces: Tensor, frames: Tensor, ids: Tensor, mask: Tensor, past: Tensor
    ) -> tuple[Tensor, ...]:
        """faces (B * 5, 48, 48), frames (B, T, 64), ids and mask (B, L), past (B, K, D)."""
        size, network = len(frames), self.network
        face = network.faces(faces).unflatten(0, (size, FACES)).mean(1, keepdim=True)
        heard = network.voice.trunk.statistics(frames)
        voice = network.voice.token(heard).unsqueeze(1)
        said = torch.cat([past[:, 1:], network.text(ids, mask).unsqueeze(1)], 1)
        known = said.new_ones(said.shape[:2], dtype=torch.bool)
        text = network.text.contextualise(said, known).unsqueeze(1)
        kinds = [face.expand(-1, HOPS, -1), voice.expand(-1, HOPS, -1), text]
        if network.sounds is not None:
            kinds.append(network.sounds.token(heard).unsqueeze(1).expand(-1, HOPS, -1))
        masks = [kind.new_ones(kind.shape[:2], dtype=torch.bool) for kind in kinds]
        return self.window(*kinds, *masks)


def inputs(size: int, device: torch.device) -> tuple[Tensor, ...]:
    """One hop of `size` streams."""
    generator = torch.Generator().manual_seed(0)
    ids, mask = collate([SAID] * size)
    made = (
        torch.randint(0, 256, (size * FACES, 48, 48), generator=generator, dtype=torch.uint8),
        torch.randn(size, FRAMES, 64, generator=generator), ids, mask,
        torch.randn(size, DIALOGUE_K, TOKEN_D, generator=generator),
    )  # fmt: skip
    return tuple(tensor.to(device) for tensor in made)


def main() -> None:
    """Print and write the table."""
    quick = "--quick" in sys.argv
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)
    network = weights.fold_batch_norm(Network.load(weights.SHIPPED)).to(device).eval()
    model = Everything(network).eval()
    work, size = cost(model, device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU, one thread: no GPU here"
    rows = [
        row(model, batch, compiled, bfloat, device, work, size, name, quick)
        for batch in (BATCHES[:2] if quick else BATCHES)
        for compiled in ((False,) if quick else (False, True))
        for bfloat in (False, True)
    ]
    show(f"{name}; {work / 1e6:.0f} M operations a window, {size / 1e6:.1f} MB of weights", rows)
    write("gpu", {"device": name, "operations": work, "weights_bytes": size, "rows": rows})


@torch.inference_mode()
def cost(model: nn.Module, device: torch.device) -> tuple[int, int]:
    """Operations (a multiply-add counts two) of one window, and bytes of float32 weights."""
    counter = FlopCounterMode(display=False)
    with counter:
        model(*inputs(1, device))
    return counter.get_total_flops(), sum(p.numel() * 4 for p in model.parameters())


def row(
    model: nn.Module, batch: int, compiled: bool, bfloat: bool, device: torch.device, work: int,
    size: int, name: str, quick: bool,
) -> dict[str, Any]:  # fmt: skip
    """Windows per second of one setting, and the limits."""
    run = torch.compile(model, dynamic=False) if compiled else model
    given = inputs(batch, device)
    moved = sum(tensor.nbytes for tensor in given)
    rate = batch / seconds(run, given, bfloat, device, quick)
    found = {
        "batch": batch, "mode": "compiled" if compiled else "eager",
        "type": "bf16" if bfloat else "fp32", "windows/s": round(rate),
    }  # fmt: skip
    peaks = next((peaks for part, peaks in PEAKS.items() if part in name), None)
    if peaks is not None:
        found["arithmetic limit"] = round(peaks[bfloat] / work)
        read = size / (2 if bfloat else 1) + moved
        found["bandwidth limit"] = round(peaks[2] * batch / read)
    return found


@torch.inference_mode()
def seconds(
    run: Callable[..., Any], given: tuple[Tensor, ...], bfloat: bool, device: torch.device,
    quick: bool,
) -> float:  # fmt: skip
    """Least of several means: what the machine does when nothing else disturbs it."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    repeats = 1 if quick else 10
    best = float("inf")
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat):
        for attempt in range(2 if quick else 5):
            started = time.perf_counter()
            for _ in range(repeats):
                run(*given)
            wait()
            if attempt:  # the first warms up
                best = min(best, (time.perf_counter() - started) / repeats)
    return best


if __name__ == "__main__":
    main()
