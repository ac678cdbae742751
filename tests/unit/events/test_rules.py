"""Rules: conditions over what is known, judged hop by hop. `.` is unknown in the timelines."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.labels import SOUNDS as TRAINED_SOUNDS
from streaming.clock import NS_PER_S
from streaming.events.across import ALL, Across
from streaming.events.engine import KIND_NAMES, EventEngine
from streaming.events.expressions import ExpressionError, Type, Value, compile_expression
from streaming.events.quantities import known_names, quantities
from streaming.events.rules import Rule, RuleError, compile_rules
from streaming.events.trackers import HopTracker
from streaming.modality import Modality
from streaming.results import (
    SOUNDS,
    ClosedBy,
    Event,
    ModalityReceipt,
    Phase,
    Prediction,
    Result,
    Sentiment,
    Signals,
)
from streaming.settings import EventSettings, RuleSettings
from streaming.states import ViewState

HOP_NS = NS_PER_S // 2
KNOWN = {"x": Type.NUMBER, "y": Type.NUMBER, "event.a": Type.TRUTH}


def truth(text: str, **values: Value) -> Value:
    return compile_expression(text, KNOWN, Type.TRUTH).of(values)


@pytest.mark.parametrize(
    ("text", "x", "expected"),
    [
        ("x < 0.5 and y > 1", 0.0, None),  # the rest decides, and is unknown
        ("x < 0.5 and y > 1", 1.0, False),  # whatever y is
        ("x < 0.5 or y > 1", 0.0, True),
        ("x < 0.5 or y > 1", 1.0, None),
        ("not y > 1", 0.0, None),
        ("0 <= x < 1", 0.5, True),
        ("0 <= x < y", -1.0, False),
        ("x / 0 > 1", 1.0, None),
        ("x * 1e300 * 1e300 > 1", 1.0, None),
        ("-x == 1", -1.0, True),
    ],
)
def test_what_is_unknown_stays_so_unless_the_rest_decides(text, x, expected):
    assert truth(text, x=x) is expected


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [
        ("x < 1 and z > 2", 10, "unknown quantity 'z'"),
        ("x and event.a", 0, "expected a condition, got a number: 'x'"),
        ("x + event.a > 1", 4, "expected a number, got a condition"),
        ("x >", 3, "cannot be read"),
        ("__import__('os')", 0, "no meaning here"),
        ("x ** 9 > 1", 0, "no meaning here"),
        ("x > 1e999", 4, "finite"),
        ("x > 1 # never", 6, "'#' has no meaning"),
        ("any(event.a)", 0, "across: true"),
        ("x > 1 if event.a else x", 0, "no meaning here"),
        ("x > True", 4, "no meaning here"),
        ("", 0, "got nothing"),
        ("x > " + "1" * 600, 0, "at most 500"),
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(text, offset, words):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text, KNOWN, Type.TRUTH)
    assert words in str(caught.value)
    assert caught.value.offset == offset


@given(st.text(max_size=60) | st.text(alphabet="xy.()<>=+-*/andortev 01", max_size=80))
def test_no_text_breaks_the_reader(text: str):
    try:
        expression = compile_expression(text, KNOWN, Type.TRUTH)
    except ExpressionError as error:
        assert 0 <= error.offset <= len(text)
    else:
        assert expression.of({"x": 1.0}) in (True, False, None)


def track(values: Sequence[float | None], **rule: object) -> list[tuple[str, float, float | None]]:
    """Events of a rule over one value a hop: phase, start, end in hops."""
    events = _events(values, **rule)
    return [
        (e.phase, e.start_ns / HOP_NS, None if e.end_ns is None else e.end_ns / HOP_NS)
        for e in events
    ]


def _events(values: Sequence[float | None], **rule: object) -> list[Event]:
    settings = RuleSettings(**{"name": "r", "when": "sentiment > 0", **rule})
    (compiled,) = compile_rules([settings], KIND_NAMES)
    tracker = HopTracker("s", compiled)
    events: list[Event] = []
    for i, value in enumerate(values):
        events += tracker.hop([{"sentiment": value}], i * HOP_NS, (i + 1) * HOP_NS)
    return [*events, *tracker.finish(len(values) * HOP_NS)]


def test_an_event_begins_where_its_condition_began_to_hold_and_ends_where_it_no_longer_does():
    # hop    0  1  2  3  4
    # holds  -  #  #  -  -
    assert track([-1, 1, 1, -1, -1]) == [("start", 1, None), ("end", 1, 3)]


def test_it_must_hold_without_a_break_for_so_long():
    # hop    0  1  2  3  4  5  6
    # holds  #  .  #  #  #  #  -      for 2 s are four hops
    assert track([1, None, 1, 1, 1, 1, -1], for_s=2) == [("start", 2, None), ("end", 2, 6)]


def test_until_gives_hysteresis():
    # hop     0    1    2    3     4
    # value   1   -.1   1   -.1   -1     until < -0.5
    values = [1, -0.1, 1, -0.1, -1]
    assert track(values, until="sentiment < -0.5") == [("start", 0, None), ("end", 0, 4)]


def test_no_event_begins_before_the_cool_down_is_over():
    # hop    0  1  2  3  4  5  6  7
    # holds  #  -  #  #  #  #  #  -     cool-down 1.5 s: three hops after the end at 1
    told = track([1, -1, 1, 1, 1, 1, 1, -1], cooldown_s=1.5)
    assert told == [("start", 0, None), ("end", 0, 1), ("start", 4, None), ("end", 4, 7)]


def test_what_is_unknown_for_long_ends_the_event_where_it_was_last_known():
    # hop    0  1  2 ............. 11     5 s are ten hops
    # holds  #  #  .  .  .  .  .  .
    events = _events([1, 1, *[None] * 10])
    assert [e.phase for e in events] == ["start", "end"]
    assert events[-1].end_ns == 2 * HOP_NS
    assert events[-1].evidence["ended_by"] == "input lost"


def test_a_stream_that_ends_ends_the_event():
    assert _events([1, 1])[-1].evidence == {"sentiment": 1.0, "ended_by": "stream ended"}


def test_the_score_is_the_mean_of_what_was_asked_for_or_the_time_it_took():
    assert _events([1, 0.5, -1], score="sentiment * 2")[-1].score == 1.5
    assert _events([1, 0.5, -1])[-1].score == 1.0  # two hops of half a second


def test_a_long_event_is_told_of_every_five_seconds():
    assert [e.phase for e in _events([1] * 25)] == ["start", "update", "update", "end"]


SOMETIMES = st.lists(st.sampled_from([1.0, -0.1, -1.0, None]), max_size=80)


@given(
    SOMETIMES,
    st.sampled_from([0, 1, 2.2]),
    st.sampled_from([0, 0.7, 3]),
    st.sampled_from(["", "sentiment < -0.5"]),
)
def test_events_of_a_rule_keep_their_laws(values, for_s, cooldown_s, until):
    """Each start has one end, after it; intervals keep the cool-down; none begins unmeant."""
    open_since, free_from = None, 0
    for event in _events(values, for_s=for_s, cooldown_s=cooldown_s, until=until):
        if event.phase is Phase.START:
            assert open_since is None
            assert event.start_ns >= free_from
            open_since = event.start_ns
            last = math.ceil((open_since + for_s * NS_PER_S) / HOP_NS)
            held = values[int(open_since // HOP_NS) : last]
            assert all(value == 1.0 for value in held)
        elif event.phase is Phase.END:
            assert event.start_ns == open_since
            assert open_since <= event.end_ns <= len(values) * HOP_NS
            open_since, free_from = None, event.end_ns + cooldown_s * NS_PER_S
    assert open_since is None


def prediction(
    stream: str, index: int, mood: float | None, *, audio: float = 1.0, dbfs: float | None = -20.0
) -> Prediction:
    receipt = ModalityReceipt(state=ViewState.COMPLETE, coverage=audio, packets=1)
    end_ns = (index + 1) * HOP_NS
    sentiment = None if mood is None else Sentiment(score=mood, low=mood, high=mood)
    result = Result(
        stream=stream,
        index=index,
        start_ns=end_ns - HOP_NS,
        end_ns=end_ns,
        closed_by=ClosedBy.WATERMARK,
        sentiment=sentiment,
        arousal=None,
        emotions=None,
        modalities={Modality.AUDIO: receipt},
        signals=Signals(loudness_dbfs=dbfs, sounds={"dogbark": 0.7}),
        model="m",
    )
    return Prediction(result=result)


def test_a_modality_that_is_not_there_is_unknown_and_not_zero():
    heard = quantities(prediction("s", 0, None).result, {"speech"}, KIND_NAMES)
    assert (heard["sound.dogbark"], heard["sound.rain"], heard["loudness_dbfs"]) == (0.7, 0, -20)
    assert (heard["event.speech"], heard["event.silence"]) == (True, False)
    assert (heard["faces"], heard["words"], heard["sentiment"]) == (None, None, None)
    deaf = quantities(prediction("s", 0, 0.5, audio=0.0).result, set(), KIND_NAMES)
    assert (deaf["sound.rain"], deaf["speech_share"], deaf["sentiment"]) == (None, None, 0.5)
    assert set(heard) == set(known_names(KIND_NAMES))


def test_sounds_are_those_that_the_model_knows():
    assert SOUNDS == TRAINED_SOUNDS


def settings(*rules: dict[str, object]) -> EventSettings:
    return EventSettings(rules=msgspec.convert(rules, tuple[RuleSettings, ...]))


def test_rules_look_at_rules_before_them_and_only_in_their_streams():
    rules = settings(
        {"name": "low", "when": "sentiment < 0"},
        {"name": "low_and_loud", "when": "event.low and loudness_dbfs > -30"},
        {"name": "elsewhere", "when": "sentiment < 0", "streams": ["t"]},
    )
    engine = EventEngine("s", rules)
    told = [
        e
        for i, m in enumerate((0.5, -0.5, -0.5, 0.5, 0.5))
        for e in engine.step(prediction("s", i, m))
    ]
    own = [(e.kind, e.phase, e.start_ns // HOP_NS) for e in told if e.kind.startswith("low")]
    # hop   0  1  2  3  4
    # low   -  #  #  -
    # both  -  #  #  (#: low was open at the hop's beginning) -
    assert own == [
        ("low", "start", 1),
        ("low_and_loud", "start", 1),
        ("low", "end", 1),
        ("low_and_loud", "end", 1),
    ]
    assert "elsewhere" not in {e.kind for e in told}


@pytest.mark.parametrize(
    ("rules", "index", "field", "words"),
    [
        ([{"name": "sentiment_change", "when": "words > 1"}], 0, "name", "already"),
        ([{"name": "a", "when": "event.a"}], 0, "when", "not at itself"),
        ([{"name": "a", "when": "event.b"}, {"name": "b", "when": "words > 1"}],
         0, "when", "above"),
        ([{"name": "a", "when": "words > 1", "score": "event.speech"}], 0, "score", "a number"),
        ([{"name": "a", "when": "words > 1", "across": True}], 0, "when", "within one of"),
        ([{"name": "a", "when": "any(any(event.speech))", "across": True}], 0, "when", "another"),
    ],
)  # fmt: skip
def test_rules_that_cannot_be_say_which_and_where(rules, index, field, words):
    with pytest.raises(RuleError, match=words) as caught:
        EventEngine("s", settings(*rules))
    assert (caught.value.index, caught.value.field) == (index, field)


def across(text: str) -> tuple[Rule, ...]:
    return compile_rules([RuleSettings(name="r", when=text, across=True)], KIND_NAMES)


def test_rules_across_streams_look_at_the_latest_of_each():
    # session  0   1   2   3   4   5   6  ...  12 s
    # a            +                      ...   +
    # b                -       +
    # both +                   ################ until b has been quiet for 5 s
    both = Across(across("count(sentiment > 0) >= 2"))
    told: list[Event] = []
    for second, stream, mood in ((1, "a", 1), (2, "b", -1), (4, "b", 1), (5, "a", 1), (12, "a", 1)):
        told += both.step(stream, {"sentiment": float(mood)}, second * NS_PER_S)
    seconds = [(e.stream, e.phase, e.start_ns // NS_PER_S) for e in told]
    assert seconds == [(ALL, "start", 1), (ALL, "end", 1)]  # `_all` began at second 1
    assert both.finish() == []


def test_a_stream_that_has_ended_is_looked_at_no_more():
    every = Across(across("all(event.silence) and count(event.silence) > 0"))
    every.step("a", {"event.silence": False}, NS_PER_S)
    every.leave("a")
    assert [e.phase for e in every.step("b", {"event.silence": True}, 2 * NS_PER_S)] == ["start"]
    assert [e.phase for e in every.finish()] == ["end"]
