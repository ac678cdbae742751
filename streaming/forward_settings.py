"""What can be set of a forwarder, as typed structs. `attune.forward` reads them from YAML."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from streaming.settings import MetricsSettings, OutputSettings
from streaming.settings_base import Settings


class UpstreamSettings(Settings, frozen=True, kw_only=True):
    """A publisher whose messages are taken on. `name`: stands, with a dot, before the names of its
    streams; `keys`: folder with the forwarder's CURVE keys as a subscriber there. Streams beyond
    `max_streams` are refused."""

    address: str
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,32}$")] = ""
    keys: str = ""
    max_streams: Annotated[int, Meta(ge=1, le=100_000)] = 1000

    @property
    def label(self) -> str:
        """What the forwarder calls this publisher."""
        return self.name or self.address


class ForwardSettings(Settings, frozen=True, kw_only=True):
    """The whole configuration of a forwarder. A publisher that says nothing for `away_s` is away:
    its streams have lost their source."""

    upstreams: Annotated[tuple[UpstreamSettings, ...], Meta(min_length=1)]
    away_s: Annotated[float, Meta(ge=1, le=300)] = 3.0
    output: OutputSettings = OutputSettings()
    metrics: MetricsSettings = MetricsSettings()
