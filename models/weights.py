"""Weights on disk: one safetensors file per part and a manifest that names their SHA-256.

Matrices are stored as float16, embedding tables as int8 with one float16 scale per row. A module
may ask for less by its `stored_bits`, {prefix of names: 8 or 4}: 4 bits come two to a byte, with
one float16 scale for each 32 values of a row. A file is used only if it is whole, unaltered and of
the layout that the code expects.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save_file
from torch import Tensor, nn

from models.errors import WeightsError

N = TypeVar("N", bound=nn.Module)

FORMAT = 1
SHIPPED = Path(__file__).parent / "weights"
MANIFEST = "manifest.json"
_TABLE_ROWS = 10_000  # matrices with more rows than this are embedding tables
_MATRIX = 4_096  # matrices with fewer values are not worth fewer bits
_GROUP = 32  # values of 4 bits that share a scale
_REMEDY = "restore the folder from the release, or train anew: attune train --help"


def pack(state: dict[str, Tensor], bits: dict[str, int] | None = None) -> dict[str, Tensor]:
    """float32 state -> what goes to disk. bits: of matrices, by prefix of their names."""
    packed = {}
    for name, value in state.items():
        value = value.detach().cpu()
        wanted = [b for prefix, b in (bits or {}).items() if name.startswith(prefix)]
        small = wanted[0] if wanted and value.ndim == 2 and value.numel() >= _MATRIX else 0
        table = value.ndim == 2 and len(value) > _TABLE_ROWS
        if small == 4:
            packed[name], packed[f"{name}.scale"] = _nibbles(value)
        elif small == 8 or table:
            scale = (value.abs().amax(1) / 127).clamp_min(1e-6).half()
            packed[name] = (value / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
            packed[f"{name}.scale"] = scale
        elif value.ndim > 1:
            packed[name] = value.half().contiguous()
        else:
            packed[name] = value.contiguous()
    return packed


def _nibbles(value: Tensor) -> tuple[Tensor, Tensor]:
    """(R, C) -> uint8 (R, C / 2) and float16 (R, C / 32); of some clippings the best one."""
    groups = value.float().unflatten(1, (-1, _GROUP))
    peak = groups.abs().amax(-1, keepdim=True)
    best = torch.full_like(peak, torch.inf)
    codes, scales = torch.zeros_like(groups), torch.zeros_like(peak)
    for share in (1.0, 0.95, 0.9, 0.85, 0.8, 0.75):
        scale = (peak * share / 7).clamp_min(1e-6).half().float()
        code = (groups / scale).round().clamp(-7, 7)
        error = ((code * scale - groups) ** 2).sum(-1, keepdim=True)
        codes = torch.where(error < best, code, codes)
        scales = torch.where(error < best, scale, scales)
        best = torch.minimum(error, best)
    shifted = (codes.flatten(1) + 8).to(torch.uint8)
    return shifted[:, ::2] * 16 + shifted[:, 1::2], scales.squeeze(-1).half()


def _from_nibbles(packed: Tensor, scale: Tensor) -> Tensor:
    codes = torch.stack([packed // 16, packed % 16], -1).flatten(1).float() - 8
    return (codes.unflatten(1, (-1, _GROUP)) * scale.float().unsqueeze(-1)).flatten(1)


def unpack(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    """What is on disk -> float32 state."""
    state = {}
    for name, value in packed.items():
        if name.endswith(".scale") and name.removesuffix(".scale") in packed:
            continue
        if value.dtype == torch.int8:
            state[name] = value.float() * packed[f"{name}.scale"].float()[:, None]
        elif value.dtype == torch.uint8 and f"{name}.scale" in packed:
            state[name] = _from_nibbles(value, packed[f"{name}.scale"])
        else:
            state[name] = value.float() if value.dtype.is_floating_point else value
    return state


def save(module: nn.Module, folder: Path, name: str, figures: dict[str, Any]) -> None:
    """Write one part and enter it, with its figures, into the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    save_file(pack(module.state_dict(), getattr(module, "stored_bits", None)), path)
    manifest = read_manifest(folder) if (folder / MANIFEST).exists() else {"parts": {}}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    entry = {"file": path.name, "bytes": path.stat().st_size, "sha256": digest, "figures": figures}
    manifest = {"format": FORMAT, **manifest, "parts": {**manifest["parts"], name: entry}}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def annotate(folder: Path, **entries: Any) -> None:
    """Add entries, such as label maps or evaluation results, to the manifest."""
    manifest = {**read_manifest(folder), **entries}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest, checked for its format."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
        form = manifest["format"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(
            f"{path}: expected a weights manifest, got {error!r}; {_REMEDY}"
        ) from error
    if form != FORMAT:
        raise WeightsError(f"{path}: expected format {FORMAT}, got {form!r}; {_REMEDY}")
    return manifest


def read_file(folder: Path, entry: dict[str, Any]) -> bytes:
    """The bytes of a file that the manifest names, if they are the bytes that it names."""
    path = folder / entry["file"]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: expected weights, got {error.strerror}; {_REMEDY}") from error
    if len(content) != entry["bytes"]:
        raise WeightsError(
            f"{path}: expected {entry['bytes']} bytes, got {len(content)}; {_REMEDY}"
        )
    digest = hashlib.sha256(content).hexdigest()
    if digest != entry["sha256"]:
        raise WeightsError(
            f"{path}: expected SHA-256 {entry['sha256'][:12]}, got {digest[:12]}; {_REMEDY}"
        )
    return content


def read_part(folder: Path, name: str) -> dict[str, Tensor]:
    """The float32 state of the part `name`, checked to be whole and unaltered."""
    entry = read_manifest(folder)["parts"].get(name)
    if entry is None:
        raise WeightsError(f"{folder / MANIFEST}: expected a part {name!r}, got none; {_REMEDY}")
    try:
        return unpack(parse(read_file(folder, entry)))
    except (SafetensorError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(
            f"{folder / entry['file']}: expected safetensors, got {reason}; {_REMEDY}"
        ) from error


def load(module: N, folder: Path, name: str) -> N:
    """Fill `module` with the part `name` and put it into evaluation mode."""
    state = read_part(folder, name)
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(
            f"{folder}, part {name!r}: expected the layout of {type(module).__name__}, "
            f"got {reason}; {_REMEDY}"
        ) from error
    return module.eval()


def revision(folder: Path) -> str:
    """Short hash over the format and the hashes of all parts."""
    manifest = read_manifest(folder)
    hashes = "".join(part["sha256"] for _, part in sorted(manifest["parts"].items()))
    return hashlib.sha256(f"{FORMAT}:{hashes}".encode()).hexdigest()[:12]


def fold_batch_norm(module: N) -> N:
    """Merge each batch norm into the convolution before it; the result is the same, and faster."""
    for name, child in module.named_children():
        layers = list(child.children()) if isinstance(child, nn.Sequential) else []
        if len(layers) > 1 and isinstance(layers[1], nn.BatchNorm1d | nn.BatchNorm2d):
            assert isinstance(layers[0], nn.Conv1d | nn.Conv2d)
            merged = torch.nn.utils.fuse_conv_bn_eval(layers[0], layers[1])
            child = nn.Sequential(merged, *layers[2:])
            setattr(module, name, child)
        fold_batch_norm(child)
    return module
