"""Sinks: where encoded messages go."""

from streaming.sinks.base import Sink
from streaming.sinks.jsonl import JsonlSink
from streaming.sinks.memory import MemorySink
from streaming.sinks.metrics import MetricsSink
from streaming.sinks.publisher import Publisher
from streaming.sinks.replay import ReplayServer, open_replay
from streaming.sinks.zeromq import ZmqPublisher

__all__ = [
    "JsonlSink",
    "MemorySink",
    "MetricsSink",
    "Publisher",
    "ReplayServer",
    "Sink",
    "ZmqPublisher",
    "open_replay",
]
