"""Words posted to a WebSocket that is served here, by programs and by a page in a browser."""

from __future__ import annotations

import functools
import http.client
import json
import os
import shutil
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import ANY_PORT, messages, start
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from words_reader import WAIT_S, Reader, free_port, reading, words

from streaming.errors import SourceError
from streaming.health import Health, HealthKind
from streaming.packets import Packet
from streaming.source_settings import TextSettings
from streaming.sources.text_feed import TextFeed
from streaming.sources.text_port import CUT_BYTES

START_S = 90.0  # of a run on a busy machine
TOKEN = "a_token_of_this_test"
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def port() -> int:
    return free_port()


def secret(path: Path, text: str = TOKEN) -> str:
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)


def say(client: ClientConnection, message: str | bytes) -> dict[str, Any]:
    client.send(message)
    reply: dict[str, Any] = json.loads(client.recv(timeout=WAIT_S))
    return reply


def test_any_number_of_clients_post_and_each_message_is_answered(port):
    # Eve   hello         {                  (gone)
    # bot          hi         over 64 kB
    # told  hello  hi  corrupt x 2, at most once a second
    with reading(f"ws+listen://127.0.0.1:{port}", language="en") as reader:
        url = f"ws://127.0.0.1:{port}"
        with connect(f"{url}/any/path") as eve, connect(url) as bot:
            before_ns = time.monotonic_ns()
            said = '{"text": "hello", "speaker": "Eve", "language": "de"}\n'
            assert say(eve, said) == {"taken": True, "error": ""}
            assert say(bot, words("hi")) == {"taken": True, "error": ""}
            broken, large = say(eve, "{"), say(bot, words("x" * 70_000))
        assert [broken["taken"], large["taken"]] == [False, False]
        assert broken["error"].startswith("a message is not a message of words: ")
        assert "at most 65536 are taken" in large["error"]
        hello, hi = reader.next_item(), reader.next_item()
    assert isinstance(hello, Packet)
    assert isinstance(hi, Packet)
    assert before_ns < hello.t_ns < hi.t_ns < time.monotonic_ns()
    assert [p.payload.text for p in (hello, hi)] == ["hello", "hi"]
    assert [p.payload.speaker for p in (hello, hi)] == ["Eve", ""]
    assert [p.payload.language for p in (hello, hi)] == ["de", "en"]
    assert refused(reader, HealthKind.CORRUPT) == 2


def test_a_flood_costs_who_sends_it_and_nothing_is_unaccounted(port):
    # flooder  x x x ... x   x       x  (20 at once, then 20 a second, Eve in her turn)
    # Eve                      hello      2 MB
    replies: list[dict[str, Any]] = []

    def flood() -> None:
        with connect(f"ws://127.0.0.1:{port}") as client, suppress(ConnectionClosed):
            for _ in range(5_000):
                client.send(words("x"))
            while True:
                replies.append(json.loads(client.recv(timeout=WAIT_S)))

    with reading(f"ws+listen://127.0.0.1:{port}", max_per_s=20) as reader:
        flooder = threading.Thread(target=flood, daemon=True)
        flooder.start()
        until(lambda: reader.came.qsize() >= 25)
        with connect(f"ws://127.0.0.1:{port}") as eve:
            assert say(eve, words("hello"))["taken"]
            came = reader.came.qsize()
            eve.send(b"x" * (CUT_BYTES + 1))
            with pytest.raises(ConnectionClosed):
                eve.recv(timeout=WAIT_S)
        until(lambda: reader.came.qsize() >= 40)
    flooder.join(WAIT_S)
    items = reader.rest()
    packets = [i for i in items if isinstance(i, Packet)]
    texts = [p.payload.text for p in packets]
    assert texts.index("hello") < came < 100
    assert texts.count("x") == sum(reply["taken"] for reply in replies)
    assert {r["error"] for r in replies if not r["taken"]} <= {"the stream has ended"}
    in_a_second = [sum(0 <= q.t_ns - p.t_ns < 10**9 for q in packets) for p in packets]
    assert max(in_a_second) <= 20 + 20
    told = [(i.kind, i.count) for i in items if isinstance(i, Health)]
    assert told == [(HealthKind.CORRUPT, 1)]


def test_only_who_knows_the_token_and_no_page_of_another_site_gets_in(port, tmp_path):
    url, site = f"ws://127.0.0.1:{port}", "http://127.0.0.1:8000"
    token = secret(tmp_path / "token")
    offer = ["attune.words", f"token.{TOKEN}"]
    with reading(f"ws+listen://127.0.0.1:{port}", token_file=token, origins=(site,)) as reader:
        for status, asked in (
            (401, {}),
            (401, {"additional_headers": {"Authorization": f"Bearer {TOKEN}x"}}),
            (401, {"subprotocols": ["attune.words", "token.wrong"]}),
            (403, {"subprotocols": offer, "origin": "http://evil.example"}),
            (403, {"subprotocols": offer, "origin": "null"}),
        ):
            with pytest.raises(InvalidStatus) as answer:
                connect(url, **asked)
            assert answer.value.response.status_code == status
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        with connect(url, additional_headers=bearer) as bot:
            assert say(bot, words("I know it"))["taken"]
        with connect(url, subprotocols=offer, origin=site) as page:
            assert page.subprotocol == "attune.words"
            assert say(page, words("so do I"))["taken"]
    items = reader.rest()
    assert [i.payload.text for i in items if isinstance(i, Packet)] == ["I know it", "so do I"]
    told = [i for i in items if isinstance(i, Health)]
    assert sum(i.count for i in told) == 5
    assert all("a client was turned away (HTTP 40" in i.detail for i in told)
    assert TOKEN not in str(told)


