"""Words that programs send: every message is a packet or counted, losses are told once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_items import Taken

from streaming.clock import NS_PER_MS, NS_PER_S, HandClock
from streaming.clock_exchange import News
from streaming.errors import PortLostError, SourceError
from streaming.health import Health, HealthKind
from streaming.packets import Modality, Packet, Progress
from streaming.source_settings import TextSettings
from streaming.sources.scripted_devices import ScriptedWords
from streaming.sources.text_feed import TextFeed
from streaming.sources.text_message import MAX_MESSAGE_BYTES
from streaming.sources.text_port import Arrival

S, MS = NS_PER_S, NS_PER_MS
UNIX_NS = 1_700_000_000 * S  # 2023-11-14T22:13:20Z, at session time 0
Answer = Arrival | int | Exception


def at(t_ms: int, data: bytes | None = None, **fields: Any) -> Arrival:
    return Arrival(data=data or json.dumps(fields).encode(), arrival_ns=t_ms * MS)


def feed(*scripts: Sequence[Answer], far: ScriptedClock | None = None, **settings: Any) -> Taken:
    """What comes of one script for each connection, until the last is over."""
    clock = HandClock()
    ports = [ScriptedWords(clock, script) for script in scripts]
    waiting = iter(ports)

    def open_port() -> ScriptedWords:
        port = next(waiting, None)
        if port is None:
            source.close()
            raise SourceError("nobody is there")
        return port

    source = TextFeed(
        TextSettings(path="zmq+pull://127.0.0.1:7200", **settings),
        stream="s",
        clock=clock,
        unix_ns=lambda: UNIX_NS + clock.now_ns(),
        open_port=open_port,
        far=far,
    )
    taken = Taken(list(source.items()))
    assert all(port.closed for port in ports)
    return taken


class ScriptedClock:
    """Another host's, `ahead_ns` behind the session clock, known to `uncertainty_ns`."""

    def __init__(self, ahead_ns: int, uncertainty_ns: int, *news: News) -> None:
        self._ahead_ns, self._uncertainty_ns, self._news = ahead_ns, uncertainty_ns, list(news)
        self.doubts, self.closed = 0, False

    def at(self, host_ns: int) -> tuple[int, int]:
        return host_ns + self._ahead_ns, self._uncertainty_ns

    def doubt(self) -> None:
        self.doubts += 1

    def news(self) -> list[News]:
        news, self._news = self._news, []
        return news

    def close(self) -> None:
        self.closed = True


def told(taken: Taken, kind: HealthKind) -> tuple[int, list[str]]:
    found = taken.health(kind)
    return sum(h.count for h in found), [h.detail for h in found]


def test_words_are_dated_when_they_come_whatever_they_state():
    taken = feed(
        [
            at(1500, text=" hello ", speaker="Eve", language="de", start_ns=1, end_ns=7 * S, id=9),
            at(1600, text="you", is_final=False),
        ],
        language="en",
    )
    first, second = taken.text
    assert (first.t_ns, first.duration_ns, first.seq) == (1500 * MS, 0, 0)
    assert (first.payload.text, first.payload.speaker, first.payload.language) == (
        "hello",
        "Eve",
        "de",
    )
    assert (second.seq, second.payload.language, second.payload.is_final) == (1, "en", False)
    assert not [i for i in taken.items if isinstance(i, Progress) and not i.ended]


