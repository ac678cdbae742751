"""The built-in events, which are rules: what was in code before, and how to replace one."""

from __future__ import annotations

import json
import random
import tracemalloc
from pathlib import Path

import msgspec
import pytest
from events_timeline import HOP, LEVEL_STEP, MS, SPEECH_STEP, predictions, result, run

from streaming.events.engine import BUILTIN, KIND_NAMES, EventEngine
from streaming.events.rules import RuleError
from streaming.modality import Modality
from streaming.results import Event, FaceCount, Phase, Prediction
from streaming.settings import EventSettings, RuleSettings

SEED = 52  # one with which every kind comes, and some lose their input
GOLDEN = Path(__file__).with_name("builtin_events.json")
END_NS = 120_000 * MS


def scene(seed: int) -> list[Prediction]:
    """Two minutes in which everything happens, with two holes in it; the same on every machine."""
    chance = random.Random(seed).random
    talk = loud = face = False
    speech: list[float] = []
    levels: list[float | None] = []
    while len(speech) * SPEECH_STEP < END_NS:
        talk = (chance() < 0.012) != talk
        speech.append((0.5 if talk else 0.1) + round(chance() * 0.3, 3))
    while len(levels) * LEVEL_STEP < END_NS:
        loud = (chance() < 0.01) != loud
        gone = len(levels) % 500 > 480
        levels.append(None if gone else (-20.0 if loud else -52.0) + round(chance() * 10, 2))
    looks = []
    for t_ns in range(0, END_NS, 250 * MS):
        face = (chance() < 0.08) != face
        if not 60_000 * MS < t_ns < 65_000 * MS:
            looks.append(
                FaceCount(t_ns=t_ns, faces=int(face) * (1 + int(chance() < 0.2)), track_id=3)
            )
    steps = predictions(
        speech=speech, levels=levels, looks=looks, cuts_ns=range(HOP, END_NS + 1, HOP)
    )
    mood = other = 0.0
    out = []
    for i, step in enumerate(steps):
        mood = round(chance() * 2 - 1, 3) if chance() < 0.05 else mood
        other = round(chance() * 2 - 1, 3) if chance() < 0.05 else other
        alone = {m: s for m, s in zip(Modality, (mood, other, mood / 2), strict=True)
                 if chance() < 0.95}  # fmt: skip
        known = not 100 < i < 115
        said = result(step.result.end_ns, score=mood if known else None, alone=alone)
        out.append(msgspec.structs.replace(step, result=said))
    return out


def told(events: list[Event]) -> list[list[object]]:
    """As it is kept: what an event says, without what is the same in all of them."""
    return [
        [e.id, str(e.phase), e.start_ns, e.end_ns, e.label, e.score, e.evidence] for e in events
    ]


def test_the_rules_say_what_the_machines_in_code_said_that_they_replaced():
    events = run(scene(SEED), END_NS)
    kept = json.loads(GOLDEN.read_text())
    assert {e[0].partition("-")[0] for e in kept} == set(KIND_NAMES)
    for kind in KIND_NAMES:
        now = told([e for e in events if e.kind == kind])
        assert now == [e for e in kept if e[0].partition("-")[0] == kind]


