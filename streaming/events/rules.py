"""Rules: events that a user defines, by conditions over results, signals and other events.

A rule's event begins where its condition began to hold, once it has held for `for_s` without a
break; it ends where `until` begins to hold (without it: where the condition no longer does). What
is unknown neither begins nor ends one; unknown for `LOST_AFTER_NS`, the event ends where its input
was last known. No event of a rule begins within `cooldown_s` of the end of the one before.
Judged hop by hop: times are exact to a hop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from streaming.clock import NS_PER_S
from streaming.errors import UsageError
from streaming.events.base import UPDATE_EVERY_NS, Ended, Evidence, Scribe
from streaming.events.expressions import (
    Expression,
    ExpressionError,
    Type,
    Value,
    Values,
    compile_expression,
)
from streaming.events.quantities import known_names
from streaming.results import Event
from streaming.settings import RuleSettings

LOST_AFTER_NS = 5 * NS_PER_S


class RuleError(UsageError):
    """What is wrong with rule `index`, in its `field`, at character `offset` of that."""

    def __init__(self, index: int, name: str, field: str, message: str, offset: int = 0) -> None:
        at = f" at character {offset + 1}" if offset else ""
        super().__init__(f"events.rules[{index}] {name!r}: {field}: {message}{at}")
        self.index, self.field, self.offset = index, field, offset
        self.plain = f"rule {name!r}: {field}: {message}"


@dataclass(frozen=True)
class Rule:
    """A rule, ready to be judged."""

    settings: RuleSettings
    when: Expression
    until: Expression | None
    score: Expression | None

    def over(self, streams: Sequence[Values]) -> Value:
        """Whether an event that is open is over by these values."""
        if self.until is not None:
            return self.until.across(streams)
        holds = self.when.across(streams)
        return None if holds is None else not holds


def compile_rules(settings: Sequence[RuleSettings], kinds: Sequence[str]) -> tuple[Rule, ...]:
    """All rules, in order. One may look at `kinds` and at rules before it. Raises RuleError."""
    rules: list[Rule] = []
    for index, rule in enumerate(settings):
        earlier = [r.settings for r in rules]
        if rule.name in kinds or rule.name in [r.name for r in earlier]:
            message = "there is an event kind of this name already; choose another"
            raise RuleError(index, rule.name, "name", message)
        local = [r.name for r in earlier if not r.across]
        rules.append(_compile(index, rule, known_names([*kinds, *local]), settings))
    return tuple(rules)


def _compile(
    index: int, rule: RuleSettings, known: dict[str, Type], every: Sequence[RuleSettings]
) -> Rule:
    def field(name: str, text: str, wanted: Type) -> Expression:
        try:
            return compile_expression(text, known, wanted, across=rule.across)
        except ExpressionError as error:
            message = _explained(str(error), every)
            raise RuleError(index, rule.name, name, message, error.offset) from None

    return Rule(
        rule,
        field("when", rule.when, Type.TRUTH),
        field("until", rule.until, Type.TRUTH) if rule.until else None,
        field("score", rule.score, Type.NUMBER) if rule.score else None,
    )


def _explained(message: str, every: Sequence[RuleSettings]) -> str:
    """Says more where a rule looks at itself, at a later one, or at one across streams."""
    for rule in every:
        if message.startswith(f"unknown quantity 'event.{rule.name}'"):
            return (
                f"'event.{rule.name}' is not known yet here: a rule can look at rules above it, "
                "not at itself, and at none across streams"
            )
    return message


class RuleTracker:
    """One rule of one stream (or of all), fed with values hop by hop."""

    def __init__(self, stream: str, rule: Rule) -> None:
        self._rule = rule
        self._for_ns = round(rule.settings.for_s * NS_PER_S)
        self._cooldown_ns = round(rule.settings.cooldown_s * NS_PER_S)
        self._scribe = Scribe(stream, rule.settings.name)
        self.open = False
        self._holds_since_ns: int | None = None
        self._free_from_ns: int | None = None
        self._start_ns = self._known_ns = self._reported_ns = 0
        self._score_sum, self._score_count = 0.0, 0
        self._evidence: Evidence = {}

    def hop(self, streams: Sequence[Values], start_ns: int, end_ns: int) -> Iterator[Event]:
        """Judge the hop `[start_ns, end_ns)`, in which `streams` had these values."""
        if self.open:
            yield from self._follow(streams, start_ns, end_ns)
        else:
            yield from self._await(streams, start_ns, end_ns)

    def finish(self, t_ns: int) -> Iterator[Event]:
        """End what is open."""
        yield from self._end(min(t_ns, self._known_ns), Ended.STREAM)

    def _await(self, streams: Sequence[Values], start_ns: int, end_ns: int) -> Iterator[Event]:
        if self._rule.when.across(streams) is not True:
            self._holds_since_ns = None
            return
        if self._holds_since_ns is None:
            self._holds_since_ns = start_ns
        since_ns = self._holds_since_ns
        if self._free_from_ns is not None:
            since_ns = max(since_ns, self._free_from_ns)
        if end_ns > since_ns and end_ns - since_ns >= self._for_ns:
            self.open, self._start_ns, self._known_ns = True, since_ns, end_ns
            self._reported_ns = end_ns
            self._score_sum, self._score_count = 0.0, 0
            self._note(streams)
            yield self._scribe.start(since_ns, self._label, self._score(end_ns), self._evidence)

    def _follow(self, streams: Sequence[Values], start_ns: int, end_ns: int) -> Iterator[Event]:
        over = self._rule.over(streams)
        if over:
            yield from self._end(start_ns, Ended.OVER)
            return
        if over is None:
            if end_ns - self._known_ns >= LOST_AFTER_NS:
                yield from self._end(self._known_ns, Ended.LOST)
            return
        self._known_ns = end_ns
        self._note(streams)
        if end_ns - self._reported_ns >= UPDATE_EVERY_NS:
            self._reported_ns = end_ns
            yield self._scribe.update(self._score(end_ns), self._evidence)

    def _end(self, end_ns: int, ended_by: str) -> Iterator[Event]:
        if not self.open:
            return
        self.open, self._holds_since_ns = False, None
        end_ns = max(end_ns, self._start_ns)
        self._free_from_ns = end_ns + self._cooldown_ns
        yield self._scribe.end(end_ns, self._score(end_ns), self._evidence, ended_by)

    @property
    def _label(self) -> str:
        return self._rule.settings.label or self._rule.settings.name

    def _note(self, streams: Sequence[Values]) -> None:
        """Remember what speaks for the event now."""
        score = None if self._rule.score is None else self._rule.score.across(streams)
        if score is not None:
            self._score_sum += score
            self._score_count += 1
        self._evidence = _evidence(self._rule, streams)

    def _score(self, end_ns: int) -> float:
        """The mean of the score so far; without one, how long the event has lasted in seconds."""
        if self._rule.score is None:
            return (end_ns - self._start_ns) / NS_PER_S
        return self._score_sum / self._score_count if self._score_count else 0.0


def _evidence(rule: Rule, streams: Sequence[Values]) -> Evidence:
    """The values of what the rule looks at; across streams, how many there are."""
    if rule.settings.across:
        return {"streams": float(len(streams))}
    (values,) = streams
    names = sorted(rule.when.names)
    return {name: float(value) for name in names if (value := values.get(name)) is not None}


class Happening:
    """Which kinds of event were open at any time of a hop."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def hop(self, events: Iterable[Event]) -> set[str]:
        """Take in what was told in this hop; the kinds that were open in it."""
        events = list(events)
        before = {kind for kind, count in self._open.items() if count}
        for event in events:
            change = {"start": 1, "end": -1}.get(event.phase, 0)
            self._open[event.kind] = self._open.get(event.kind, 0) + change
        return before | {event.kind for event in events}