def test_with_lateness_words_count_when_they_were_said_and_the_promise_lags():
    # said  2.0 --- 2.8       3.0 (as wall clock)        1.0
    # came          3.0 a                    4.0 b            5.0 c: more than 2 s late
    taken = feed(
        [
            at(3000, text="a", start_ns=2 * S, end_ns=2800 * MS),
            at(4000, text="b", start="2023-11-14T22:13:23.000+00:00"),
            at(5000, text="c", start="2023-11-14T23:13:21+01:00"),
        ],
        late_ms=2000,
    )
    spans = [(p.t_ns // MS, p.duration_ns // MS) for p in taken.text]
    assert spans == [(2000, 800), (3000, 0), (3000, 0)]
    assert told(taken, HealthKind.LATE)[0] == 1
    promised = 0
    for item in taken.items:  # nothing comes from before a promise
        if isinstance(item, Progress):
            assert item.t_ns >= promised
            promised = item.t_ns
        elif isinstance(item, Packet):
            assert item.t_ns >= promised


@pytest.mark.parametrize(
    ("stated", "t_ms", "jumps"),
    [
        ({"start_ns": 5500 * MS}, 5000, 0),  # a little ahead: another host's clock
        ({"start_ns": 7000 * MS}, 5000, 1),
        ({"start": "1970-01-01T00:00:00Z"}, 5000, 1),
        ({"start": "9999-12-31T23:59:59Z"}, 5000, 1),
        ({"end_ns": 4000 * MS}, 5000, 0),
    ],
)
def test_a_time_that_cannot_be_is_not_used(stated, t_ms, jumps):
    taken = feed([at(5000, text="a", **stated)], late_ms=2000)
    assert [p.t_ns // MS for p in taken.text] == [t_ms]
    assert told(taken, HealthKind.CLOCK_JUMP)[0] == jumps


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"hello", "is not a message of words: JSON is malformed"),
        (b"\xff\xfe", "is not a message of words"),
        (b"[1]", "Expected `object`, got `array`"),
        (b"{}", "missing required field `text`"),
        (b'{"text": ""}', "length >= 1"),
        (b'{"text": "  "}', "has no words"),
        (b'{"text": 7}', "Expected `str`, got `int`"),
        (b'{"text": "a", "speaker": null}', "Expected `str`, got `null`"),
        (b'{"text": "a", "start": "2023-11-14T22:13:20"}', "timezone"),
        (b'{"text": "a", "start_ns": 2, "end_ns": 1}', "ends before it starts"),
        (b'{"text": "' + b"x" * 10_001 + b'"}', "length <= 10000"),
        (b"[" * 50_000, "is not a message of words"),
        (b'{"text": "' + b"x" * MAX_MESSAGE_BYTES + b'"}', "at most 65536 are taken"),
    ],
)
def test_what_is_no_message_costs_itself(data, reason):
    taken = feed([at(1000, text="a"), at(1100, data), at(1200, text="b")], late_ms=1)
    assert [p.payload.text for p in taken.text] == ["a", "b"]
    count, (detail,) = told(taken, HealthKind.CORRUPT)
    assert count == 1
    assert reason in detail
    assert detail.startswith("zmq+pull://127.0.0.1:7200: a message ")
    assert "\n" not in detail


def test_each_message_is_answered_once_with_what_became_of_it():
    heard: list[tuple[str, str]] = []

    def say(t_ms: int, text: str, **fields: Any) -> Arrival:
        said = at(t_ms, text=text, **fields)
        return msgspec.structs.replace(said, answer=lambda why: heard.append((text, why)))

    feed([say(0, "a"), say(10, " "), say(20, "b", start_ns=2, end_ns=1), say(30, "c")], max_per_s=3)
    assert [text for text, _ in heard] == ["a", " ", "b", "c"]
    assert heard[0][1] == ""
    reasons = ["has no words", "ends before it starts", "more than 3 messages a second"]
    assert all(want in why for want, (_, why) in zip(reasons, heard[1:], strict=True))


