"""Marks of the explanation page: inline SVG and pictures as data URIs, from plain numbers.

Invariant: nothing here refers to anything outside the page, and every text is escaped.
Blue raises the score, orange lowers it, everywhere; both are told apart by the colour-blind.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from html import escape

import numpy as np

MINUS = "\N{MINUS SIGN}"
RAISES = (37, 99, 235)
LOWERS = (217, 95, 2)
_DEEPEST = 0.8  # opacity of the strongest share


def number(value: float, digits: int = 2) -> str:
    """Signed, with a true minus."""
    return f"{value:+.{digits}f}".replace("-", MINUS)


def png(pixels: np.ndarray) -> str:
    """uint8 (H, W, 4) -> a PNG as a data URI."""
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], 1)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()


def grey(picture: np.ndarray) -> np.ndarray:
    """uint8 (H, W) -> opaque uint8 (H, W, 4)."""
    return np.dstack([picture, picture, picture, np.full_like(picture, 255)])


def heat(shares: np.ndarray, top: float) -> np.ndarray:
    """(H, W) shares -> uint8 (H, W, 4): the sign as colour, the size as opacity; `top` is full."""
    colour = np.where(shares[..., None] > 0, RAISES, LOWERS)
    alpha = np.clip(np.abs(shares) / (top or 1.0), 0, 1) * _DEEPEST * 255
    return np.dstack([colour, alpha]).astype(np.uint8)


def tint(share: float, top: float) -> str:
    """A CSS colour for one share."""
    red, green, blue = RAISES if share > 0 else LOWERS
    return f"rgba({red},{green},{blue},{min(abs(share) / (top or 1.0), 1) * _DEEPEST:.2f})"


def scale(score: float, low: float, high: float, label: str) -> str:
    """-1 to +1, the interval as a band and the score as a dot."""
    x, left, right = (300 + 280 * v for v in (score, low, high))
    ticks = "".join(
        f'<line x1="{300 + 280 * v}" y1="22" x2="{300 + 280 * v}" y2="34" class="axis"/>'
        f'<text x="{300 + 280 * v}" y="52" class="tick">{number(v, 1) if v else "0"}</text>'
        for v in (-1, -0.5, 0, 0.5, 1)
    )
    return svg(
        f'<line x1="20" y1="28" x2="580" y2="28" class="axis"/>{ticks}'
        f'<rect x="{left:.1f}" y="22" width="{max(right - left, 1):.1f}" height="12" rx="6" '
        f'class="band"/><circle cx="{x:.1f}" cy="28" r="8" class="dot"/>',
        60,
        label,
    )


def waterfall(start: tuple[str, float], steps: Sequence[tuple[str, float]], end: str) -> str:
    """From a start value by signed steps to the end value, one row each."""
    level = start[1]
    values = [level, *np.cumsum([level, *(v for _, v in steps)])[1:]]
    reach = max(0.1, *(abs(v) for v in values)) * 1.15

    def at(value: float) -> float:
        return 340 + 170 * value / reach

    rows = [_fall(0, start[0], at(0), at(level), number(level), "plain")]
    for i, (name, value) in enumerate(steps, 1):
        kind = "raises" if value > 0 else "lowers"
        rows.append(_fall(i, name, at(level), at(level + value), number(value), kind))
        level += value
    rows.append(_fall(len(steps) + 1, end, at(0), at(level), number(level), "dot"))
    height = 30 * len(rows) + 8
    zero = f'<line x1="{at(0)}" y1="2" x2="{at(0)}" y2="{height - 4}" class="axis"/>'
    told = ", ".join(f"{name} {number(v)}" for name, v in steps)
    return svg(zero + "".join(rows), height, f"{start[0]} {number(start[1])}, {told}")


def _fall(row: int, name: str, left: float, right: float, value: str, kind: str) -> str:
    y, x = 30 * row + 6, min(left, right)
    return (
        f'<text x="0" y="{y + 15}" class="name">{escape(name)}</text>'
        f'<rect x="{x:.1f}" y="{y}" width="{max(abs(right - left), 1.5):.1f}" height="20" rx="3" '
        f'class="{kind}"/><text x="600" y="{y + 15}" class="value">{value}</text>'
    )


def bars(items: Sequence[tuple[str, float]], strong: str) -> str:
    """Shares 0..1, one row each; `strong` is set off."""
    rows = "".join(
        f'<text x="0" y="{26 * i + 17}" class="name">{escape(name)}</text>'
        f'<rect x="130" y="{26 * i + 4}" width="{max(390 * share, 1):.1f}" height="16" rx="3" '
        f'class="{"dot" if name == strong else "plain"}"/>'
        f'<text x="600" y="{26 * i + 17}" class="value">{share:.0%}</text>'
        for i, (name, share) in enumerate(items)
    )
    told = ", ".join(f"{name} {share:.0%}" for name, share in items)
    return svg(rows, 26 * len(items) + 4, told)


def curve(values: np.ndarray, label: str, height: int = 70) -> str:
    """(T,) signed values as filled steps over and under a middle line, as wide as the page."""
    top = float(np.abs(values).max(initial=0.0)) or 1.0
    middle, width = height / 2, 600 / max(len(values), 1)
    drawn = "".join(
        f'<rect x="{i * width:.2f}" y="{middle - max(v, 0) / top * middle:.2f}" '
        f'width="{width + 0.05:.2f}" height="{abs(v) / top * middle:.2f}" '
        f'class="{"raises" if v > 0 else "lowers"}"/>'
        for i, v in enumerate(values)
        if abs(v) > top / 500
    )
    line = f'<line x1="0" y1="{middle}" x2="600" y2="{middle}" class="axis"/>'
    return svg(drawn + line, height, label, stretch=True)


def svg(body: str, height: int, label: str, *, stretch: bool = False) -> str:
    """A picture 600 units wide; `label` is what is read out in its place."""
    how = f' preserveAspectRatio="none" style="height:{height}px"' if stretch else ""
    return (
        f'<svg viewBox="0 0 600 {height}" role="img" aria-label="{escape(label)}"{how}>{body}</svg>'
    )
