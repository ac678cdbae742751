"""The ring: what is kept, what is let go, and what an answer holds. Time is given by hand."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming import replay
from streaming.journal import Journal
from streaming.replay import LatestReply, Refusal, ReplayReply, Reply, Ring
from streaming.results import Event, Health, HealthKind, Phase
from streaming.wire import decode, encode

EPOCH = 7
S = 10**9
REPLY = msgspec.json.Decoder(Reply)


def message(seq: int, stream: str = "cam", epoch: int = EPOCH):
    return encode(Health(stream=stream, epoch=epoch, seq=seq, kind=HealthKind.GAP, t_ns=seq))


def event(seq: int, id_: str, phase: Phase):
    end_ns = 1 if phase is Phase.END else None
    return encode(
        Event(stream="cam", epoch=EPOCH, seq=seq, id=id_, kind="speech", phase=phase, start_ns=0,
              end_ns=end_ns, label="speech", score=1.0, evidence={})
    )  # fmt: skip


def ring(span_s: float = 600, max_bytes: int = 10**6) -> Ring:
    return Ring(span_ns=round(span_s * S), max_bytes=max_bytes)


def ask(ring: Ring, **request):
    header, *parts = ring.answer(json.dumps(request).encode())
    frames = list(zip(parts[::2], parts[1::2], strict=True))
    return REPLY.decode(header), frames


def numbers(frames):
    return [decode(*f).seq for f in frames]


def test_a_range_comes_back_byte_for_byte():
    # seq    1 2 3 4 5
    # asked    [---]
    kept = ring()
    for seq in range(1, 6):
        kept.add(*message(seq), now_ns=seq)
    reply, frames = ask(kept, type="replay", stream="cam", epoch=EPOCH, first=2, last=4, id=9)
    assert reply == ReplayReply(stream="cam", epoch=EPOCH, first=2, last=4, id=9)
    assert frames == [message(seq) for seq in (2, 3, 4)]


def test_what_is_too_old_is_gone_and_the_reply_says_from_where_it_begins():
    # t      0 s   1 s   2 s   3 s      span 1.5 s
    # seq    1     2     3     4
    # kept               [-----]
    kept = ring(span_s=1.5)
    for seq in range(1, 5):
        kept.add(*message(seq), now_ns=(seq - 1) * S)
    reply, frames = ask(kept, type="replay", stream="cam", epoch=EPOCH, first=1, last=9)
    assert (reply.first, reply.last, reply.more) == (3, 4, False)
    assert numbers(frames) == [3, 4]


def test_nothing_kept_of_the_range():
    kept = ring()
    kept.add(*message(1), now_ns=0)
    for first, last, stream in ((5, 6, "cam"), (1, 1, "desk"), (2, 1, "cam")):
        reply, frames = ask(kept, type="replay", stream=stream, epoch=EPOCH, first=first, last=last)
        assert (reply.first, reply.last, frames) == (None, None, [])


def test_a_long_range_comes_in_several_replies(monkeypatch):
    monkeypatch.setattr(replay, "REPLY_BYTES", 3 * sum(map(len, message(1))))
    kept = ring()
    for seq in range(1, 8):
        kept.add(*message(seq), now_ns=0)
    got, at = [], 1
    while True:
        reply, frames = ask(kept, type="replay", stream="cam", epoch=EPOCH, first=at, last=7)
        got += numbers(frames)
        at = reply.last + 1
        if not reply.more:
            break
    assert got == [1, 2, 3, 4, 5, 6, 7]
    assert at == 8


def test_another_run_is_refused_and_its_messages_forgotten():
    kept = ring()
    kept.add(*message(1), now_ns=0)
    kept.add(*message(1, epoch=8), now_ns=1)
    reply, _ = ask(kept, type="replay", stream="cam", epoch=EPOCH, first=1, last=1)
    assert isinstance(reply, Refusal)
    assert "expected epoch 8, got 7" in reply.reason
    assert kept.size_bytes == sum(map(len, message(1, epoch=8)))


def test_a_journal_knows_the_last_numbers_of_another_run_and_the_ring_does_not(tmp_path):
    # epoch 7   cam 1 2   desk 1
    # epoch 8   cam 1
    sent = [message(1), message(2), message(1, "desk"), message(1, epoch=8)]
    journal = Journal(f"{tmp_path}/journal", span_ns=10**12, max_bytes=10**6)
    kept, alone = Ring(span_ns=10**12, max_bytes=10**6, journal=journal), ring()
    for each in sent:
        kept.add(*each, now_ns=0)
        alone.add(*each, now_ns=0)
    reply, *frames = ask(kept, type="latest", epoch=EPOCH)
    assert (reply.epoch, reply.last_seq, frames) == (EPOCH, {"cam": 2, "desk": 1}, [[]])
    assert ask(kept, type="latest", epoch=EPOCH, streams=["desk"])[0].last_seq == {"desk": 1}
    assert ask(kept, type="latest", epoch=8)[0].last_seq == {"cam": 1}
    assert isinstance(ask(alone, type="latest", epoch=EPOCH)[0], Refusal)


def test_the_latest_state_has_open_events_only():
    kept = ring(max_bytes=1)  # state outlives the ring
    for seq, (id_, phase) in enumerate(
        [("a", Phase.START), ("b", Phase.START), ("a", Phase.END), ("b", Phase.UPDATE)], start=1
    ):
        kept.add(*event(seq, id_, phase), now_ns=seq)
    reply, frames = ask(kept, type="latest")
    assert reply == LatestReply(epoch=EPOCH, last_seq={"cam": 4})
    assert frames == [event(4, "b", Phase.UPDATE)]
    assert ask(kept, type="latest", streams=["desk"]) == (LatestReply(epoch=EPOCH, last_seq={}), [])


@pytest.mark.parametrize(
    "request_",
    [b"", b"{", b"\xff\xfe", b"[]", b'{"type":"drop"}', b'{"type":"replay","stream":"cam"}',
     b'{"type":"replay","stream":"cam","epoch":7,"first":0,"last":1}',
     b'{"type":"replay","stream":"cam","epoch":7,"first":1e9999,"last":1}', b"9" * 10_000],
)  # fmt: skip
def test_what_is_no_request_is_refused_in_one_line(request_):
    (reply,) = ring().answer(request_)
    refusal = REPLY.decode(reply)
    assert isinstance(refusal, Refusal)
    assert "\n" not in refusal.reason


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3 * S)), max_size=40),
    st.integers(1, 2000),
)
def test_bounds_hold_and_what_is_kept_is_a_run_that_ends_with_the_latest(sent, max_bytes):
    kept, last, now_ns, sizes = ring(span_s=5, max_bytes=max_bytes), {}, 0, {}
    for stream, step_ns in sent:
        now_ns += step_ns
        last[stream] = last.get(stream, 0) + 1
        frames = message(last[stream], stream)
        sizes[stream, last[stream]] = (now_ns, sum(map(len, frames)))
        kept.add(*frames, now_ns=now_ns)
    assert kept.size_bytes <= max_bytes
    held = 0
    for stream, seq in last.items():
        _, frames = ask(kept, type="replay", stream=stream, epoch=EPOCH, first=1, last=99)
        run = numbers(frames)
        assert run == list(range(seq - len(run) + 1, seq + 1))
        assert all(sizes[stream, n][0] >= now_ns - 5 * S for n in run)
        held += sum(sizes[stream, n][1] for n in run)
    assert held == kept.size_bytes
