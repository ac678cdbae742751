"""An explanation as one HTML page that needs nothing else: no network, no script, no font."""

from __future__ import annotations

from html import escape
from itertools import groupby

import numpy as np
from scipy.ndimage import gaussian_filter

from attune.explain_marks import bars, curve, grey, heat, number, png, scale, tint, waterfall
from attune.explain_style import STYLE
from models.explain.gradients import Attribution
from models.explain.window import Explanation
from models.types import EMOTIONS

NAMES = {"video": "face", "audio": "voice", "text": "words"}
HIDDEN = {
    "video": "the same crops, blurred until no feature is left",
    "audio": "silence in every band",
    "text": "every word hidden",
}
PRIVACY = (
    "This page shows a person's face and words. It was written only because it was asked for, and "
    "nothing in it was sent anywhere. Keep it, and delete it, as you would a recording."
)


def page(explanation: Explanation, title: str, revision: str) -> str:
    """The whole document."""
    seconds = [t / 1e9 for t in (explanation.material.start_ns, explanation.material.end_ns)]
    where = f"{escape(title)}, {seconds[0]:.1f} to {seconds[1]:.1f} s"
    body = "".join(
        [
            f"<header><h1>Why this score</h1><p>{where}</p></header>",
            f'<p class="note">{PRIVACY}</p>',
            _score(explanation),
            _contributions(explanation),
            *(
                section(explanation)
                for m, section in (("text", _words), ("video", _faces), ("audio", _sound))
                if m in explanation.parts
            ),
            _method(explanation, revision),
        ]
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}: why this score</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _score(explanation: Explanation) -> str:
    scores = explanation.material.scores
    assert scores.sentiment is not None and scores.emotions is not None
    assert scores.sentiment_low is not None and scores.sentiment_high is not None
    low, high = scores.sentiment_low, scores.sentiment_high
    ranked = sorted(zip(EMOTIONS, scores.emotions.tolist(), strict=True), key=lambda e: -e[1])
    told = f"sentiment {number(scores.sentiment)}, from {number(low)} to {number(high)}"
    return _section(
        "The score",
        f'<p class="figure">{number(scores.sentiment)}<small>sentiment; 80 % interval '
        f"{number(low)} to {number(high)}</small></p>"
        + scale(scores.sentiment, low, high, told)
        + bars(ranked, ranked[0][0]),
    )


def _contributions(explanation: Explanation) -> str:
    shares = explanation.material.scores.contributions
    steps = [(NAMES[m], share) for m, share in shares.items()]
    alone = explanation.material.scores.unimodal
    said = ", ".join(f"{NAMES[m]} {number(alone[m].sentiment)}" for m in alone)
    return _section(
        "What each modality adds",
        waterfall(("nothing known", explanation.prior), steps, "score")
        + f"<p>Exact Shapley values: the mean of what a modality changes over all orders in which "
        f"the modalities could be added. On their own they say: {said}.</p>",
    )


def _words(explanation: Explanation) -> str:
    parts = explanation.parts["text"]
    rows = [_target(name, parts[name], _sentences(explanation, parts[name])) for name in parts]
    return _section("The words", "".join(rows))


def _sentences(explanation: Explanation, part: Attribution) -> str:
    top = float(np.abs(part.shares).max(initial=0.0))
    lines = []
    pairs = zip(explanation.words, part.shares.tolist(), strict=True)
    for _, said in groupby(pairs, key=lambda pair: pair[0].text):
        marked = " ".join(
            f'<mark style="background:{tint(share, top)}" title="{number(share, 3)}">'
            f"{escape(word.word)}</mark>"
            for word, share in said
        )
        lines.append(f'<p class="said">{marked}</p>')
    ranked = sorted(
        zip(explanation.words, part.shares.tolist(), strict=True), key=lambda pair: -abs(pair[1])
    )
    table = "".join(
        f"<li>{escape(word.word)} <b>{number(share, 3)}</b></li>" for word, share in ranked[:5]
    )
    return "".join(lines) + f'<ol class="top">{table}</ol>'


def _faces(explanation: Explanation) -> str:
    assert explanation.crops is not None
    plain = [png(grey(crop)) for crop in explanation.crops]
    rows = [
        _row("as seen", "".join(f'<span><img src="{p}" alt="face crop"></span>' for p in plain))
    ]
    for name, part in explanation.parts["video"].items():
        soft = np.stack([gaussian_filter(each, 1.0) for each in part.shares])
        top = float(np.quantile(np.abs(soft), 0.995))
        faces = "".join(
            f'<span><img src="{face}" alt="face crop">'
            f'<img class="over" src="{png(heat(shares, top))}" alt="where it raises or lowers">'
            f"<i>{number(float(raw.sum()), 3)}</i></span>"
            for face, shares, raw in zip(plain, soft, part.shares, strict=True)
        )
        rows.append(_target(name, part, _row("", faces)))
    return _section("The face", "".join(rows))