def test_words_of_another_host_are_dated_by_its_clock_as_surely_as_that_is_known():
    # said by that host's clock   2.0 - 2.5    2.9     0.9
    # so, an hour on       3602.0 - 3602.5  3602.9  3600.9
    # came                          3603.0  3603.1  3603.2: over 2 s late
    hour_ms = 3_600_000
    far = ScriptedClock(hour_ms * MS, 5 * MS, (HealthKind.DESYNCHRONISED, "the clock is gone"))
    taken = feed(
        [
            at(hour_ms + 3000, text="a", start_ns=2 * S, end_ns=2500 * MS),
            at(hour_ms + 3100, text="b", start_ns=2900 * MS),
            at(hour_ms + 3200, text="c", start_ns=900 * MS),
        ],
        far=far,
        late_ms=2000,
    )
    found = [
        (p.t_ns // MS - hour_ms, p.duration_ns // MS, p.uncertainty_ns // MS) for p in taken.text
    ]
    assert found == [(2000, 500, 5), (2900, 0, 5), (1200, 0, 305)]
    assert told(taken, HealthKind.LATE)[0] == 1
    detail = "zmq+pull://127.0.0.1:7200: the clock is gone"
    assert told(taken, HealthKind.DESYNCHRONISED) == (0, [detail])
    assert (far.doubts, far.closed) == (0, True)


@pytest.mark.parametrize(
    ("before_ms", "unsure_ms", "jumps"),
    [
        (6, 5, 0),
        (-4, 5, 0),  # ahead of now by less than the clock may be off
        (-6, 5, 1),  # nothing comes before it is said
        (6, 1001, 1),  # hardly known
        (3_601_000, 5, 1),
    ],
)
def test_impossible_times_of_another_host_are_quarantined_and_have_its_clock_looked_at(
    before_ms, unsure_ms, jumps
):
    came_ms, ahead_ms = 4_000_000, 7_000
    far = ScriptedClock(ahead_ms * MS, unsure_ms * MS)
    start_ns = (came_ms - ahead_ms - before_ms) * MS
    taken = feed([at(came_ms, text="a", start_ns=start_ns)], far=far, late_ms=2000)
    (packet,) = taken.text
    assert (far.doubts, told(taken, HealthKind.CLOCK_JUMP)[0]) == (jumps, jumps)
    dated = (came_ms, 1000) if jumps else (came_ms - max(before_ms, 0), unsure_ms)
    assert (packet.t_ns // MS, packet.uncertainty_ns // MS) == dated


def test_the_wall_clock_stays_what_it_is_beside_another_hosts_clock():
    far = ScriptedClock(7 * S, 5 * MS)
    said = "2023-11-14T22:13:23+00:00"
    taken = feed([at(4000, text="a", start=said)], far=far, late_ms=2000)
    assert [(p.t_ns, p.uncertainty_ns) for p in taken.text] == [(3 * S, 0)]


def test_a_flood_is_cut_to_its_rate_and_told_of_once_a_second():
    # 300 messages in 3 s, ten a second allowed: ten at once and ten for each second that passes
    taken = feed([at(1000 + 10 * i, text=str(i)) for i in range(300)], max_per_s=10)
    assert 39 <= len(taken.text) <= 40
    count, details = told(taken, HealthKind.DROP)
    assert count == 300 - len(taken.text)
    assert len(details) <= 5
    assert "more than 10 messages a second" in details[0]


def test_a_loss_is_told_once_and_so_is_the_return():
    # came   a | gone | back at once, says nothing, gone | b
    taken = feed(
        [at(1000, text="a"), PortLostError("the publisher is gone")],
        [PortLostError("the publisher is gone")],
        [200 * MS, at(9000, text="b")],
    )
    kinds = [
        i.payload.text if isinstance(i, Packet) else i.kind.value
        for i in taken.items
        if isinstance(i, Packet | Health)
    ]
    assert kinds == ["a", "source_lost", "recovered", "b", "source_lost"]
    lost = taken.health(HealthKind.SOURCE_LOST)[0].detail
    assert lost == "zmq+pull://127.0.0.1:7200: the publisher is gone; it will be tried again"


def test_it_ends_when_it_is_closed_also_unread():
    port = ScriptedWords(HandClock(), [])
    source = TextFeed(TextSettings(path="zmq+pull+ipc://a"), stream="s", open_port=lambda: port)
    source.close()
    source.close()
    assert port.closed
    (end,) = list(source.items())
    assert isinstance(end, Progress)
    assert end.ended


MESSAGE = st.one_of(
    st.binary(max_size=8),
    st.builds(
        lambda t, f: json.dumps({"text": t, "is_final": f}).encode(), st.text(), st.booleans()
    ),
    st.builds(
        lambda t, s, e: json.dumps({"text": t, "start_ns": s, "end_ns": e}).encode(),
        st.sampled_from(["a", "b c"]),
        st.none() | st.integers(-S, 9 * S),
        st.none() | st.integers(-S, 2**70),
    ),
)


@given(
    messages=st.lists(st.tuples(st.integers(0, 400), MESSAGE), max_size=30),
    breaks=st.sets(st.integers(0, 30), max_size=3),
    late_ms=st.sampled_from([0, 700]),
)
def test_every_message_is_a_packet_or_counted_and_promises_are_kept(messages, breaks, late_ms):
    scripts: list[list[Answer]] = [[]]
    t_ms = 0
    for i, (wait_ms, data) in enumerate(messages):
        if i in breaks:
            scripts[-1].append(PortLostError("gone"))
            scripts.append([])
        t_ms += wait_ms
        scripts[-1].append(Arrival(data=data, arrival_ns=t_ms * MS))
    taken = feed(*scripts, late_ms=late_ms, max_per_s=5)
    refused = Counter[HealthKind]()
    promised_ns = 0
    for item in taken.items:
        if isinstance(item, Health) and item.kind in (HealthKind.CORRUPT, HealthKind.DROP):
            refused[item.kind] += item.count
        elif isinstance(item, Progress):
            promised_ns = max(promised_ns, item.t_ns)
        elif isinstance(item, Packet):
            assert item.t_ns >= promised_ns
    assert len(taken.text) + refused.total() == len(messages)
    assert [p.seq for p in taken.text] == list(range(len(taken.text)))
    if not late_ms:
        assert [p.t_ns for p in taken.text] == sorted(p.t_ns for p in taken.text)


def test_it_delivers_words_and_is_live():
    port = ScriptedWords(HandClock(), [])
    for late_ms in (0, 500):
        source = TextFeed(
            TextSettings(path="zmq+pull+ipc://a", late_ms=late_ms),
            stream="s",
            open_port=lambda: port,
        )
        assert (source.modalities, source.live) == ((Modality.TEXT,), True)
        assert source.ordered is (late_ms == 0)
