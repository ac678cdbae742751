"""The text encoder: batches, padding, odd input, causal context, pieces and stored weights."""

from __future__ import annotations

import string

import numpy as np
import pytest
import torch

from models import weights
from models.data.text import Row, earlier_turns, sst_part
from models.encoders.text import CONTEXT, TOKEN_D, TextEncoder, collate, pad_ids
from models.language import ENGLISH, language_of
from models.predictors.text import Neural, in_context
from models.text import FIRST, LAST, MAX_PIECES, UNKNOWN, encode, pieces

TEXTS = ["no", "I isn't sure.", "well, that was a really good film and I'd see it again"]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return weights.load(TextEncoder(), weights.SHIPPED, "text")


@pytest.fixture(scope="module")
def unlearnt_context(encoder: TextEncoder) -> TextEncoder:
    """A context that surely does something, whatever the shipped one has learnt."""
    torch.manual_seed(0)
    made = TextEncoder().eval()
    torch.nn.init.normal_(made.context.mix.weight, std=0.1)
    return made


@torch.inference_mode()
def test_neither_the_batch_nor_the_padding_changes_a_token(encoder: TextEncoder) -> None:
    together = encoder(*collate(TEXTS))
    alone = torch.cat([encoder(*collate([text])) for text in TEXTS])
    ids, mask = collate(TEXTS)
    wide = torch.nn.functional.pad(ids, (0, 40)), torch.nn.functional.pad(mask, (0, 40))
    assert together.shape == (3, TOKEN_D)
    assert (together - alone).abs().max() < 1e-5
    assert (together - encoder(*wide)).abs().max() < 1e-5


@pytest.mark.parametrize(
    "text", ["", " ", "\x00\x07", "😂😂", "ಠ_ಠ", "привет", "你好吗", "a" * 100_000, "\ud800",
             "good \U0010ffff", "ab " * 33_000]
)  # fmt: skip
def test_any_text_is_read_without_a_crash(encoder: TextEncoder, text: str) -> None:
    ids, mask = collate([text, "fine"])
    with torch.inference_mode():
        tokens = encoder(ids, mask)
    assert ids.shape[1] <= MAX_PIECES
    assert tokens.isfinite().all()
    emotions, said = Neural(encoder).predict([text])
    known = bool(collate([text])[1].any()) and language_of(text) == ENGLISH
    assert np.isfinite(emotions).all() == np.isfinite(said).all() == known


def test_a_text_without_a_known_piece_says_nothing() -> None:
    assert encode(["", "\x00", "你好吗"]) == [[], [], []]


def test_of_a_long_text_both_ends_are_kept() -> None:
    ids = encode(["dreadful " + "the film " * 40_000 + "wonderful"])[0]
    assert len(ids) == MAX_PIECES
    assert (ids[0], ids[-1]) == (FIRST, LAST)
    found = pieces("dreadful " + "the film " * 40_000 + "wonderful")
    assert (found[1], found[-2]) == ("dreadful", "wonderful")


def test_ascii_never_needs_the_unknown_piece() -> None:
    rng = np.random.default_rng(0)
    signs = np.array(list(string.printable))
    texts = ["".join(rng.choice(signs, 60)) for _ in range(300)]
    assert not any(UNKNOWN in ids for ids in encode([*texts, string.printable]))


def test_emoji_and_spelling_become_plain_words() -> None:
    assert pieces("It is n't 😂😂 @bob")[1:-1] == [
        "it", "isn", "'", "t", "face", "with", "tears", "of", "joy", "someone",
    ]  # fmt: skip
    assert encode(["So GOOD"]) == encode(["so good"])


@torch.inference_mode()
def test_context_is_causal_and_neutral_alone(unlearnt_context: TextEncoder) -> None:
    encoder = unlearnt_context
    tokens = torch.randn(2, CONTEXT, TOKEN_D)
    mask = torch.ones(2, CONTEXT, dtype=torch.bool)
    alone = encoder.contextualise(tokens[:, -1:], mask[:, -1:])
    assert torch.equal(alone, tokens[:, -1])
    mask[1, :-1] = False
    seen = encoder.contextualise(tokens, mask)
    assert torch.equal(seen[1], tokens[1, -1])  # hidden turns do not matter
    assert (seen[0] - tokens[0, -1]).abs().max() > 1e-3  # and those that are there do
    line = torch.randn(5, TOKEN_D)
    turns = [list(range(i)) for i in range(5)]
    later = line.clone()
    later[4] += 1
    before, after = in_context(encoder, line, turns), in_context(encoder, later, turns)
    assert torch.equal(before[:4], after[:4])
    assert not torch.equal(before[4], after[4])


def test_earlier_turns_are_those_of_the_same_dialogue() -> None:
    rows = [
        Row("b", None, None, group="1", position=1), Row("x", None, None, group="2", position=0),
        Row("a", None, None, group="1", position=0), Row("c", None, None, group="1", position=2),
    ]  # fmt: skip
    assert earlier_turns(rows) == [[2], [], [], [2, 0]]


def test_a_sentence_of_sst_is_in_one_part_however_it_is_spelt() -> None:
    assert sst_part("re-imagining of beauty .") == sst_part("re imagining of beauty")


def test_four_and_eight_bits_keep_a_matrix() -> None:
    torch.manual_seed(0)
    state = {"words.x": torch.randn(64, 128), "other": torch.randn(64, 128)}
    packed = weights.pack(state, {"words": 4, "": 8})
    back = weights.unpack(packed)
    assert packed["words.x"].shape == (64, 64)
    assert packed["other"].dtype == torch.int8
    for name, most in (("words.x", 0.12), ("other", 0.01)):
        error = (back[name] - state[name]).pow(2).mean().sqrt() / state[name].std()
        assert error < most


def test_weights_of_other_word_pieces_are_refused(encoder: TextEncoder) -> None:
    state = encoder.state_dict()
    state["vocabulary"] = state["vocabulary"] + 1
    with pytest.raises(RuntimeError, match="word pieces"):
        TextEncoder().load_state_dict(state)


def test_a_list_of_nothing_is_a_batch_of_nothing() -> None:
    ids, mask = pad_ids([])
    assert ids.shape == mask.shape == (0, 1)
