"""Rules for all tests: where real data is, and that only integration tests may start Ray."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A shared machine may stand still for longer than Hypothesis' deadline of 200 ms.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("ATTUNE_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(autouse=True)
def no_ray(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting Ray outside tests/integration is an error."""
    if "integration" in Path(request.node.path).parts:
        return

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("this test starts Ray; only tests/integration may")

    monkeypatch.setattr("ray.init", refuse)


@pytest.fixture
def data() -> Path:
    """The folder of recordings that are not part of the repository."""
    if not DATA.is_dir():
        pytest.skip(f"needs the recordings in $ATTUNE_DATA or {DATA.name}/ beside the checkout")
    return DATA


@pytest.fixture
def media(data: Path) -> Path:
    """The real clips among them."""
    return data / "media"
