"""Events to an HTTP endpoint: every start, update and end as one POST of its JSON.

    python examples/webhook.py http://127.0.0.1:8000/attune --kind silence --kind face

At least once: the header Idempotency-Key is the same when a message is sent again. While the
endpoint is away messages wait in the socket, and what does not fit there is fetched from the
publisher's ring (ten minutes by default); what is gone for good is said on standard error.
"""

import argparse
import sys
import time
import urllib.error
import urllib.request

from attune.client import Delivery, subscribe
from streaming.holes import Hole, LostEnd
from streaming.results import Event

LONGEST_WAIT_S = 30.0
LATER = (408, 425, 429)  # of the answers 4xx those that mean: try again


def post(url: str, delivery: Delivery, event: Event) -> bool:
    """Send one message; True when it was taken or will never be, False to try again."""
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": f"{event.stream}-{event.epoch}-{event.seq}-{event.id}",
    }
    request = urllib.request.Request(url, delivery.payload, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10):
            return True
    except urllib.error.HTTPError as error:
        refused = 400 <= error.code < 500 and error.code not in LATER
        print(f"{url}: {error.code} {error.reason}", file=sys.stderr)
        return refused
    except OSError as error:
        print(f"{url}: {error}; trying again", file=sys.stderr)
        return False


def deliver(url: str, delivery: Delivery, event: Event) -> None:
    """Send one message, as often as it takes."""
    wait_s = 0.2
    while not post(url, delivery, event):
        time.sleep(wait_s)
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="where to POST")
    parser.add_argument("--address", default="tcp://127.0.0.1:7100", help="of the publisher")
    parser.add_argument("--stream", action="append", help="only this one; may be repeated")
    parser.add_argument("--kind", action="append", help="only this kind; may be repeated")
    parser.add_argument("--keys", help="folder with CURVE keys")
    asked = parser.parse_args()
    for item in subscribe(asked.address, asked.stream, keys=asked.keys):
        if isinstance(item, Hole):
            lost = f"{item.first} to {item.last} of {item.stream}"
            print(f"messages {lost} are gone for good", file=sys.stderr)
        if isinstance(item, LostEnd):
            lost = f"from {item.first} on of {item.stream or 'all other streams'}"
            print(f"messages {lost} may be gone: their publisher was lost", file=sys.stderr)
        event = item.message if isinstance(item, Delivery) else None
        if isinstance(event, Event) and (not asked.kind or event.kind in asked.kind):
            deliver(asked.url, item, event)


if __name__ == "__main__":
    main()
