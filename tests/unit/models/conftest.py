"""One load of the shipped weights for all tests here; every test uses streams of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from models.analyser import Analyser
from models.threads import limit_threads


@pytest.fixture(scope="session")
def analyser() -> Analyser:
    limit_threads(1)
    analyser = Analyser.load(device="cpu")
    analyser.limit = np.inf  # scripted people say little; the rule itself has tests of its own
    return analyser


@pytest.fixture
def fresh(analyser: Analyser) -> Callable[[], str]:
    """Names of streams that no test used before."""
    return lambda counter=_COUNTER: f"stream-{next(counter)}"


_COUNTER = itertools.count()
