"""A program on another host: it pushes words, dated by its own clock, and tells what that shows.

    python far_words.py WORDS_ADDRESS WORDS_KEYS CLOCK_ADDRESS CLOCK_KEYS

Its clock runs fast by 100 ppm and began at another time; a line on standard input sets it back by
two hours. The words are the true time, on the monotonic clock that both hosts of a test share.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import zmq

from streaming.clock_port import ClockPort
from streaming.keys import read_client_keys, read_server_keys, use_keys

EVERY_S, BACK_NS = 0.025, 7200 * 10**9


class FarClock:
    """A clock with a crystal of its own."""

    def __init__(self) -> None:
        self._begin_ns, self.zero_ns = time.monotonic_ns(), 10**15

    def now_ns(self) -> int:
        return self.shows(time.monotonic_ns())

    def shows(self, true_ns: int) -> int:
        past_ns = true_ns - self._begin_ns
        return self.zero_ns + past_ns + past_ns // 10_000


def main(words: str, words_keys: str, told: str, clock_keys: str) -> None:
    clock, stop = FarClock(), threading.Event()
    port = ClockPort(told, read_server_keys(Path(clock_keys)), clock.now_ns)
    threading.Thread(target=port.serve, args=(stop,), daemon=True).start()
    threading.Thread(target=push, args=(words, words_keys, clock), daemon=True).start()
    for _ in sys.stdin:
        clock.zero_ns -= BACK_NS


def push(address: str, keys: str, clock: FarClock) -> None:
    socket = zmq.Context.instance().socket(zmq.PUSH)
    use_keys(socket, read_client_keys(Path(keys)))
    socket.connect(address)
    while True:
        true_ns = time.monotonic_ns()
        message = {"text": str(true_ns), "start_ns": clock.shows(true_ns)}
        socket.send(json.dumps(message).encode())
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
