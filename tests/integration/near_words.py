"""What Attune makes of the words of another host: each packet and each health as a JSON line.

python near_words.py WORDS_ADDRESS WORDS_KEYS CLOCK_ADDRESS CLOCK_KEYS
"""

from __future__ import annotations

import json
import sys

from streaming.health import Health
from streaming.packets import Packet
from streaming.source_settings import TextSettings
from streaming.sources.text_feed import TextFeed


def main(words: str, words_keys: str, clock: str, clock_keys: str) -> None:
    settings = TextSettings(
        path=words, keys=words_keys, clock=clock, clock_keys=clock_keys, late_ms=2000
    )
    for item in TextFeed(settings, stream="s").items():
        if isinstance(item, Packet):
            error_ns = item.t_ns - int(item.payload.text)
            say(error_ns=error_ns, within_ns=item.uncertainty_ns)
        elif isinstance(item, Health):
            say(kind=item.kind, detail=item.detail)


def say(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
