"""Figures of the parts of a run that no message carries: what waits, what the GPU does."""

from __future__ import annotations

import msgspec


class GpuUse(msgspec.Struct, frozen=True, kw_only=True):
    """Of one GPU. `busy`: share of the time in which it computed; None where nobody says."""

    used_bytes: int
    total_bytes: int
    busy: float | None = None


class Figures(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Of one part. `waiting`: the most hand-overs that waited there since the last figures."""

    part: str
    waiting: int = 0
    gpu: GpuUse | None = None


class UpstreamFigures(msgspec.Struct, kw_only=True):
    """Of one publisher that a forwarder listens to, in messages since the start. `forwarded` holds
    the `mended`; `gone`: for good; `refused`: of a stream that it does not own, or too many;
    `garbled`: could not be read."""

    upstream: str
    up: bool = False
    forwarded: int = 0
    mended: int = 0
    gone: int = 0
    refused: int = 0
    garbled: int = 0
