"""The short form of `make chaos`: one pipeline, two subscribers, and some of what may go wrong."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq

from actors.link import PullLink, PushLink
from actors.messages import Notice
from benchmarks.chaos import pipeline as piped
from benchmarks.chaos.__main__ import send_rubbish
from benchmarks.chaos.intruders import all_trials
from benchmarks.chaos.log import Log, published
from benchmarks.chaos.proxy import Proxy
from streaming.health import Health, HealthKind
from streaming.holes import Hole

WAIT_S = 60.0


def until(holds: Callable[[], object]) -> None:
    """Poll: what is waited for happens in other processes."""
    until_s = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < until_s
        time.sleep(0.05)


@pytest.mark.timeout(300)
def test_nothing_is_lost_undetected_whatever_is_killed_cut_or_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # near   |------------------- publisher killed: new epoch ---------- strangers --|
    # far    |--- cut --- cut --------------------------------------------------------|
    # align  |--- rubbish ------------------------------------------------------------|
    monkeypatch.setattr(piped, "SETTLE_S", 1.0)
    near, far = Log(), Log()
    with piped.running(2, 5.0, near) as pipeline:
        proxy = Proxy(pipeline.port)
        far.listen(f"tcp://127.0.0.1:{proxy.port}", pipeline.keys)
        until(lambda: far.results and far.beats)  # a heartbeat says where to ask for what is missed
        send_rubbish(pipeline.link("align"))
        proxy.cut()
        at_s = time.monotonic()
        pipeline.part("publish").kill()
        until(lambda: near.new_epoch_s(at_s) is not None and near.restarted_s(at_s) is not None)
        proxy.cut()
        trials = list(all_trials(pipeline, 1))
        count = len(far.results)
        until(lambda: len(far.results) > count and len({r.epoch for _, r in far.results}) == 2)
        pipeline.process.send_signal(signal.SIGINT)
        assert pipeline.process.wait(WAIT_S) == 130
        truth = published(pipeline.output)
        until(lambda: near.undetected(truth) == far.undetected(truth) == 0)
    assert [t for t in trials if t.refused < t.attempts] == []
    assert len(trials) == 8
    assert (near.missing(), near.gone, near.twice) == (0, [], 0)
    assert (far.gone, far.twice, far.garbled) == ([], 0, 0)
    assert len(truth) > 40


def test_what_a_subscriber_does_not_know_of_is_counted_as_undetected() -> None:
    log = Log(numbers={(1, "s", 3), (1, "s", 6)})
    log.gone.append(Hole(stream="s", epoch=1, first=4, last=4))
    # published 1 2 | 3 got, 4 told, 5 neither, 6 got, 7 neither; another stream never heard of
    truth = {(1, "s", seq) for seq in range(1, 8)} | {(1, "t", 1)}
    assert log.undetected(truth) == 2


def test_rubbish_on_a_link_costs_itself(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/link"
    pull, push = PullLink(address), PushLink(address)
    cargo = Notice(Health(stream="s", kind=HealthKind.GAP, t_ns=1))
    with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
        stranger.connect(address)
        for data in (b"", b"\xff" * 100, b"\x91" * 3000):
            stranger.send(data)
        push.send(cargo, threading.Event())
        came: list[object] = []
        until(lambda: came.extend(pull.drain(100)) or came)
        stranger.close(0)
    push.close()
    pull.close()
    assert came == [cargo]
