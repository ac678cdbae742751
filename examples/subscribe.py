"""Everything Attune publishes, in plain ZeroMQ and JSON: pip install pyzmq, then run this."""

import json
import sys

import zmq

socket = zmq.Context().socket(zmq.SUB)
socket.connect(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:7100")
socket.subscribe("result/")
while True:
    topic, payload = socket.recv_multipart()
    result = json.loads(payload)
    score = result["sentiment"]["score"] if result["sentiment"] else None
    print(topic.decode(), result["seq"], result["end_ns"] / 1e9, score, flush=True)
