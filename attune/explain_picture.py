"""An explanation as one PNG picture, drawn by Matplotlib (extra `train`)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import gaussian_filter

from attune.explain_marks import LOWERS, RAISES, number
from models.explain.window import Explanation
from models.types import EMOTIONS
from streaming.errors import AttuneError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_UP, _DOWN = ("#{:02x}{:02x}{:02x}".format(*colour) for colour in (RAISES, LOWERS))
_WORDS = 24  # the strongest; more do not fit


def picture(explanation: Explanation, title: str, revision: str) -> bytes:
    """The bytes of the picture: a row for the score, then one for each target."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise AttuneError(
            f"a picture needs Matplotlib, got {error}; install it: pip install 'attune[train]', "
            "or write a page: --output page.html"
        ) from None
    columns = len(explanation.parts)
    figure = Figure(figsize=(4.4 * max(columns, 2), 3.1 * (1 + len(explanation.targets))), dpi=110)
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained")
    grid = figure.subplots(1 + len(explanation.targets), max(columns, 2), squeeze=False)
    _contributions(grid[0, 0], explanation)
    _emotions(grid[0, 1], explanation)
    for spare in (*grid[0, 2:], *grid[1:, columns:].flat):
        spare.axis("off")
    for row, name in enumerate(explanation.targets, 1):
        for column, modality in enumerate(explanation.parts):
            _DRAWN[modality](grid[row, column], explanation, name)
    material = explanation.material
    span = f"{material.start_ns / 1e9:.1f} to {material.end_ns / 1e9:.1f} s"
    figure.suptitle(f"{title}, {span}: why this score (model {revision})", fontsize=12)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _contributions(axes: Axes, explanation: Explanation) -> None:
    scores = explanation.material.scores
    assert scores.sentiment is not None
    shares = {"nothing known": explanation.prior, **scores.contributions}
    _bars(axes, list(shares), list(shares.values()))
    axes.set_title(f"sentiment {number(scores.sentiment)}: what each modality adds", fontsize=9)


def _emotions(axes: Axes, explanation: Explanation) -> None:
    assert explanation.material.scores.emotions is not None
    axes.barh(EMOTIONS, explanation.material.scores.emotions, color="#8a97a5")
    axes.invert_yaxis()
    axes.set_title("emotions", fontsize=9)


def _words(axes: Axes, explanation: Explanation, name: str) -> None:
    shares = explanation.parts["text"][name].shares
    strongest = np.sort(np.argsort(-np.abs(shares))[:_WORDS])
    labels = [f"{i + 1}. {explanation.words[i].word[:20]}" for i in strongest]
    _bars(axes, labels, shares[strongest].tolist())
    axes.set_title(_title("words", explanation, "text", name), fontsize=9)


def _face(axes: Axes, explanation: Explanation, name: str) -> None:
    assert explanation.crops is not None
    shares = explanation.parts["video"][name].shares
    axes.imshow(explanation.crops.mean(0), cmap="gray", vmin=0, vmax=255)
    _overlay(axes, gaussian_filter(shares.sum(0), 1.0), None)
    axes.axis("off")
    axes.set_title(_title(f"face, mean of {len(shares)}", explanation, "video", name), fontsize=9)


def _voice(axes: Axes, explanation: Explanation, name: str) -> None:
    sound = explanation.sound
    assert sound is not None
    begin = sound.start_ns / 1e9
    extent = (begin, begin + len(sound.mel) * sound.step_ns / 1e9, 0, sound.mel.shape[1])
    axes.imshow(sound.mel.T, cmap="gray", aspect="auto", origin="lower", extent=extent)
    shares = explanation.parts["audio"][name].shares
    _overlay(axes, gaussian_filter(shares, 1.5).T, extent)
    axes.set(xlabel="s", ylabel="mel band")
    axes.set_title(_title("voice", explanation, "audio", name), fontsize=9)


def _overlay(axes: Axes, shares: np.ndarray, extent: Any) -> None:
    top = float(np.quantile(np.abs(shares), 0.995)) or 1.0
    colours = np.where(shares[..., None] > 0, RAISES, LOWERS) / 255
    pixels = np.dstack([colours, np.clip(np.abs(shares) / top, 0, 1) * 0.8])
    axes.imshow(
        pixels,
        aspect="auto" if extent else "equal",
        origin="upper" if extent is None else "lower",
        extent=extent,
    )


def _bars(axes: Axes, names: list[str], values: list[float]) -> None:
    at = np.arange(len(names))
    axes.barh(at, values, color=[_UP if v > 0 else _DOWN for v in values])
    axes.set_yticks(at, names, fontsize=7 if len(names) > 12 else 9)
    axes.invert_yaxis()
    axes.axvline(0, color="#5b6570", linewidth=0.8)


def _title(what: str, explanation: Explanation, modality: str, name: str) -> str:
    part = explanation.parts[modality][name]
    return f"{what}: {name} {number(part.output)} ({number(part.baseline_output)} without)"


_DRAWN = {"text": _words, "video": _face, "audio": _voice}
