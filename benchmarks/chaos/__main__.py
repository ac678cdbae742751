"""Each part of a running pipeline is killed, frozen, delayed and lied to; what do subscribers see?

    make chaos    (or: python -m benchmarks.chaos [--streams 4] [--turns 1] [--hang-s 5] [--short])

One `attune run` in real time with keys, a journal and a control port, and three subscribers: one
near, one behind a slow network, one behind a network that is broken now and then. First each part
gets SIGKILL, then SIGSTOP, then rubbish from the part before it. Then the network between the
pipeline and two of the subscribers is delayed, held, cut and corrupted. Then strangers try to get
in. At the end everything that was published is compared with what each subscriber got or was told
that it missed.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import zmq

from benchmarks.chaos.intruders import all_trials
from benchmarks.chaos.log import Log, published
from benchmarks.chaos.pipeline import PARTS, SETTLE_S, Pipeline, running
from benchmarks.chaos.proxy import Proxy
from benchmarks.report import show, write

BACK_S = 30.0
NETWORK_S = 8.0
LINKS = ("align", "infer", "publish")
RUBBISH = 50  # messages


def main() -> int:
    """Print the tables; exit code 1 where something was lost undetected, or not refused."""
    arguments = _parsed()
    logs = {"near": Log(), "slow": Log(), "broken": Log()}
    near = logs["near"]
    with running(arguments.streams, arguments.hang_s, near) as pipeline:
        proxies = {name: Proxy(pipeline.port) for name in ("slow", "broken")}
        for name, proxy in proxies.items():
            logs[name].listen(f"tcp://127.0.0.1:{proxy.port}", pipeline.keys)
        parts = list(_parts(pipeline, near, arguments.turns, short=arguments.short))
        network = list(_network(proxies, logs))
        at_s = time.monotonic()
        trials = list(all_trials(pipeline, 3 if arguments.short else 20))
        disturbed_s = near.silence_s(at_s, good=False)
        time.sleep(SETTLE_S)
        pipeline.process.send_signal(signal.SIGINT)
        code = pipeline.process.wait(60)
        time.sleep(1)
        truth = published(pipeline.output)
    show(f"parts, {arguments.streams} streams", parts)
    show("network, by the subscriber behind it", network)
    show(
        f"strangers; longest time without a result meanwhile {disturbed_s or 0:.1f} s",
        [asdict(trial) for trial in trials],
    )
    ends = [_end(name, log, truth) for name, log in logs.items()]
    show(f"all in all, {len(truth)} messages; exit code after Ctrl-C: {code}", ends)
    write("chaos", {"parts": parts, "network": network, "trials": [*map(asdict, trials)]})
    undetected = sum(end["undetected"] for end in ends) + max(near.missing() - near.told(), 0)
    refused = all(trial.refused == trial.attempts for trial in trials)
    back = all(row["longest silence s"] is not None for row in parts)
    return int(undetected > 0 or not refused or not back)


def _parts(pipeline: Pipeline, log: Log, turns: int, *, short: bool) -> Iterator[dict[str, Any]]:
    def hit(number: signal.Signals) -> Callable[[str], None]:
        return lambda name: os.kill(pipeline.part(name).pid, number)

    names = ("align", "publish") if short else PARTS
    for _ in range(turns):
        for name in names:
            yield _struck(log, name, "SIGKILL", hit(signal.SIGKILL))
        for name in () if short else PARTS:
            yield _struck(log, name, "SIGSTOP", hit(signal.SIGSTOP))
        for name in LINKS:
            yield _struck(
                log, name, "rubbish", lambda at: send_rubbish(pipeline.link(at)), back_s=0
            )


def send_rubbish(address: str) -> None:
    """What no part would hand on."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as one:
        one.setsockopt(zmq.LINGER, 1000)
        one.connect(address)
        for number in range(RUBBISH):
            one.send(bytes([number]) * number)


def _struck(
    log: Log, part: str, fault: str, act: Callable[[str], None], back_s: float = BACK_S
) -> dict[str, Any]:
    """One fault, and what came of it until all was quiet again."""
    missing, told, twice = log.missing(), log.told(), log.twice
    at_s = time.monotonic()
    act(part)
    while time.monotonic() < at_s + back_s and log.restarted_s(at_s) is None:
        time.sleep(0.05)
    time.sleep(SETTLE_S)
    row = {
        "part": part,
        "fault": fault,
        "longest silence s": _rounded(log.silence_s(at_s)),
        "told after s": _rounded(log.restarted_s(at_s)),
        "new epoch after s": _rounded(log.new_epoch_s(at_s)),
        "windows missing": log.missing() - missing,
        "told of": log.told() - told,
        "twice": log.twice - twice,
    }
    print(row, file=sys.stderr, flush=True)
    return row


def _network(proxies: dict[str, Proxy], logs: dict[str, Log]) -> Iterator[dict[str, Any]]:
    slow, broken = proxies["slow"], proxies["broken"]

    def repeat(act: Callable[[], None]) -> None:
        for _ in range(4):
            act()
            time.sleep(NETWORK_S / 4)

    def during(proxy: Proxy, **faults: Any) -> Callable[[], None]:
        def act() -> None:
            before = {name: getattr(proxy.faults, name) for name in faults}
            for name, value in faults.items():
                setattr(proxy.faults, name, value)
            time.sleep(NETWORK_S)
            for name, value in before.items():
                setattr(proxy.faults, name, value)

        return act

    for name, what, act in (
        ("slow", "0.5 s of delay", during(slow, delay_s=0.5)),
        ("slow", f"nothing passes for {NETWORK_S:.0f} s", during(slow, held=True)),
        ("broken", "cut 4 times", lambda: repeat(broken.cut)),
        ("broken", "a byte of each 4 kB wrong", during(broken, broken=1.0)),
        ("broken", "of each 5th 4 kB", during(broken, broken=0.2)),
    ):
        log, near = logs[name], logs["near"]
        mended, gone, at_s = log.mended, len(log.gone), time.monotonic()
        act()
        time.sleep(SETTLE_S)
        row = {
            "subscriber": name,
            "network": what,
            "its longest silence s": _rounded(log.silence_s(at_s, good=False)),
            "messages mended": log.mended - mended,
            "gone for good": len(log.gone) - gone,
            "near one's longest silence s": _rounded(near.silence_s(at_s, good=False)),
        }
        print(row, file=sys.stderr, flush=True)
        yield row


def _end(name: str, log: Log, truth: set[tuple[int, str, int]]) -> dict[str, Any]:
    return {
        "subscriber": name,
        "messages": len(log.numbers),
        "of these mended": log.mended,
        "twice": log.twice,
        "gone for good": sum(hole.count for hole in log.gone),
        "ends not known": len(log.ends_lost),
        "undetected": log.undetected(truth),
        "windows missing": log.missing(),
        "told of by the pipeline": log.told(),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Hurt each part of a pipeline.")
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--turns", type=int, default=1, help="how often each fault of a part comes")
    parser.add_argument("--hang-s", type=float, default=5.0, help="silence taken for death")
    parser.add_argument("--short", action="store_true", help="two parts killed, few strangers")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
