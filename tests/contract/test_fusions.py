"""Every fusion of the registry keeps the same promises, whatever is absent."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.errors import InputError, RecipeError
from models.fusions import FUSIONS, Fused, StepFusion, make
from models.threads import limit_threads

limit_threads(1)  # tensors of a few numbers: threads only wait for each other

WIDTHS = {"video": 6, "audio": 5, "text": 7}
NAMES = tuple(WIDTHS)
CLASSES = 4
Inputs = tuple[dict[str, Tensor], dict[str, Tensor]]


def build(name: str, **options: object) -> StepFusion:
    torch.manual_seed(0)
    return make(name, WIDTHS, classes=CLASSES, **options).eval()


BUILT = {name: build(name) for name in FUSIONS}
every = pytest.mark.parametrize("name", FUSIONS)


def inputs(masks: Tensor, seed: int = 0) -> Inputs:
    """masks: bool (B, T, M)."""
    generator = torch.Generator().manual_seed(seed)
    shape = masks.shape[:2]
    tokens = {m: torch.randn(*shape, d, generator=generator) for m, d in WIDTHS.items()}
    return tokens, {m: masks[..., i] for i, m in enumerate(NAMES)}


def parts(fused: Fused) -> dict[str, Tensor]:
    named = {"sentiment": fused.sentiment, "emotions": fused.emotions, "hidden": fused.hidden}
    for m, said in fused.alone.items():
        named |= {f"{m}.sentiment": said.sentiment, f"{m}.emotions": said.emotions}
    return named


def assert_equal(a: Fused, b: Fused, message: str = "") -> None:
    assert torch.equal(a.present, b.present), message
    for key, value in parts(a).items():
        torch.testing.assert_close(value, parts(b)[key], atol=1e-5, rtol=0, msg=f"{message} {key}")


def cut(of: Inputs, steps: slice) -> Inputs:
    return tuple({m: x[:, steps] for m, x in part.items()} for part in of)  # type: ignore[return-value]


masks_of = st.integers(1, 3).flatmap(
    lambda b: st.integers(1, 6).flatmap(
        lambda t: st.lists(st.booleans(), min_size=b * t * 3, max_size=b * t * 3).map(
            lambda flat: torch.tensor(flat).view(b, t, 3)
        )
    )
)


@every
@settings(max_examples=25, deadline=None)
@given(masks=masks_of)
def test_any_mask_gives_finite_scores_and_nothing_where_nothing_is(
    name: str, masks: Tensor
) -> None:
    tokens, present = inputs(masks)
    junk = {
        m: torch.where(present[m].unsqueeze(-1), x, torch.tensor(float("nan")))
        for m, x in tokens.items()
    }
    with torch.inference_mode():
        fused = BUILT[name](junk, present)
    assert torch.equal(fused.present, masks.any(-1))
    assert fused.sentiment.shape == masks.shape[:2]
    assert fused.emotions.shape == (*masks.shape[:2], CLASSES)
    for key, value in parts(fused).items():
        assert value.isfinite().all(), key
    assert (fused.sentiment[~fused.present] == 0).all()
    assert (fused.emotions[~fused.present] == 0).all()
    for m, said in fused.alone.items():
        assert (said.sentiment[~present[m]] == 0).all(), m


@every
@settings(max_examples=25, deadline=None)
@given(masks=masks_of, worth=st.sampled_from([float("nan"), float("inf"), -1e30, 7.0]))
def test_the_content_of_what_is_absent_does_not_matter(
    name: str, masks: Tensor, worth: float
) -> None:
    tokens, present = inputs(masks)
    other = {
        m: torch.where(present[m].unsqueeze(-1), x, torch.tensor(worth)) for m, x in tokens.items()
    }
    with torch.inference_mode():
        assert_equal(BUILT[name](tokens, present), BUILT[name](other, present))


@every
@settings(max_examples=25, deadline=None)
@given(masks=masks_of, data=st.data())
def test_what_comes_later_changes_nothing_before(
    name: str, masks: Tensor, data: st.DataObject
) -> None:
    at = data.draw(st.integers(1, masks.shape[1]))
    later = masks.clone()
    later[:, at:] = ~later[:, at:]
    first, second = inputs(masks), inputs(later)
    for m in NAMES:
        second[0][m][:, at:] += 3.0
    with torch.inference_mode():
        whole, changed = BUILT[name](*first), BUILT[name](*second)
        short = BUILT[name](*cut(first, slice(0, at)))
    for key, value in parts(whole).items():
        torch.testing.assert_close(value[:, :at], parts(changed)[key][:, :at], atol=1e-5, rtol=0)
        torch.testing.assert_close(value[:, :at], parts(short)[key], atol=1e-5, rtol=0)


@every
@settings(max_examples=25, deadline=None)
@given(masks=masks_of)
def test_who_shares_the_batch_does_not_matter(name: str, masks: Tensor) -> None:
    tokens, present = inputs(masks)
    with torch.inference_mode():
        together = BUILT[name](tokens, present)
        for b in range(len(masks)):
            one = BUILT[name](
                {m: x[b : b + 1] for m, x in tokens.items()},
                {m: x[b : b + 1] for m, x in present.items()},
            )
            for key, value in parts(one).items():
                torch.testing.assert_close(
                    parts(together)[key][b : b + 1], value, atol=1e-5, rtol=0
                )


@every
@settings(max_examples=25, deadline=None)
@given(masks=masks_of, data=st.data())
def test_step_by_step_equals_all_at_once(name: str, masks: Tensor, data: st.DataObject) -> None:
    fusion, whole = BUILT[name], inputs(masks)
    state, done, got = fusion.start(), 0, []
    with torch.inference_mode():
        while done < masks.shape[1]:
            size = data.draw(st.integers(1, masks.shape[1] - done))
            got.append(parts(fusion.step(state, *cut(whole, slice(done, done + size)))))
            done += size
        expected = parts(fusion(*whole))
    for key, value in expected.items():
        joined = torch.cat([part[key] for part in got], 1)
        torch.testing.assert_close(joined, value, atol=1e-5, rtol=0, msg=key)


@pytest.mark.parametrize("name", ["mult", "text_led"])
def test_a_stream_longer_than_its_memory_equals_the_full_pass(name: str) -> None:
    fusion = build(name, memory=3)
    masks = torch.rand(2, 12, 3, generator=torch.Generator().manual_seed(1)) < 0.7
    whole, state = inputs(masks), fusion.start()
    with torch.inference_mode():
        got = [fusion.step(state, *cut(whole, slice(t, t + 1))).sentiment for t in range(12)]
        torch.testing.assert_close(torch.cat(got, 1), fusion(*whole).sentiment, atol=1e-5, rtol=0)
    held = [c[0].shape[2] for c in state.values()]
    assert max(held) == 2  # the cache does not grow with the stream


@every
@pytest.mark.parametrize("subset", [s for s in product([0, 1], repeat=3) if any(s)])
def test_leaving_a_modality_out_equals_marking_it_absent(name: str, subset: tuple[int]) -> None:
    masks = torch.tensor(subset, dtype=torch.bool).expand(1, 3, 3)
    tokens, present = inputs(masks)
    some = [m for m, here in zip(NAMES, subset, strict=True) if here]
    with torch.inference_mode():
        left_out = BUILT[name]({m: tokens[m] for m in some}, {m: present[m] for m in some})
        assert_equal(BUILT[name](tokens, present), left_out)


@every
def test_each_modality_that_is_there_is_heard(name: str) -> None:
    masks = torch.ones(1, 2, 3, dtype=torch.bool)
    tokens, present = inputs(masks)
    with torch.inference_mode():
        before = BUILT[name](tokens, present).sentiment
        for m in NAMES:
            other = {**tokens, m: inputs(masks, seed=1)[0][m]}
            assert (BUILT[name](other, present).sentiment - before).abs().max() > 1e-4, m


@every
def test_every_parameter_learns(name: str) -> None:
    fusion = build(name).train()
    masks = torch.ones(4, 6, 3, dtype=torch.bool)
    masks[0, 2, 0] = masks[1, 3, 1] = masks[2, 4, 2] = masks[3, 5] = False
    fused = fusion(*inputs(masks))
    loss = fused.loss + sum(value.square().mean() for value in parts(fused).values())
    loss.backward()
    for key, parameter in fusion.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key


@every
def test_gradients_are_finite_when_nothing_is_there(name: str) -> None:
    fusion = build(name).train()
    tokens, present = inputs(torch.zeros(2, 3, 3, dtype=torch.bool))
    fused = fusion({m: x * float("nan") for m, x in tokens.items()}, present)
    (fused.sentiment.sum() + fused.emotions.sum() + fused.loss).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in fusion.parameters())


@every
def test_size_stays_small(name: str) -> None:
    fusion = make(name, {"video": 128, "audio": 128, "text": 128}, classes=7)
    assert sum(p.numel() for p in fusion.parameters()) <= 100_000


def test_reconstruction_is_punished_only_where_the_truth_is_known() -> None:
    fusion = BUILT["reconstruct"]
    lone = inputs(torch.tensor([[[True, False, False], [False, False, True]]]))
    both = inputs(torch.tensor([[[True, False, True]]]))
    with torch.inference_mode():
        assert fusion(*lone).loss == 0
        assert fusion(*both).loss > 0


def test_what_cannot_be_is_refused() -> None:
    ones = torch.ones(1, 2, dtype=torch.bool)
    with pytest.raises(RecipeError, match="expected one of concat"):
        make("best", WIDTHS)
    with pytest.raises(RecipeError, match="unexpected keyword argument 'widht'"):
        make("concat", WIDTHS, widht=3)
    with pytest.raises(InputError, match="got smell"):
        BUILT["concat"]({"smell": torch.zeros(1, 2, 3)}, {"smell": ones})
    with pytest.raises(InputError, match="got none"):
        BUILT["concat"]({}, {})
    with pytest.raises(InputError, match="on one grid"):
        tokens = {"audio": torch.zeros(1, 2, 5), "text": torch.zeros(1, 3, 7)}
        BUILT["concat"](tokens, {"audio": ones, "text": torch.ones(1, 3, dtype=torch.bool)})
    with pytest.raises(InputError, match="inner"):
        make("context", WIDTHS, inner="context")
    with pytest.raises(InputError, match="leader"):
        make("text_led", {"video": 3, "audio": 3})
