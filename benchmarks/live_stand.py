"""What stands for a device or a server that may die: a process of its own that sends until killed.

`python -m benchmarks.live_stand zmq|websocket|camera PORT`; it says "ready" once it can be reached.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EVERY_S = 0.1
FRAME_S = 0.04
WORDS = ("this is really great", "i am not so sure", "what a terrible mess", "thank you all")


def messages() -> Iterator[bytes]:
    """A message of words every tenth of a second, for ever."""
    number = 0
    while True:
        yield json.dumps({"text": WORDS[number % len(WORDS)], "speaker": "Eve"}).encode()
        number += 1
        time.sleep(EVERY_S)


def _zmq(port: int) -> None:
    import zmq

    socket = zmq.Context().socket(zmq.PUB)
    socket.bind(f"tcp://127.0.0.1:{port}")
    _ready()
    for message in messages():
        socket.send_multipart([b"chat", message])


def _websocket(port: int) -> None:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.server import ServerConnection, serve

    def speak(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            for message in messages():
                connection.send(message.decode())

    with serve(speak, "127.0.0.1", port) as server:
        _ready()
        server.serve_forever()


def _camera(port: int) -> None:
    """Motion JPEG over HTTP, as network cameras have it."""
    import cv2
    from skimage import data

    face = cv2.cvtColor(cv2.resize(data.astronaut(), (320, 320)), cv2.COLOR_RGB2BGR)

    class Pictures(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            number = 0
            with suppress(OSError):
                while True:
                    picture = face.copy()
                    picture[:20, number % 300 : number % 300 + 20] = 255
                    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}"
                    self.wfile.write(head.encode() + b"\r\n\r\n" + jpeg + b"\r\n")
                    number += 1
                    time.sleep(FRAME_S)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Pictures)
    _ready()
    server.serve_forever()


def _ready() -> None:
    print("ready", flush=True)


KINDS: dict[str, Callable[[int], None]] = {
    "zmq": _zmq,
    "websocket": _websocket,
    "camera": _camera,
}

if __name__ == "__main__":
    KINDS[sys.argv[1]](int(sys.argv[2]))