def _row(label: str, cells: str) -> str:
    head = f"<h3>{label}</h3>" if label else ""
    return f'{head}<div class="faces">{cells}</div>'


def _sound(explanation: Explanation) -> str:
    sound = explanation.sound
    assert sound is not None
    unheard = np.isnan(sound.mel)
    level = np.clip((np.where(unheard, -2, sound.mel) + 2) / 4, 0, 1)
    ink = (level.T[::-1] * 255).astype(np.uint8)
    alpha = np.where(unheard.T[::-1], 0, 255).astype(np.uint8)
    picture = png(np.dstack([ink, ink, ink, alpha]))
    begin = sound.start_ns / 1e9
    end = begin + len(sound.mel) * sound.step_ns / 1e9
    axis = f'<p class="axis-row"><span>{begin:.2f} s</span><span>{end:.2f} s</span></p>'
    rows = []
    for name, part in explanation.parts["audio"].items():
        soft = gaussian_filter(part.shares, 1.5)
        top = float(np.quantile(np.abs(soft), 0.995))
        over = png(heat(soft.T[::-1], top))
        bands = gaussian_filter(part.shares.sum(0), 1.0)
        drawn = (
            '<div class="sound"><div class="spectrum">'
            f'<img src="{picture}" alt="spectrogram, 60 Hz below to 7.6 kHz above">'
            f'<img class="over" src="{over}" alt="where it raises or lowers"></div>'
            + curve(gaussian_filter(part.shares.sum(1), 2.0), "share over time")
            + axis
            + f"</div><p>Most by pitch: {_bands(bands)}.</p>"
        )
        rows.append(_target(name, part, drawn))
    return _section("The voice", "".join(rows))


def _bands(bands: np.ndarray) -> str:
    """The two strongest thirds of the mel scale in words."""
    edges = [60 + 0, *_hertz(np.array([1, 2, 3]) / 3)]
    thirds = [
        (f"{low:.0f} to {high:.0f} Hz", float(part.sum()))
        for low, high, part in zip(edges, edges[1:], np.array_split(bands, 3), strict=False)
    ]
    thirds.sort(key=lambda third: -abs(third[1]))
    return ", ".join(f"{name} {number(share, 3)}" for name, share in thirds)


def _hertz(share: np.ndarray) -> list[float]:
    low, high = 2595 * np.log10(1 + np.array([60.0, 7600.0]) / 700)
    return (700 * (10 ** ((low + share * (high - low)) / 2595) - 1)).tolist()


def _target(name: str, part: Attribution, body: str) -> str:
    what = "sentiment" if name == "sentiment" else f"probability of {name}"
    return (
        f"<h3>{what}: {_value(name, part.output)} "
        f"<small>({_value(name, part.baseline_output)} without; the "
        f"shares sum to {number(part.change + part.gap)})</small></h3>{body}"
    )


def _value(name: str, value: float) -> str:
    return number(value) if name == "sentiment" else f"{value:.2f}"


def _method(explanation: Explanation, revision: str) -> str:
    hidden = "".join(f"<li><b>{NAMES[m]}</b> against {HIDDEN[m]}</li>" for m in explanation.parts)
    rows = "".join(
        f"<tr><td>{NAMES[m]}</td><td>{name}</td><td>{number(part.change, 4)}</td>"
        f"<td>{number(part.change + part.gap, 4)}</td><td>{number(part.gap, 5)}</td>"
        f"<td>{part.steps}</td></tr>"
        for m, parts in explanation.parts.items()
        for name, part in parts.items()
    )
    return _section(
        "How this was found",
        '<p><span class="key raises">blue raises</span> <span class="key lowers">orange lowers'
        "</span></p><p>Integrated gradients (Sundararajan et al. 2017) of what each modality says "
        f"on its own, on the way from a baseline that shows nothing:</p><ul>{hidden}</ul>"
        "<p>The shares must sum to what the modality changed; the gap is the error of the "
        "numerical integral.</p><table><tr><th>modality</th><th>of</th><th>change</th>"
        f"<th>sum of shares</th><th>gap</th><th>steps</th></tr>{rows}</table>"
        "<p>A share tells what the model made use of, not what the person felt.</p>"
        f"<p>Model {escape(revision)}.</p>",
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"
