"""CMU-MOSI: reading, parts, the task and the predictor, on a small made-up file."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from models import weights
from models.data.mosi import AUDIO_D, held_out, load_mosi
from models.encoders.text import TOKEN_D, TextEncoder
from models.errors import ChoiceError, DataError, RecipeError, WeightsError
from models.mosi import LIMIT, Mosi, MosiNetwork
from models.predictors import mosi as predictors
from models.threads import limit_threads
from models.train.mosi import SUBSETS, build
from models.train.recipe import Recipe

limit_threads(1)
VIDEOS = 18
RECIPE = Recipe(task="mosi", model="gated", epochs=1, batch=4, learning_rate=1e-3)


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """Videos of one to five utterances whose sound tells the sentiment; video14 is held out."""
    rng = np.random.default_rng(seed)
    video = np.repeat(np.arange(VIDEOS), rng.integers(1, 6, VIDEOS))
    n = len(video)
    sentiment = rng.uniform(-3, 3, n).astype(np.float32)
    audio = rng.normal(size=(n, AUDIO_D)).astype(np.float32)
    audio[:, 0] = sentiment * 100
    return {
        "text": np.array([f"IT WAS {'GOOD' if s > 0 else 'BAD'}" for s in sentiment]),
        "sentiment": sentiment,
        "video_id": np.array([f"video{v}" for v in video]),
        "segment": rng.permutation(n),
        "audio_opensmile73": audio,
        "split": np.where(video < VIDEOS - 3, "train", "valid"),
    }


def written(folder: Path, **changed: np.ndarray | None) -> Path:
    made = {k: v for k, v in (arrays() | changed).items() if v is not None}
    path = folder / "any_name.npz"
    np.savez(path, **made)
    return path


def recipe(folder: Path, path: Path, **changes: object) -> Recipe:
    tokens = folder / "tokens.npy"
    n = len(load_mosi(path))
    np.save(tokens, np.random.default_rng(1).normal(size=(n, 8)).astype(np.float32))
    data = {"tokens": str(tokens), **changes.pop("data", {})}
    return msgspec.structs.replace(RECIPE, data=data, **changes)


def test_no_video_is_in_two_parts_and_every_row_is_in_one(tmp_path: Path) -> None:
    segments = load_mosi(written(tmp_path))
    parts = {name: set(segments.part(name).video) for name in ("train", "valid", "test")}
    assert all(parts.values())
    assert not parts["train"] & parts["test"]
    assert not parts["valid"] & (parts["train"] | parts["test"])
    assert sum(segments.rows(name).sum() for name in parts) == len(segments)
    assert all(held_out(video) for video in parts["test"])


def test_videos_are_in_the_order_in_which_they_were_said(tmp_path: Path) -> None:
    segments = load_mosi(written(tmp_path))
    videos = segments.videos()
    assert sorted(np.concatenate(videos)) == list(range(len(segments)))
    for rows in videos:
        assert len(set(segments.video[rows])) == 1
        assert (np.diff(segments.segment[rows]) > 0).all()


def test_a_file_without_a_split_is_read(tmp_path: Path) -> None:
    assert set(load_mosi(written(tmp_path, split=None)).split) == {""}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"text": None}, "missing text"),
        ({"sentiment": np.zeros(3, np.float32)}, "rows in sentiment"),
        ({"audio_opensmile73": np.zeros((1, 5), np.float32)}, "rows in audio"),
        ({k: np.zeros(0) for k in arrays()}, "at least one utterance"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, changed: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_mosi(written(tmp_path, **changed))


def test_what_is_no_archive_or_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found nothing"):
        load_mosi(tmp_path)
    (tmp_path / "broken.npz").write_bytes(b"PK no archive")
    with pytest.raises(DataError, match="expected an npz"):
        load_mosi(tmp_path / "broken.npz")
    far = np.full_like(arrays()["sentiment"], 4.0)
    with pytest.raises(DataError, match=r"in \[-3, 3\]"):
        load_mosi(written(tmp_path, sentiment=far))


def test_an_epoch_is_a_function_of_seed_and_number(tmp_path: Path) -> None:
    path = written(tmp_path)
    task = build(recipe(tmp_path, path), path, tmp_path)
    first, again, other = (list(task.batches(e)) for e in (0, 0, 1))
    assert len(first) == task.steps
    for a, b in zip(first, again, strict=True):
        torch.testing.assert_close(a, b, equal_nan=True)
    assert any(x[0].shape != y[0].shape or not torch.equal(x[2], y[2])
               for x, y in zip(first, other, strict=True))  # fmt: skip


def test_modality_dropout_never_hides_both(tmp_path: Path) -> None:
    path = written(tmp_path)
    often = {"hide_video": 0.9, "hide_step": 0.9}
    task = build(recipe(tmp_path, path, data=often), path, tmp_path)
    for text, _, here, sentiment in task.batches(0):
        assert (here.any(-1) == sentiment.isfinite()).all()
        assert not here.all()
        assert text.shape[:2] == here.shape[:2]


def test_a_model_of_one_modality_never_sees_the_other(tmp_path: Path) -> None:
    path = written(tmp_path)
    task = build(recipe(tmp_path, path, data={"only": "audio"}), path, tmp_path)
    assert not any(batch[2][..., 0].any() for batch in task.batches(0))
    assert set(task.finish(task.model())["test"]) == {"audio"}


def test_the_sound_that_tells_the_sentiment_is_learnt(tmp_path: Path) -> None:
    path = written(tmp_path)
    task = build(recipe(tmp_path, path), path, tmp_path)
    torch.manual_seed(0)
    model = task.model().train()
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for epoch in range(25):
        for batch in task.batches(epoch):
            optimiser.zero_grad()
            task.loss(model, batch).backward()
            optimiser.step()
    mae = task.measure(model.eval(), "train", SUBSETS["audio"])["mae"]
    assert mae < 0.7


def test_unknown_and_infinite_features_are_survived() -> None:
    network = MosiNetwork("gated", 8).eval()
    network.standardise(arrays()["audio_opensmile73"])
    audio = torch.from_numpy(arrays()["audio_opensmile73"][:3]).unsqueeze(0).clone()
    audio[0, 0, 5], audio[0, 1, 6], audio[0, 2] = torch.nan, torch.inf, torch.nan
    here = torch.ones(1, 3, 2, dtype=torch.bool)
    here[..., 0] = False
    fused = network(torch.zeros(1, 3, 8), audio, here)
    assert fused.sentiment.isfinite().all()
    assert fused.present.tolist() == [[True, True, False]]  # nothing known: no evidence


def test_a_recipe_that_cannot_be_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    for changes, message in (
        ({"data": {"only": "smell"}}, "data.only"),
        ({"data": {"hide": 1}}, "unknown field `hide`"),
        ({"model": "best"}, "expected one of concat"),
    ):
        with pytest.raises(RecipeError, match=message):
            build(recipe(tmp_path, path, **changes), path, tmp_path)
    np.save(tmp_path / "short.npy", np.zeros((2, 4)))
    short = msgspec.structs.replace(RECIPE, data={"tokens": str(tmp_path / "short.npy")})
    with pytest.raises(DataError, match="rows, got 2"):
        build(short, path, tmp_path)


@pytest.fixture(scope="module")
def untrained() -> Mosi:
    torch.manual_seed(0)
    network = MosiNetwork("mult", TOKEN_D).eval()
    network.standardise(arrays()["audio_opensmile73"])
    return Mosi(network, TextEncoder().eval())


def test_a_prediction_uses_no_later_utterance(untrained: Mosi, tmp_path: Path) -> None:
    segments = load_mosi(written(tmp_path))
    video = segments.take(max(segments.videos(), key=len))
    whole, begin = untrained.predict([video, video.take(np.arange(2))])
    np.testing.assert_allclose(whole[:2], begin, atol=1e-5)
    assert np.abs(whole).max() <= LIMIT
    low, high = untrained.interval(video)
    assert ((low <= whole) & (whole <= high)).all()


def test_hidden_sound_does_not_matter(untrained: Mosi, tmp_path: Path) -> None:
    segments = load_mosi(written(tmp_path))
    video = segments.take(segments.videos()[0])
    changed = type(video)(**{**vars(video), "audio": video.audio + 50})
    a, b = (untrained.predict([v], "audio")[0] for v in (video, changed))
    np.testing.assert_array_equal(a, b)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChoiceError, match="no model 'best'"):
        predictors.load("best")
    weights.save(torch.nn.Linear(2, 2), tmp_path, "other", {})
    with pytest.raises(WeightsError, match="expected a part 'mosi'"):
        predictors.load(str(tmp_path))


def test_another_text_encoder_than_the_one_trained_on_is_refused(tmp_path: Path) -> None:
    made = {"fusion": "gated", "options": {}, "text": "0123456789ab", "text_d": 8}
    weights.save(MosiNetwork("gated", 8), tmp_path, "mosi", {"made": made})
    with pytest.raises(WeightsError, match="trained on, got"):
        Mosi.load(tmp_path)
