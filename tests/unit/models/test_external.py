"""Encoders from outside, by the real loading code, on tiny models that are made here."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from model_scenes import hop, says, windows
from tiny_external import TEXTS, save_audio_model, save_image_model, save_onnx, save_text_model

from actors.warmup import load_analyser
from attune.config import settings
from models.analyser import Analyser
from models.encoders.external import ExternalSpec, label_matrix, load
from models.errors import ExternalError
from models.evaluate.predictors import open_predictor
from models.labels import VALENCE_VECTOR
from models.types import EMOTIONS
from streaming.errors import UsageError

transformers = pytest.importorskip("transformers")
onnx = pytest.importorskip("onnx")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any attempt at the network fails the test."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("this test touches the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def faces(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, 48, 48), dtype=np.uint8)


def clips() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(0, 0.1, n).astype(np.float32) for n in (4000, 16000, 9000)]


def alike(whole: torch.Tensor, parts: list[torch.Tensor]) -> None:
    torch.testing.assert_close(whole, torch.cat(parts), atol=1e-5, rtol=1e-4)


def test_text_classifier(tmp_path: Path) -> None:
    encoder = load(ExternalSpec(modality="text", huggingface=save_text_model(tmp_path)))
    found = encoder.encode(TEXTS)
    assert found.tokens.shape == (3, 16) and encoder.width == 16
    shares = found.logits.exp()
    assert shares.sum(-1) == pytest.approx(np.ones(3), abs=1e-5)
    assert set(np.flatnonzero(shares[0].numpy() > 1e-4)) == {
        EMOTIONS.index(name) for name in ("happiness", "anger", "neutral")
    }
    assert found.sentiment.numpy() == pytest.approx(shares.numpy() @ VALENCE_VECTOR, abs=1e-5)
    alike(found.tokens, [encoder.tokens([text]) for text in TEXTS])
    alike(found.logits, [encoder.logits([text]) for text in TEXTS])


def test_text_agrees_with_the_library(tmp_path: Path) -> None:
    folder = save_text_model(tmp_path)
    encoder = load(ExternalSpec(modality="text", huggingface=folder))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    batch = transformers.AutoTokenizer.from_pretrained(folder)(TEXTS[0], return_tensors="pt")
    with torch.no_grad():
        shares = model(**batch).logits.softmax(-1)[0]
    ours = encoder.logits([TEXTS[0]]).exp()[0]
    for name, share in zip(("happiness", "anger", "neutral"), shares, strict=True):
        assert float(ours[EMOTIONS.index(name)]) == pytest.approx(float(share), abs=1e-5)


def test_text_longer_than_the_model_takes(tmp_path: Path) -> None:
    encoder = load(ExternalSpec(modality="text", huggingface=save_text_model(tmp_path)))
    assert torch.isfinite(encoder.logits(["bad " * 5000, ""])).all()
    assert encoder.logits([]).shape == (0, 7)


def test_sound_classifier(tmp_path: Path) -> None:
    encoder = load(ExternalSpec(modality="audio", huggingface=save_audio_model(tmp_path)))
    found = encoder.encode(clips())
    assert found.tokens.shape == (3, 16)
    alike(found.logits, [encoder.logits([clip]) for clip in clips()])
    assert float(found.logits[0, EMOTIONS.index("fear")].exp()) < 1e-6


def test_face_classifier(tmp_path: Path) -> None:
    encoder = load(ExternalSpec(modality="video", huggingface=save_image_model(tmp_path)))
    found = encoder.encode(faces(3))
    assert found.tokens.shape == (3, 16) and found.logits.shape == (3, 7)
    alike(found.logits, [encoder.logits(faces(3)[i : i + 1]) for i in range(3)])


def test_onnx_classifier(tmp_path: Path) -> None:
    encoder = load(ExternalSpec(modality="video", onnx=save_onnx(tmp_path)))
    found = encoder.encode(faces(3))
    graph = onnx.load(tmp_path / "tiny.onnx").graph
    weight = onnx.numpy_helper.to_array(graph.initializer[0])
    logits = torch.from_numpy((faces(3).reshape(3, -1) / np.float32(255)) @ weight)
    expected = logits.float().softmax(-1)
    ours = found.logits.exp()[:, [EMOTIONS.index("happiness"), EMOTIONS.index("anger")]]
    assert ours.numpy() == pytest.approx(expected.numpy(), abs=1e-3)
    alike(found.logits, [encoder.logits(faces(3)[i : i + 1]) for i in range(3)])


def test_a_linear_head_makes_a_classifier_of_an_encoder(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    folder = save_text_model(tmp_path / "model", head=False)
    bare = load(ExternalSpec(modality="text", huggingface=folder))
    assert not bare.classifies
    with pytest.raises(ExternalError, match="no classifier"):
        bare.logits(TEXTS)
    weight, bias = torch.randn(7, 16), torch.randn(7)
    save_file({"weight": weight, "bias": bias}, tmp_path / "head.safetensors")
    whole = load(
        ExternalSpec(modality="text", huggingface=folder, head=str(tmp_path / "head.safetensors"))
    )
    expected = (bare.tokens(TEXTS) @ weight.T + bias).log_softmax(-1)
    torch.testing.assert_close(whole.logits(TEXTS), expected)
    save_file({"weight": torch.randn(7, 8), "bias": bias}, tmp_path / "narrow.safetensors")
    with pytest.raises(ExternalError, match=r"expected weight \(7, 16\)"):
        load(ExternalSpec(
            modality="text", huggingface=folder, head=str(tmp_path / "narrow.safetensors")
        ))  # fmt: skip


def test_labels_are_refused_renamed_or_left_out(tmp_path: Path) -> None:
    folder = save_text_model(tmp_path, ("joy", "LABEL_1", "other"))
    with pytest.raises(ExternalError, match=r"unknown labels LABEL_1, other; give `labels`"):
        load(ExternalSpec(modality="text", huggingface=folder))
    named = {"label_1": "sadness", "other": None}
    encoder = load(ExternalSpec(modality="text", huggingface=folder, labels=named))
    shares = encoder.logits(TEXTS).exp()
    assert shares[:, [1, 2]].sum(-1).numpy() == pytest.approx(np.ones(3), abs=1e-5)
    with pytest.raises(ExternalError, match="no label 'nope'"):
        label_matrix(("joy",), {"nope": "anger"}, "x")
    with pytest.raises(ExternalError, match="every label is left out"):
        label_matrix(("joy",), {"joy": None}, "x")


def test_nothing_is_fetched_unless_asked() -> None:
    assert os.environ.get("HF_TOKEN") is None
    with pytest.raises(ExternalError, match="set allow_download: true"):
        load(ExternalSpec(modality="text", huggingface="somebody/some-model-not-here"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input": "image"}, "no input 'image'; the model has: pixels"),
        ({"output": "out"}, "no output 'out'; the model has: logits"),
        ({"labels": ["happy"]}, "expected 1 outputs"),
        ({"labels": ["happy", "grumpy"]}, "unknown labels grumpy"),
        ({"size": [32, 32]}, "onnx model tiny.onnx"),
        ({"modality": "text"}, "expected a video model, got one for text"),
        ({"model": "gone.onnx"}, "no such file"),
        ({"colour": "red"}, "unknown field `colour`"),
    ],
)
def test_descriptions_that_do_not_fit(tmp_path: Path, changes, words) -> None:
    with pytest.raises(ExternalError, match=words) as raised:
        load(ExternalSpec(modality="video", onnx=save_onnx(tmp_path, **changes)))
    assert "\n" not in str(raised.value)


def test_files_that_are_missing_or_broken(tmp_path: Path) -> None:
    with pytest.raises(ExternalError, match="no such folder"):
        load(ExternalSpec(modality="text", huggingface=str(tmp_path / "nothing")))
    with pytest.raises(ExternalError, match="no such file"):
        load(ExternalSpec(modality="video", onnx=str(tmp_path / "nothing.json")))
    path = save_onnx(tmp_path)
    (tmp_path / "tiny.onnx").write_bytes((tmp_path / "tiny.onnx").read_bytes()[:200])
    with pytest.raises(ExternalError, match="cannot be loaded"):
        load(ExternalSpec(modality="video", onnx=path))
    folder = Path(save_text_model(tmp_path / "text"))
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ExternalError, match="not a text model") as raised:
        load(ExternalSpec(modality="text", huggingface=str(folder)))
    assert "\n" not in str(raised.value)


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = Path(save_text_model(tmp_path))
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ExternalError):
        load(ExternalSpec(modality="text", huggingface=str(folder)))


def test_a_model_of_another_modality(tmp_path: Path) -> None:
    folder = save_image_model(tmp_path)
    for modality in ("text", "audio"):
        with pytest.raises(ExternalError, match=r"text model|audio model"):
            load(ExternalSpec(modality=modality, huggingface=folder))
    with pytest.raises(ExternalError, match="expected one of: video, audio, text"):
        load(ExternalSpec(modality="smell", huggingface=folder))
    with pytest.raises(ExternalError, match="either"):
        load(ExternalSpec(modality="text"))


def test_the_analyser_takes_them_in(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "face").mkdir()
    text = load(ExternalSpec(modality="text", huggingface=save_text_model(tmp_path / "text")))
    face = load(ExternalSpec(modality="video", onnx=save_onnx(tmp_path / "face")))
    analyser = Analyser.load(device="cpu", external=(text, face))
    assert analyser.revision != Analyser.load(device="cpu").revision
    hops = [hop(i, texts=says(i, TEXTS[0]) if i == 1 else ()) for i in range(4)]
    (scores,) = analyser.step(windows("plugged", hops))
    said = text.logits([TEXTS[0]]).exp()[0]
    assert scores.unimodal["text"].emotions == pytest.approx(said.numpy(), abs=1e-4)
    assert scores.unimodal["text"].sentiment == pytest.approx(
        float(text.sentiment([TEXTS[0]])[0]), abs=1e-4
    )
    shown = torch.stack([face.logits(each.faces).mean(0) for each in hops]).mean(0).log_softmax(-1)
    assert scores.unimodal["video"].emotions == pytest.approx(shown.exp().numpy(), abs=1e-3)
    assert "audio" in scores.unimodal
    total = analyser.sentiment_prior + sum(scores.contributions.values())
    assert scores.sentiment == pytest.approx(total, abs=1e-5)


def test_the_analyser_needs_emotions_and_spectra(tmp_path: Path) -> None:
    bare = load(ExternalSpec(
        modality="text", huggingface=save_text_model(tmp_path / "t", head=False)
    ))  # fmt: skip
    with pytest.raises(ExternalError, match="needs emotions"):
        Analyser.load(device="cpu", external=(bare,))
    sound = load(ExternalSpec(modality="audio", huggingface=save_audio_model(tmp_path / "a")))
    with pytest.raises(ExternalError, match="attune evaluate"):
        Analyser.load(device="cpu", external=(sound,))


def test_as_predictors_of_attune_evaluate(tmp_path: Path) -> None:
    (tmp_path / "face").mkdir()
    folder = save_text_model(tmp_path / "text")
    name, text = open_predictor("text", f"hf:{folder}")
    emotions, sentiment = text.predict(TEXTS, None)
    assert name == f"hf:{folder}" and emotions.shape == (3, 7) and sentiment.shape == (3,)
    _, face = open_predictor("faces", f"onnx:{save_onnx(tmp_path / 'face')}")
    shares = face.predict(faces(70))
    assert shares.shape == (70, 8) and shares.sum(1) == pytest.approx(np.ones(70), abs=1e-5)
    assert shares[:, 7].max() == 0
    _, voice = open_predictor("speech", f"hf:{save_audio_model(tmp_path / 'voice')}")
    assert voice.predict(clips()).shape == (3, 8)
    with pytest.raises(ExternalError, match="not mosi"):
        open_predictor("mosi", f"hf:{folder}")


def test_as_settings_of_the_live_pipeline(tmp_path: Path) -> None:
    folder = save_text_model(tmp_path)
    tree = {"model": {"device": "cpu", "text": {"huggingface": folder}}}
    analyser = load_analyser(settings(tree).model)
    (scores,) = analyser.step(windows("set", [hop(i, texts=says(i, TEXTS[1])) for i in range(4)]))
    named = load(ExternalSpec(modality="text", huggingface=folder)).logits([TEXTS[1]]).exp()[0]
    assert scores.unimodal["text"].emotions == pytest.approx(named.numpy(), abs=1e-4)
    with pytest.raises(UsageError, match=r"^model.faces: huggingface .*no such folder"):
        load_analyser(settings({"model": {"faces": {"huggingface": "/nowhere"}}}).model)
    with pytest.raises(UsageError, match="did you mean 'huggingface'"):
        settings({"model": {"text": {"hugginface": "x"}}})
