"""Which Ray cluster is joined; none is started here."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator

import pytest
from rich.console import Console

from actors import ray_join
from attune.run import _with_cluster
from streaming.errors import PipelineError, UsageError
from streaming.settings import AttuneSettings, PipelineSettings


@pytest.fixture
def head(monkeypatch) -> Iterator[str]:
    """An address at which somebody answers; this machine knows of no cluster."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray_join, "find_bootstrap_address", lambda _: None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_auto_is_what_the_environment_names_or_else_what_was_started_here(head, monkeypatch):
    monkeypatch.setattr(ray_join, "find_bootstrap_address", lambda _: head)
    assert ray_join.find("auto") == (head, "as ray start told here")
    monkeypatch.setattr(ray_join, "find_bootstrap_address", lambda _: "127.0.0.1:1")
    monkeypatch.setenv("RAY_ADDRESS", head)
    assert ray_join.find("auto") == (head, "RAY_ADDRESS")
    assert ray_join.find(head) == (head, "--address")


def test_auto_without_any_cluster_says_what_to_do(head):
    with pytest.raises(PipelineError, match=r"auto: no Ray cluster was started.*ray start --head"):
        ray_join.find("auto")


def test_a_cluster_that_is_gone_is_named_with_who_told_of_it(head, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        gone = f"127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setattr(ray_join, "find_bootstrap_address", lambda _: gone)
    with pytest.raises(PipelineError, match=rf"{gone} \(as ray start told here\), nobody answers"):
        ray_join.find("auto")


def test_what_is_no_address_is_refused_by_where_it_stands(head, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(UsageError, match=r"^RAY_ADDRESS 'ray://head:10001': expected HOST:PORT"):
        ray_join.find("auto")


def test_a_run_says_first_which_cluster_it_joins_and_joins_that_one(head, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", head)
    out = io.StringIO()
    settings = AttuneSettings(pipeline=PipelineSettings(address="auto"))
    joined = _with_cluster(settings, Console(file=out, width=200))
    assert joined.pipeline.address == head
    assert out.getvalue() == f"on the Ray cluster at {head} (RAY_ADDRESS)\n"
    out.truncate(0)
    assert _with_cluster(AttuneSettings(), Console(file=out)) == AttuneSettings()
    assert out.getvalue() == ""
