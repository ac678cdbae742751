"""The streaming laws over all parts: context and sounds too, in every way to run the network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_scenes import hop, no_faces, says, vowel, windows

from models import weights
from models.analyser import Analyser, Runtime
from models.errors import WeightsError
from models.export import export
from models.labels import SOUNDS
from models.types import Hop, Scores

LINES = ("I got the job!", "no way...", "this is awful", "ok", "thanks a lot", "why would you?")
ARRAYS = ("emotions", "sentiment", "sentiment_low", "sentiment_high", "arousal")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped parts, and the graphs of all of them."""
    path = Path(shutil.copytree(weights.SHIPPED, tmp_path_factory.mktemp("laws") / "weights"))
    pytest.importorskip("onnx", reason="needs onnx to make graphs")
    export(path)
    return path


@pytest.fixture(scope="module", params=["int8", "onnx", "torch"])
def whole(request: pytest.FixtureRequest, folder: Path) -> Analyser:
    analyser = Analyser.load(folder, device="cpu", runtime=request.param)
    analyser.limit = np.inf
    return analyser


def run(analyser: Analyser, stream: str, hops: list[Hop]) -> list[Scores]:
    analyser.forget(stream)
    return [analyser.step([window])[0] for window in windows(stream, hops)]


def talk(seed: int, count: int = 8) -> list[Hop]:
    """Somebody who is seen, heard and read; what is seen and read changes with the seed."""
    return [
        hop(i, faces=hop(i + 31 * seed).faces, texts=says(i, LINES[(i + seed) % len(LINES)]))
        for i in range(count)
    ]


def assert_same(a: Scores, b: Scores, tolerance: float) -> None:
    assert set(a.unimodal) == set(b.unimodal)
    assert (a.sentiment is None) == (b.sentiment is None)
    for name in ARRAYS if a.sentiment is not None else ():
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=tolerance)
    for name, alone in a.unimodal.items():
        np.testing.assert_allclose(alone.emotions, b.unimodal[name].emotions, atol=tolerance)
    assert a.sounds == pytest.approx(b.sounds, abs=tolerance)


def test_the_two_runtimes_agree(folder: Path) -> None:
    both = [Analyser.load(folder, device="cpu", runtime=name) for name in ("onnx", "torch")]
    for analyser in both:
        analyser.limit = np.inf
    for a, b in zip(*(run(analyser, "s", talk(1)) for analyser in both), strict=True):
        assert_same(a, b, 1e-4)


def test_the_shipped_graphs_fit_the_shipped_weights(recwarn: pytest.WarningsRecorder) -> None:
    """A graph that was made from another encoder would give other scores, or a warning."""
    both = [Analyser.load(device="cpu", runtime=name) for name in ("onnx", "torch")]
    listed = set(weights.read_manifest(weights.SHIPPED)["graphs"])
    assert listed == set(both[0].stages)
    assert not [w for w in recwarn if "made for another layout" in str(w.message)]
    for analyser in both:
        analyser.limit = np.inf
    for a, b in zip(*(run(analyser, "s", talk(2)) for analyser in both), strict=True):
        assert_same(a, b, 1e-4)


@settings(max_examples=4, deadline=None)
@given(cut=st.integers(4, 7), seed=st.integers(1, 50))
def test_cutting_the_input_changes_nothing_before(whole, cut, seed) -> None:
    long = run(whole, "long", talk(seed))
    short = run(whole, "short", talk(seed)[:cut])
    other = run(whole, "other", talk(seed)[:cut] + talk(seed + 1)[cut:])
    for a, b, c in zip(short, long, other, strict=False):
        assert_same(a, b, 0.0)
        assert_same(a, c, 0.0)


def test_how_streams_share_a_batch_changes_nothing(whole: Analyser) -> None:
    people = [talk(1), talk(2), [hop(i, faces=no_faces()) for i in range(8)], talk(3)]
    alone = [run(whole, f"alone-{i}", hops) for i, hops in enumerate(people)]
    lines = [windows(f"together-{i}", hops) for i, hops in enumerate(people)]
    for step in range(len(lines[0])):
        for i, scores in enumerate(whole.step([line[step] for line in lines])):
            assert_same(scores, alone[i][step], 1e-5)


@pytest.mark.parametrize("length", [25, 26, 49, 74, 125, 424])
def test_hops_of_any_length_are_heard_the_same_by_graph_and_by_torch(
    folder: Path, length: int
) -> None:
    both = [Analyser.load(folder, device="cpu", runtime=name) for name in ("onnx", "torch")]
    frames = np.random.default_rng(0).normal(-0.5, 0.4, (2, length, 64)).astype(np.float32)
    graph, torch = (analyser.stages["trunk"](frames)[0] for analyser in both)
    np.testing.assert_allclose(graph, torch, atol=1e-4)