@pytest.mark.parametrize("level", [None, -50.0, -10.0])
def test_a_stream_that_stays_as_it_is_keeps_nothing_of_what_is_past(level: float | None):
    # eleven minutes of one level, or of no sound at all; from the first minute on memory is flat
    count = 11 * 60_000 * MS
    steps = predictions(
        speech=[0.0] * (count // SPEECH_STEP),
        levels=[level] * (count // LEVEL_STEP),
        looks=[FaceCount(t_ns=t, faces=0, track_id=0) for t in range(0, count, 250 * MS)],
        cuts_ns=range(HOP, count + 1, HOP),
    )
    engine = EventEngine("s")
    tracemalloc.start()
    for step in steps[:120]:
        engine.step(step)
    before, _ = tracemalloc.get_traced_memory()
    for step in steps[120:]:
        engine.step(step)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 20_000


def rules(*given: dict[str, object], **settings: object) -> EventSettings:
    return EventSettings(rules=msgspec.convert(given, tuple[RuleSettings, ...]), **settings)


def loud(levels: list[float | None], settings: EventSettings) -> list[Event]:
    end_ns = len(levels) * LEVEL_STEP
    steps = predictions(levels=levels, cuts_ns=range(HOP, end_ns + 1, HOP))
    return [e for e in run(steps, end_ns, settings) if e.kind == "shout"]


def spans(events: list[Event]) -> list[tuple[float, float, str | float]]:
    """Start and end in milliseconds, and why it ended."""
    ends = [e for e in events if e.phase is Phase.END and e.end_ns is not None]
    return [(e.start_ns / MS, (e.end_ns or 0) / MS, e.evidence["ended_by"]) for e in ends]


SHOUT = {"name": "shout", "every": "loudness", "when": "loudness_dbfs > -20"}


def test_a_rule_over_frames_bridges_pauses_and_is_dated_to_the_frame():
    # frame    0 ... 10 ######## 20 .. 22 #### 26 .......... 40      50 ms each
    # shout          |500 -------------------- 1300|                 hang-over 200 ms
    levels = [-10.0 if 10 <= i < 20 or 22 <= i < 26 else -30.0 for i in range(40)]
    events = loud(
        levels, rules({**SHOUT, "for_s": 0.3, "hang_s": 0.2, "score": "max loudness_dbfs"})
    )
    assert spans(events) == [(500, 1300, "over")]
    assert events[0].score == -10.0
    assert spans(loud(levels, rules({**SHOUT, "for_s": 0.3}))) == [(500, 1000, "over")]


def test_a_rule_over_frames_keeps_its_cool_down():
    # frame    2 ##  6 ##  10 ####################  a cool-down of 400 ms after frame 4
    levels = [-10.0 if i in (2, 3, 6, 7) or 10 <= i < 20 else -30.0 for i in range(30)]
    events = loud(levels, rules({**SHOUT, "cooldown_s": 0.4}))
    assert spans(events) == [(100, 200, "over"), (600, 1000, "over")]


def test_where_the_input_is_gone_a_rule_over_frames_ends_at_once():
    levels = [-10.0] * 10 + [None] * 2 + [-10.0] * 8
    events = loud(levels, rules({**SHOUT, "hang_s": 1}))
    assert spans(events) == [(0, 500, "input lost"), (600, 1000, "stream ended")]


def test_a_rule_may_look_at_loudness_and_speech_over_one_another():
    # speech   0 ......... 320 ################ 640 .....   frames of 32 ms
    # loud     ###################################            frames of 50 ms: those that touch it
    speech = [0.9 if 10 <= i < 20 else 0.1 for i in range(50)]
    steps = predictions(speech=speech, levels=[-10.0] * 32, cuts_ns=[500 * MS, 1600 * MS])
    rule = {**SHOUT, "when": "loudness_dbfs > -20 and speech_probability > 0.5"}
    events = [e for e in run(steps, 1600 * MS, rules(rule)) if e.kind == "shout"]
    assert spans(events) == [(300, 650, "over")]


def test_where_nothing_is_known_of_speech_loudness_is_judged_a_little_later_all_the_same():
    rule = {**SHOUT, "when": "loudness_dbfs > -20 and speech_probability < 0.5"}
    assert spans(loud([-10.0] * 40, rules(rule))) == [(0, 2000, "stream ended")]


def test_what_is_now_is_seen_in_the_frame_that_ends_an_event():
    rule = {**SHOUT, "evidence": {"now": "now loudness_dbfs", "last": "last loudness_dbfs"}}
    end = loud([-10.0] * 10 + [-42.0] * 10, rules(rule))[-1]
    assert end.evidence == {"now": -42.0, "last": -10.0, "ended_by": "over"}


def test_a_rule_over_looks_needs_as_many_in_a_row_as_asked_for():
    # look     0  1  2  3  4  5  6  7     four a second
    # faces    1  2  2  1  2  2  2  0
    counts = [1, 2, 2, 1, 2, 2, 2, 0]
    looks = [FaceCount(t_ns=i * 250 * MS, faces=n) for i, n in enumerate(counts)]
    pair = {"name": "pair", "every": "look", "when": "faces == 2", "confirm": 3,
            "score": "mean faces", "evidence": {"most": "max faces"}}  # fmt: skip
    steps = predictions(looks=looks, cuts_ns=range(HOP, 2001 * MS, HOP))
    events = [e for e in run(steps, 2000 * MS, rules(pair)) if e.kind == "pair"]
    assert [(e.phase, e.start_ns / MS, e.score) for e in events] == [
        ("start", 875, 2.0),
        ("end", 875, 2.0),
    ]
    assert events[-1].evidence == {"most": 2, "ended_by": "stream ended"}


def test_a_rule_over_looks_keeps_its_cool_down():
    # look     0  1  2  3  4  5  6  7     four a second
    # faces    1  0  1  0  1  1  1  1     a second after 125 ms: looks 2 and 4 are too early
    looks = [FaceCount(t_ns=i * 250 * MS, faces=int(n)) for i, n in enumerate("10101111")]
    there = {"name": "there", "every": "look", "when": "faces > 0", "cooldown_s": 1}
    steps = predictions(looks=looks, cuts_ns=range(HOP, 2001 * MS, HOP))
    events = [e for e in run(steps, 2000 * MS, rules(there)) if e.kind == "there"]
    assert spans(events) == [(0, 125, "over"), (1125, 1875, "stream ended")]


def moods(values: list[float | None], **rule: object) -> list[Event]:
    """Events of a rule over sentiment, hop by hop."""
    settings = rules({"name": "r", "when": "sentiment > 0", **rule})
    steps = [
        Prediction(result=result((i + 1) * HOP, score=v, length_ns=HOP))
        for i, v in enumerate(values)
    ]
    return [e for e in run(steps, len(values) * HOP, settings) if e.kind == "r"]


def test_hops_may_have_to_agree_before_an_event_begins_and_before_it_ends():
    # hop      0  1  2  3  4  5  6  7
    # holds    #  -  #  #  -  #  -  -
    events = moods([1, -1, 1, 1, -1, 1, -1, -1], confirm=2)
    assert spans(events) == [(1000, 3000, "over")]


def test_where_it_is_not_waited_for_the_unknown_speaks_against_an_event():
    assert spans(moods([1, 1, None, 1], lost_after_s=0)) == [
        (0, 1000, "input lost"),
        (1500, 2000, "stream ended"),
    ]
    assert spans(moods([1, 1, 1], lost_after_s=0.3)) == [(0, 1500, "stream ended")]
    assert spans(moods([1, 1, None, None, None, 1], lost_after_s=1)) == [
        (0, 1000, "input lost"),
        (2500, 3000, "stream ended"),
    ]


def test_an_event_whose_label_no_longer_holds_is_over_and_another_may_begin():
    # hop      0  1  2  3
    # mood     +  +  -  -
    events = moods(
        [0.5, 0.7, -0.6, -0.5],
        when="sentiment > 0.4 or sentiment < -0.4",
        labels={"up": "sentiment > 0", "down": "sentiment < 0"},
        score="peak sentiment",
    )
    assert [(e.id, e.phase, e.label, e.score, e.start_ns / MS) for e in events] == [
        ("r-1", "start", "up", 0.5, 0),
        ("r-1", "end", "up", 0.7, 0),
        ("r-2", "start", "down", -0.6, 1000),
        ("r-2", "end", "down", -0.6, 1000),
    ]


def test_measures_of_an_event():
    # hop      0   1   2    3 (over)
    evidence = {
        "mean": "mean sentiment", "max": "max sentiment", "first": "first sentiment",
        "last": "last sentiment", "now": "now sentiment", "count": "count",
        "at_peak": "at_peak sentiment * 2", "was_true": "sentiment > 0",
    }  # fmt: skip
    end = moods([0.2, 0.8, 0.5, -0.4], score="max sentiment", evidence=evidence)[-1]
    assert end.score == 0.8
    assert end.evidence == {
        "mean": 0.5, "max": 0.8, "first": 0.2, "last": 0.5, "now": -0.4, "count": 3,
        "at_peak": 1.6, "was_true": 1.0, "ended_by": "over",
    }  # fmt: skip


def test_numbers_of_a_rule_may_be_sums_of_settings():
    rule = {
        **SHOUT,
        "for_s": "silence_min_ms / 1000 * 2",
        "when": "loudness_dbfs > loudness_floor_dbfs",
    }
    levels = [-10.0] * 9 + [-60.0] * 11
    assert loud(levels, rules(rule, silence_min_ms=250.0)) == []
    assert spans(loud(levels, rules(rule, silence_min_ms=200.0))) == [(0, 450, "over")]


def test_a_rule_of_ones_own_takes_the_place_of_a_builtin_one():
    # speech   0.6 all the time: enough for the built-in rule, not for this one
    own = {"name": "speech", "every": "speech", "when": "speech_probability > 0.8"}
    look = {"name": "talk", "when": "event.speech"}
    steps = predictions(speech=[0.6] * 50, cuts_ns=[1600 * MS])
    assert {e.kind for e in run(steps, 1600 * MS, rules(look))} == {"speech", "talk"}
    assert run(steps, 1600 * MS, rules(own, look)) == []
    with pytest.raises(RuleError, match="above it"):
        EventEngine("s", rules(look, own))


@pytest.mark.parametrize(
    ("rule", "field", "words", "offset"),
    [
        ({"every": "look", "when": "faces > 1", "for_s": 2}, "for_s", "every: look", 0),
        ({"every": "speech", "when": "sentiment > 0"}, "when", "unknown quantity", 0),
        ({"every": "loudness", "when": "loudness_dbfs > 0", "across": True}, "across", "every", 0),
        ({"when": "words > 1", "hang_s": 1}, "hang_s", "every: hop", 0),
        ({"when": "words > 1", "for_s": "words"}, "for_s", "unknown quantity", 0),
        ({"when": "words > 1", "for_s": "speech_on - 1"}, "for_s", "from 0 to", 0),
        ({"when": "words > 1", "cooldown_s": float("inf")}, "cooldown_s", "from 0 to", 0),
        ({"when": "words > 1", "confirm": "1 / 0"}, "confirm", "got None", 0),
        ({"when": "words > 1", "score": "max  wrds"}, "score", "did you mean 'words'", 5),
        ({"when": "words > 1", "score": "mean event.speech"}, "score", "a number", 5),
        ({"when": "words > 1", "evidence": {"a": "count words"}}, "evidence", "stands alone", 6),
        ({"when": "words > 1", "evidence": {"a": "at_peak words"}}, "evidence", "max or peak", 0),
        ({"when": "words > 1", "label": "{words}"}, "label", "a text", 0),
        ({"when": "disagreement_label > 1"}, "when", "got a text", 0),
    ],
)
def test_what_has_no_meaning_in_a_rule_is_refused_by_field(rule, field, words, offset):
    with pytest.raises(RuleError, match=words) as caught:
        EventEngine("s", rules({"name": "r", **rule}))
    assert (caught.value.field, caught.value.offset) == (field, offset)


def test_every_builtin_rule_survives_being_written_out():
    assert [r.name for r in BUILTIN] == [k for k in KIND_NAMES if k != "sentiment_change"]
    again = EventSettings(
        rules=msgspec.convert(msgspec.to_builtins(BUILTIN), tuple[RuleSettings, ...])
    )
    whole = run(scene(SEED), END_NS, again)
    assert told(whole) == told(run(scene(SEED), END_NS))
