"""Rules: what an event is, by conditions over results, signals and other events.

The built-in kinds are rules as those of users are (`builtin.yaml`). A rule is judged frame by frame
of what it names in `every`: `trackers.py` has a machine for each. Invariant: a rule that compiled
can be judged on any values whatever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streaming.clock import NS_PER_S
from streaming.errors import UsageError
from streaming.events.expressions import (
    Expression,
    ExpressionError,
    Type,
    Value,
    Values,
    compile_expression,
)
from streaming.events.quantities import known_names
from streaming.events.tally import WORDS, AtPeak, Count, Last, Mean, Measure, Measured, Tally
from streaming.settings import RuleSettings

GREATEST = 1e9  # seconds, or in a row
_DEFAULTS = RuleSettings(name="x", when="")
# What has no meaning for a rule of each grain, and would be passed over.
_IDLE = {
    "hop": ("hang_s",),
    "look": ("for_s", "hang_s", "across", "labels"),
    "loudness": ("confirm", "lost_after_s", "across", "labels"),
    "speech": ("confirm", "lost_after_s", "across", "labels"),
}


class RuleError(UsageError):
    """What is wrong with rule `index`, in its `field`, at character `offset` of that."""

    def __init__(self, index: int, name: str, field: str, message: str, offset: int = 0) -> None:
        at = f" at character {offset + 1}" if offset else ""
        super().__init__(f"events.rules[{index}] {name!r}: {field}: {message}{at}")
        self.index, self.field, self.offset = index, field, offset
        self.plain = f"rule {name!r}: {field}: {message}"


@dataclass(frozen=True)
class Rule:
    """A rule, ready to be judged. Its times in nanoseconds."""

    settings: RuleSettings
    when: Expression
    until: Expression | None
    score: Measured | None
    evidence: tuple[tuple[str, Measured], ...]
    labels: Mapping[str, Expression]
    label: Measured | None
    for_ns: int
    hang_ns: int
    lost_ns: int
    cooldown_ns: int
    confirm: int
    names: frozenset[str]  # all quantities that it looks at

    def over(self, streams: Sequence[Values]) -> Value:
        """Whether an event that is open is over by these values."""
        if self.until is not None:
            return self.until.across(streams)
        holds = self.when.across(streams)
        return None if holds is None else not holds

    def label_of(self, streams: Sequence[Values]) -> str:
        """What an event is called that begins with these values, if no measure says so."""
        fitting = (name for name, holds in self.labels.items() if holds.across(streams))
        return next(fitting, self.settings.label or self.settings.name)

    def tally(self) -> Tally:
        """Of an event that may begin."""
        return Tally(self.score, self.evidence, self.label)


def compile_rules(
    settings: Sequence[RuleSettings],
    kinds: Sequence[str],
    *,
    constants: Mapping[str, float] | None = None,
    before: Sequence[Rule] = (),
) -> tuple[Rule, ...]:
    """All rules, in order. One may look at `kinds`, at rules `before` and at those above it; it
    may name `constants`. Raises RuleError."""
    rules = list(before)
    for index, rule in enumerate(settings):
        earlier = [r.settings for r in rules]
        if rule.name in kinds or rule.name in [r.name for r in earlier]:
            message = "there is an event kind of this name already; choose another"
            raise RuleError(index, rule.name, "name", message)
        local = [r.name for r in earlier if not r.across]
        known = known_names([*kinds, *local], rule.every)
        rules.append(_Compiler(index, rule, known, constants or {}, settings).rule())
    return tuple(rules[len(before) :])


class _Compiler:
    """One rule, field by field."""

    def __init__(
        self,
        index: int,
        rule: RuleSettings,
        known: Mapping[str, Type],
        constants: Mapping[str, float],
        every: Sequence[RuleSettings],
    ) -> None:
        self._index, self._rule, self._every = index, rule, every
        self._known, self._constants = known, constants
        self._names: set[str] = set()

    def rule(self) -> Rule:
        told = self._rule
        for field in _IDLE[told.every]:
            if getattr(told, field) != getattr(_DEFAULTS, field):
                raise self._error(field, f"has no meaning for a rule of every: {told.every}")
        when = self._expression("when", told.when, Type.TRUTH)
        named = {k: f"last {k}" for k in sorted(when.names)} if not told.across else {}
        texts = told.evidence or named
        evidence = [(k, self._measure("evidence", text, Last)) for k, text in texts.items()]
        if told.across and not told.evidence:
            evidence = [("streams", (Last, lambda at: float(len(at))))]
        dynamic = told.label.startswith("{") and told.label.endswith("}")
        return Rule(
            told,
            when,
            self._expression("until", told.until, Type.TRUTH) if told.until else None,
            self._measure("score", told.score, Mean) if told.score else None,
            tuple(evidence),
            {k: self._expression("labels", v, Type.TRUTH) for k, v in told.labels.items()},
            self._measure("label", told.label[1:-1], Last) if dynamic else None,
            for_ns=self._ns("for_s"),
            hang_ns=self._ns("hang_s"),
            lost_ns=self._ns("lost_after_s"),
            cooldown_ns=self._ns("cooldown_s"),
            confirm=max(round(self._number("confirm")), 1),
            names=frozenset(self._names),
        )

    def _measure(self, field: str, text: str, word: type[Measure]) -> Measured:
        """`[WORD] EXPRESSION`, or `count`."""
        first, _, rest = text.strip().partition(" ")
        before = 0
        if first in WORDS:
            word, before = WORDS[first], text.index(first) + len(first) + 1
            text = rest
        if word is Count:
            if rest:
                raise self._error(field, "count stands alone", before)
            return Count, lambda at: None
        if word is AtPeak and not self._rule.score.startswith(("max ", "peak ")):
            raise self._error(field, "at_peak: expected a score by max or peak")
        numeric = field == "score" or word.of_numbers
        wanted = Type.TEXT if field == "label" else Type.NUMBER if numeric else None
        return word, self._expression(field, text, wanted, before).across

    def _ns(self, field: str) -> int:
        return round(self._number(field) * NS_PER_S)

    def _number(self, field: str) -> float:
        """A number that is given, or a sum of settings."""
        found = told = getattr(self._rule, field)
        if isinstance(told, str):
            try:
                found = compile_expression(told, {}, Type.NUMBER, constants=self._constants).of({})
            except ExpressionError as error:
                raise self._error(field, str(error), error.offset) from None
        if found is None or not 0 <= found <= GREATEST:
            raise self._error(field, f"expected a number from 0 to {GREATEST:g}, got {found}")
        return float(found)

    def _expression(
        self, field: str, text: str, wanted: Type | None, before: int = 0
    ) -> Expression:
        """Compiled; `before`: how many characters of the field stand before `text`."""
        try:
            found = compile_expression(
                text, self._known, wanted, across=self._rule.across, constants=self._constants
            )
        except ExpressionError as error:
            offset = before + error.offset
            raise self._error(field, self._explained(str(error)), offset) from None
        self._names |= found.names
        return found

    def _error(self, field: str, message: str, offset: int = 0) -> RuleError:
        return RuleError(self._index, self._rule.name, field, message, offset)

    def _explained(self, message: str) -> str:
        """Says more where a rule looks at itself, at a later one, or at one across streams."""
        for rule in self._every:
            if message.startswith(f"unknown quantity 'event.{rule.name}'"):
                return (
                    f"'event.{rule.name}' is not known yet here: a rule can look at rules above "
                    "it, not at itself, and at none across streams"
                )
        return message