def test_a_text_is_encoded_once_and_read_after_the_eight_before_it(
    whole: Analyser, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded, lengths = [], []
    text, context = whole.stages["text"], whole.stages["context"]
    monkeypatch.setitem(whole.stages, "text", lambda *x: (encoded.append(len(x[0])), text(*x))[1])
    monkeypatch.setitem(
        whole.stages, "context", lambda *x: (lengths.extend(x[1].sum(1)), context(*x))[1]
    )
    run(whole, "dialogue", talk(0, 12))
    assert sum(encoded) == 12
    assert lengths == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8]


def test_a_dialogue_is_forgotten_with_its_stream(whole: Analyser) -> None:
    first = run(whole, "again", talk(4))
    for a, b in zip(first, run(whole, "again", talk(4)), strict=True):
        assert_same(a, b, 0.0)


def test_sounds_are_heard_where_nobody_speaks_and_only_with_a_microphone(whole: Analyser) -> None:
    rng = np.random.default_rng(0)
    rain = [
        hop(i, faces=no_faces(), audio=rng.normal(0, 0.05, 8000).astype(np.float32))
        for i in range(5)
    ]
    for scores in run(whole, "rain", rain):
        assert set(scores.sounds) == set(SOUNDS)
        assert 0 <= sum(scores.sounds.values()) <= 1 + 1e-5
    deaf = [hop(i, audio_coverage=0.0) for i in range(5)]
    assert all(scores.sounds == {} for scores in run(whole, "deaf", deaf))


BAD = {
    "nan": np.full(8000, np.nan, np.float32),
    "inf": np.full(8000, np.inf, np.float32),
    "5 ms": vowel(1.0)[:80],
    "nothing": np.zeros(0, np.float32),
    "clipped": np.sign(vowel(1.0)[:8000]) * 3,
}


@pytest.mark.parametrize("audio", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("shown", [True, False])
def test_never_nan(whole: Analyser, audio: np.ndarray, shown: bool) -> None:
    text = says(1, "it is bad " * 10_000)  # 100,000 characters
    hops = [
        hop(i, audio=audio, faces=hop(i).faces if shown else no_faces(),
            texts=text if i == 1 else ())
        for i in range(6)
    ]  # fmt: skip
    for scores in run(whole, "bad", hops):
        for alone in scores.unimodal.values():
            assert np.isfinite(alone.emotions).all() and np.isfinite(alone.sentiment)
        assert np.isfinite(list(scores.sounds.values())).all()
        if scores.sentiment is not None:
            assert np.isfinite([scores.sentiment, scores.sentiment_low, scores.arousal]).all()


def test_too_wide_an_interval_is_not_enough_evidence(
    whole: Analyser, monkeypatch: pytest.MonkeyPatch
) -> None:
    sure = run(whole, "sure", talk(5))
    monkeypatch.setattr(whole, "limit", 0.0)
    for scores, before in zip(run(whole, "unsure", talk(5)), sure, strict=True):
        assert scores.sentiment is scores.emotions is scores.arousal is None
        assert scores.contributions == {}
        assert set(scores.unimodal) == set(before.unimodal)


@pytest.mark.parametrize(("listed", "runtime"), [("graphs", "onnx"), ("graphs_int8", "int8")])
def test_a_stale_graph_is_said_and_not_used(
    folder: Path, tmp_path: Path, listed: str, runtime: Runtime
) -> None:
    path = Path(shutil.copytree(folder, tmp_path / "weights"))
    manifest = json.loads((path / weights.MANIFEST).read_text())
    shapes = manifest[listed]["trunk"]["weights"]
    shapes[next(iter(shapes))] = [1, 2, 3]
    (path / weights.MANIFEST).write_text(json.dumps(manifest))
    with pytest.warns(UserWarning, match=r"another layout .* python -m models\.export"):
        analyser = Analyser.load(path, device="cpu", runtime=runtime)
    assert np.isfinite(run(analyser, "s", talk(1))[0].unimodal["audio"].sentiment)


def test_graphs_of_a_network_without_sounds_are_not_used_for_one_with_them(
    folder: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(folder, tmp_path / "weights"))
    manifest = json.loads((path / weights.MANIFEST).read_text())
    del manifest["parts"]["sounds"]
    (path / weights.MANIFEST).write_text(json.dumps(manifest))
    with pytest.warns(UserWarning, match="another layout of the network"):
        analyser = Analyser.load(path, device="cpu")
    assert all(scores.sounds == {} for scores in run(analyser, "s", talk(1)))
    analyser.stages["trunk"] = lambda *_: pytest.fail("nobody speaks, and no sound is named")
    rain = np.random.default_rng(0).normal(0, 0.05, 8000).astype(np.float32)
    run(analyser, "rain", [hop(0, faces=no_faces(), audio=rain)])


def test_graphs_are_guarded_by_their_hash(
    folder: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    path = Path(shutil.copytree(folder, tmp_path / "weights"))
    harm(path / "window.graph.onnx")
    with pytest.raises(WeightsError, match=r"expected (SHA-256|.* bytes)"):
        Analyser.load(path, device="cpu")


@pytest.fixture(params=["cut", "altered"])
def harm(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[50] ^= 1
        path.write_bytes(content[:100] if request.param == "cut" else content)

    return damage
