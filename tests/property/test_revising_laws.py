"""Provisional windows leave no trace: laws of the revising aligner on made-up streams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any
from unittest import mock

import msgspec
import pytest
from aligner_strategies import STREAM, exactly, lawless_steps, window_specs
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming import revising as revising_module
from streaming.aligner import Aligner
from streaming.health import Health
from streaming.packets import PacketBatch
from streaming.revising import RevisingAligner
from streaming.windows import Status, Window


def bare(windows: list[Window]) -> list[Any]:
    """All but what only a revising aligner says, and in which window health goes out."""
    plain = {"status": Status.FINAL, "revision": 0, "health": ()}
    return exactly(msgspec.structs.replace(w, **plain) for w in windows)


def told(health: list[Health]) -> Counter[str]:
    return Counter(repr(h) for h in health)


@pytest.fixture(scope="module", autouse=True)
def short_wait() -> Iterator[None]:
    """Streams here last some dozens of nanoseconds, and so must the wait for what is derived."""
    with mock.patch.object(revising_module, "DERIVED_WAIT_NS", 2):
        yield


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_settled_windows_are_those_of_the_longer_patience(data: st.DataObject) -> None:
    spec = data.draw(window_specs(deadlines=False))
    spec = msgspec.structs.replace(spec, deadline_ns=data.draw(st.sampled_from([1, 12, 25])))
    revise_ns = data.draw(st.sampled_from([1, 15, 60]))
    patience = msgspec.structs.replace(spec, deadline_ns=spec.deadline_ns + revise_ns)
    derived = data.draw(st.sampled_from([(), (spec.modalities[-1].modality,)]))
    revising = RevisingAligner(STREAM, spec, revise_ns, derived=derived)
    plain = Aligner(STREAM, patience)
    health: dict[str, list[Health]] = {"revising": [], "plain": []}
    shown: dict[int, Window] = {}
    first = 0  # index that nothing was shown of
    for step in data.draw(lawless_steps(spec)):
        if isinstance(step, PacketBatch):
            revising.push(step)
            plain.push(step)
            continue
        out, expected = revising.poll(step), plain.poll(step)
        settled = [w for w in out if w.status is not Status.PROVISIONAL]
        assert bare(settled[: len(expected)]) == bare(expected)
        for window in settled:
            assert_settles(shown.pop(window.index, None), window)
        rest = settled[len(expected) :]
        assert revising.finished or not rest
        assert not any(v.new_from < len(v.header) for w in rest for v in w.views)
        first = max([first, *(w.index + 1 for w in settled)])
        for window in out[len(settled) :]:
            assert window.index == first and window.status is Status.PROVISIONAL
            shown[first] = window
            first += 1
        if step is not None and not revising.finished and not derived:
            assert step < first * spec.hop_ns + spec.length_ns + spec.deadline_ns
        health["revising"] += [h for w in out for h in w.health]
        health["plain"] += [h for w in expected for h in w.health]
        assert revising.ledger() == plain.ledger()
        assert revising.finished == plain.finished
    if revising.finished:
        assert not shown
        health["revising"] += revising.leftover_health()
        health["plain"] += plain.leftover_health()
        assert told(health["revising"]) == told(health["plain"])


def assert_settles(shown: Window | None, window: Window) -> None:
    """Revised if, and only if, something else was shown before."""
    differs = shown is not None and content(shown) != content(window)
    assert window.status is (Status.REVISED if differs else Status.FINAL)
    assert window.revision == differs


def content(window: Window) -> list[Any]:
    return [(view.header.tobytes(), view.state, view.coverage) for view in window.views]