def test_with_a_certificate_it_is_encrypted(port, tmp_path):
    pem = tmp_path / "both.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
            *("ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", tmp_path / "key", "-out", tmp_path / "cert"),
        ],
        check=True,
        capture_output=True,
    )
    secret(pem, (tmp_path / "cert").read_text() + (tmp_path / "key").read_text())
    trust = ssl.create_default_context(cafile=tmp_path / "cert")
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with reading(
        f"wss+listen://0.0.0.0:{port}",
        certificate=str(pem),
        token_file=secret(tmp_path / "token"),
    ) as reader:
        with connect(f"wss://localhost:{port}", ssl=trust, additional_headers=bearer) as client:
            assert say(client, words("hidden"))["taken"]
        assert reader.next() == "hidden"


def test_what_cannot_be_served_is_a_clear_error(port, tmp_path):
    def complaint(**settings: Any) -> str:
        with pytest.raises(SourceError) as told:
            TextFeed(TextSettings(**settings), stream="s")
        assert TOKEN not in str(told.value)
        return str(told.value)

    here = f"ws+listen://127.0.0.1:{port}"
    readable = tmp_path / "readable"
    readable.write_text(TOKEN)
    assert "chmod 600" in complaint(path=here, token_file=str(readable))
    assert "expected a token in" in complaint(path=here, token_file=str(tmp_path / "none"))
    short = secret(tmp_path / "short", "short")
    assert "openssl rand -hex 32" in complaint(path=here, token_file=short)
    secure = {"path": f"wss+listen://127.0.0.1:{port}", "certificate": short}
    assert "both as PEM" in complaint(**secure)
    with reading(here):
        assert "Address already in use; stop what serves there" in complaint(path=here)
    with reading(here):  # the address is free again as soon as it was closed
        pass


def test_a_run_takes_what_is_posted_into_its_windows(port, tmp_path, running):
    out = tmp_path / "out.jsonl"
    listen = f"ws+listen://127.0.0.1:{port}"
    run = start(
        *("run", "--inline", "--consent", "--text", listen, "--output", out),
        *("--set", f"output.publish={ANY_PORT}", "--set", "windows.deadline_ms=50"),
    )
    running.append(run)
    with until(lambda: connected(f"ws://127.0.0.1:{port}"), START_S) as client:
        assert say(client, words("I am so happy today"))["taken"]
        until(lambda: out.exists() and any(r["signals"]["words"] for r in results(out)))
    run.terminate()
    run.communicate(timeout=WAIT_S)
    assert max(r["signals"]["words"] for r in results(out)) == 5


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs the browser chromium")
def test_the_page_posts_from_its_own_site_and_from_no_other(port, tmp_path):
    with served(EXAMPLES) as site, served(EXAMPLES) as other, browser(tmp_path) as evaluate:
        token = secret(tmp_path / "token")
        with reading(f"ws+listen://127.0.0.1:{port}", token_file=token, origins=(site,)) as reader:
            assert [posted(evaluate, page, port) for page in (other, site)] == ["refused", "taken"]
            told, packet = reader.next_item(), reader.next_item()
    assert isinstance(told, Health)
    assert "invalid Origin header" in told.detail
    assert isinstance(packet, Packet)
    assert (packet.payload.text, packet.payload.speaker) == ("I am here", "Eve")


def posted(evaluate: Callable[[str], Any], site: str, port: int) -> str:
    """What the page of `site` shows of a message that it posts."""
    evaluate(f"location.href = '{site}/chat_page.html'")
    until(lambda: evaluate("document.readyState + location.origin") == f"complete{site}")
    evaluate(
        f"""field("address").value = "ws://127.0.0.1:{port}"; field("token").value = "{TOKEN}";
        field("speaker").value = "Eve"; field("text").value = "I am here";
        field("form").requestSubmit()"""
    )
    return str(until(lambda: evaluate("document.querySelector('#said li')?.dataset.state")))


def until(found: Callable[[], Any], wait_s: float = WAIT_S) -> Any:
    """What `found` gives once it gives something."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(0.02)
    raise AssertionError("it did not come about")


def refused(reader: Reader, kind: HealthKind) -> int:
    return sum(i.count for i in reader.rest() if isinstance(i, Health) and i.kind is kind)


def connected(url: str) -> ClientConnection | None:
    with suppress(OSError):
        return connect(url)
    return None


def results(out: Path) -> list[dict[str, Any]]:
    with suppress(ValueError):  # a line that is being written
        return messages(out, "result")
    return []


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A site of its own with the files of `folder`."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@contextmanager
def browser(folder: Path) -> Iterator[Callable[[str], Any]]:
    """Chromium without a window, and what evaluates JavaScript in its page."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--disable-dev-shm-usage", "--remote-debugging-port=0", "about:blank"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        [*command, f"--user-data-dir={folder / 'profile'}"],
        stdout=quiet,
        stderr=quiet,
        start_new_session=True,
        env=os.environ | {"HOME": str(folder)},
    )
    try:
        told = folder / "profile" / "DevToolsActivePort"
        until(lambda: told.exists() and told.read_text().count("\n"))
        yield functools.partial(evaluated, until(lambda: page_of(told.read_text().split()[0])))
    finally:
        process.terminate()
        process.wait(WAIT_S)


def page_of(port: str) -> str | None:
    with suppress(OSError, http.client.HTTPException):
        listed = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=WAIT_S))
        return next((p["webSocketDebuggerUrl"] for p in listed if p["type"] == "page"), None)
    return None


def evaluated(address: str, script: str) -> Any:
    with connect(address) as tools:
        asked = {"id": 1, "method": "Runtime.evaluate", "params": {"expression": script}}
        tools.send(json.dumps(asked))
        return json.loads(tools.recv(timeout=WAIT_S))["result"]["result"].get("value")
