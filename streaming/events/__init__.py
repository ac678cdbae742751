"""Events: what happens, as intervals with evidence, found by small pure state machines."""

from streaming.events.engine import EventEngine

__all__ = ["EventEngine"]
