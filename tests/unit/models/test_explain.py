"""Explanations: shares add up, the explained score is the result's own, deletion hurts."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
import torch
from model_scenes import HOP_NS, START_NS, hop, says, windows

from models import weights
from models.analyser import Analyser
from models.errors import DataError, ExplainError
from models.explain.fidelity import drop
from models.explain.gradients import integrate, require_captum
from models.explain.material import Material, Recorder
from models.explain.samples import SAMPLES
from models.explain.senses import QUIET, blurred, check_target
from models.explain.subwords import embeddings, hidden, tokenise
from models.explain.window import Explanation, explain, senses_of
from models.network import Network

pytest.importorskip("captum")
SENTENCE = "I really don't like this terrible, AWFUL film!"


@pytest.fixture(scope="module")
def analyser() -> Analyser:
    """In floats, as `attune explain` takes it: gradients pass through nothing else."""
    analyser = Analyser.load(device="cpu", runtime="onnx")
    analyser.limit = np.inf
    return analyser


@pytest.fixture(scope="module")
def network() -> Network:
    return Network.load(weights.SHIPPED)


def caught(analyser: Analyser, at_s: float) -> Material:
    hops = [hop(i, texts=says(i, SENTENCE) if i == 3 else ()) for i in range(8)]
    found: list[bool] = []
    recorder = Recorder(analyser, START_NS + int(at_s * 1e9), lambda: found.append(True))
    for window in windows("explained", hops):
        recorder.step([window])
    recorder.forget("explained")
    assert found == [True]
    assert recorder.material is not None
    return recorder.material


@pytest.fixture(scope="module")
def material(analyser: Analyser) -> Material:
    return caught(analyser, 2.7)


@pytest.fixture(scope="module")
def explanation(network: Network, material: Material) -> Explanation:
    return explain(network, material, 0.0, ("sentiment",))


def test_the_window_is_the_one_whose_newest_hop_holds_the_instant(material: Material) -> None:
    assert material.start_ns == START_NS + 2 * HOP_NS
    assert material.end_ns == START_NS + 6 * HOP_NS
    assert [part.start_ns for part in material.faces] == [
        START_NS + i * HOP_NS for i in range(2, 6)
    ]


def test_an_early_instant_falls_into_the_first_window(analyser: Analyser) -> None:
    assert caught(analyser, 0.0).start_ns == START_NS


def test_an_instant_beyond_the_end_catches_nothing(analyser: Analyser) -> None:
    recorder = Recorder(analyser, START_NS + 60_000_000_000, lambda: pytest.fail("found"))
    for window in windows("beyond", [hop(i) for i in range(6)]):
        recorder.step([window])
    recorder.forget("beyond")
    assert recorder.material is None
    assert recorder.last_end_ns == START_NS + 6 * HOP_NS


@pytest.mark.parametrize("modality", ["video", "audio", "text"])
def test_what_is_explained_is_what_the_result_says(
    network: Network, material: Material, modality: str
) -> None:
    sense = senses_of(network, material)[modality]
    with torch.no_grad():
        said = float(sense.score(sense.x, "sentiment")[0])
    assert said == pytest.approx(material.scores.unimodal[modality].sentiment, abs=2e-4)


@pytest.mark.parametrize("modality", ["video", "audio", "text"])
def test_shares_sum_to_the_change_of_the_score(explanation: Explanation, modality: str) -> None:
    part = explanation.parts[modality]["sentiment"]
    assert part.shares.sum(dtype=np.float64) == pytest.approx(part.change, abs=0.01)
    assert abs(part.gap) <= 0.02 * max(abs(part.change), 0.05)
    assert np.abs(part.shares).sum() > 0


def test_every_written_word_has_a_share(explanation: Explanation) -> None:
    assert [SENTENCE[w.start : w.end] for w in explanation.words] == SENTENCE.split()
    columns = [c for w in explanation.words for c in w.columns]
    assert len(columns) == len(set(columns)) >= len(explanation.words)


def test_a_word_of_dislike_lowers_the_sentiment_most(explanation: Explanation) -> None:
    shares = explanation.parts["text"]["sentiment"].shares
    assert explanation.words[int(shares.argmin())].word in ("don't", "terrible,", "AWFUL")
    assert shares.min() < 0


def test_shapes_follow_what_is_shown(explanation: Explanation) -> None:
    assert explanation.crops is not None and explanation.sound is not None
    parts = {m: p["sentiment"].shares.shape for m, p in explanation.parts.items()}
    assert parts["video"] == explanation.crops.shape
    assert parts["audio"] == explanation.sound.mel.shape
    assert parts["text"] == (len(explanation.words),)


def test_a_linear_score_is_attributed_exactly() -> None:
    weight = torch.tensor([2.0, -3.0, 0.5])
    found = integrate(lambda x: x @ weight, torch.ones(1, 3), torch.zeros(1, 3))
    assert found.shares == pytest.approx(weight.numpy(), abs=1e-5)
    assert found.gap == pytest.approx(0, abs=1e-6)


def test_blur_keeps_the_light_and_takes_the_features() -> None:
    torch.manual_seed(0)
    crops = torch.rand(1, 2, 48, 48) * 255
    soft = blurred(crops)
    assert soft.shape == crops.shape
    assert soft.mean() == pytest.approx(float(crops.mean()), rel=0.03)
    assert soft.std() < 0.1 * crops.std()
    assert blurred(torch.full((1, 1, 48, 48), 7.0)) == pytest.approx(7.0, abs=1e-4)


def test_silence_is_the_low_end_of_the_scale() -> None:
    assert pytest.approx(-2.0) == QUIET


def test_unknown_target_lists_the_known_ones() -> None:
    with pytest.raises(ExplainError, match=r"'joy'; expected one of: sentiment, neutral, hap"):
        check_target("joy")


def test_nothing_to_explain_is_said(network: Network, analyser: Analyser) -> None:
    nothing = [hop(i, faces=np.zeros((0, 48, 48), np.uint8), audio=np.zeros(8000, np.float32))
               for i in range(4)]  # fmt: skip
    recorder = Recorder(analyser, START_NS, lambda: None)
    recorder.step(windows("nothing", nothing))
    assert recorder.material is not None
    with pytest.raises(ExplainError, match="not enough evidence"):
        explain(network, recorder.material, 0.0)


def test_without_captum_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def refuse(name: str, *rest: object) -> object:
        if name.startswith("captum"):
            raise ImportError("No module named 'captum'")
        return genuine(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ExplainError, match=r"pip install 'attune\[train\]'") as raised:
        require_captum()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("modality", "n"), [("face", 16), ("words", 24), ("voice", 6)])
def test_deleting_what_matters_hurts_more_than_deleting_at_random(
    network: Network, data, modality: str, n: int
) -> None:
    rng = np.random.default_rng(0)
    try:
        drops = [drop(sample, 0.2, rng) for sample in SAMPLES[modality](network, data, n)]
    except DataError as error:
        pytest.skip(str(error))
    assert len(drops) == n
    assert np.mean([d.top for d in drops]) > np.mean([d.random for d in drops]) + 0.02
    assert np.mean([d.top for d in drops]) > np.mean([d.bottom for d in drops]) + 0.02


@pytest.mark.parametrize(
    "text",
    [
        "Caf\u00e9 \u00c9TAT was n't sooooo good!!",
        "look https://a.b/c \U0001f600 fun",
        "   ",
        "a" * 300,
    ],
)
def test_odd_writing_loses_no_piece(network: Network, text: str) -> None:
    pieces = tokenise([text])
    assert [text[w.start : w.end] for w in pieces.words] == text.split()
    columns = sorted(c for w in pieces.words for c in w.columns)
    assert len(columns) == len(set(columns))
    moved = (embeddings(network.text, pieces) != hidden(network.text, pieces)).any(-1)[0]
    assert set(np.flatnonzero(moved.numpy())) <= set(columns)
