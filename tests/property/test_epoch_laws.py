"""A subscriber over publishers that die, at any point: nothing is lost that it is not told of."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from attune.reception import Delivery
from streaming.holes import Hole, LostEnd, NewEpoch
from streaming.results import Heartbeat
from tests.publisher_lives import Life, Number, Step, World, run

STREAMS = ("a", "b", "c")

steps = st.builds(Step, st.sampled_from(("", *STREAMS)), st.booleans(), st.booleans())
lives = st.builds(Life, st.lists(steps, max_size=8), st.booleans(), st.booleans())


@settings(max_examples=300, deadline=None)
@given(
    story=st.lists(lives, min_size=1, max_size=4),
    journals=st.booleans(),
    streams=st.sampled_from((None, frozenset({"a"}), frozenset({"a", "b"}))),
    at_last=st.booleans(),
)
def test_each_message_comes_once_or_its_loss_is_told(story, journals, streams, at_last):
    #   epoch 1   a b . a ✝         2   (nothing heard) ✝      3   heartbeat
    #             heard: a . | lost: b . a                         journal, or told
    # The subscriber is there from a heartbeat of the first publisher on.
    story[0].steps.insert(0, Step("", heard=True, answers=True))
    world = run(story, journals=journals, streams=streams, at_last=at_last)
    messages = [i.message for i in world.items if isinstance(i, Delivery)]
    came = [(m.epoch, m.stream, m.seq) for m in messages if not isinstance(m, Heartbeat)]
    assert [n for n, count in Counter(came).items() if count > 1] == []
    for epoch, stream in {n[:2] for n in came}:
        numbers = [seq for e, s, seq in came if (e, s) == (epoch, stream)]
        assert numbers == sorted(numbers)

    holes = [i for i in world.items if isinstance(i, Hole)]
    gone = {(h.epoch, h.stream, seq) for h in holes for seq in range(h.first, h.last + 1)}
    assert gone.isdisjoint(came)
    assert gone <= world.published

    wanted = {n for n in world.published if streams is None or n[1] in streams}
    missing = wanted - set(came) - gone
    assert all(is_in_doubt(world, number) for number in missing)


def is_in_doubt(world: World, number: Number) -> bool:
    """Whether the subscriber was told that this may have been lost, or had no claim to it."""
    epoch, stream, seq = number
    ends = [i for i in world.items if isinstance(i, LostEnd)]
    named = {(end.epoch, end.stream) for end in ends}
    if any((e.epoch, e.stream) == (epoch, stream) and e.first <= seq for e in ends):
        return True
    turns = [i for i in world.items if isinstance(i, NewEpoch)]
    if epoch in {1, *(turn.epoch for turn in turns)}:
        return (epoch, "") in named and (epoch, stream) not in named
    # Nothing of its epoch was heard: what came after the epoch before is in doubt, or that had
    # said that it ends, and with it all to which the subscriber had a claim.
    before = max(e for e in {1, *(turn.epoch for turn in turns)} if e < epoch)
    return any(end.epoch == before for end in ends) or has_said_its_end(world, before)


def has_said_its_end(world: World, epoch: int) -> bool:
    beats = (i.message for i in world.items if isinstance(i, Delivery))
    return any(isinstance(b, Heartbeat) and b.epoch == epoch and b.final for b in beats)


@settings(max_examples=200, deadline=None)
@given(story=st.lists(lives, min_size=1, max_size=4))
def test_with_a_journal_and_a_port_that_answers_nothing_is_lost_and_nothing_in_doubt(story):
    story[0].steps.insert(0, Step("a", heard=True, answers=True))
    story[0].steps.insert(1, Step("", heard=True, answers=True))
    for life in story:
        for step in life.steps:
            step.answers = True
    world = run(story, journals=True, streams=None, at_last=True)
    messages = [i.message for i in world.items if isinstance(i, Delivery)]
    came = {(m.epoch, m.stream, m.seq) for m in messages if not isinstance(m, Heartbeat)}
    assert came == world.published
    assert not [i for i in world.items if isinstance(i, Hole)]
    doubted = {i.epoch for i in world.items if isinstance(i, LostEnd)}
    assert doubted.isdisjoint({epoch for epoch, _, _ in world.published})  # silent, no one knows
