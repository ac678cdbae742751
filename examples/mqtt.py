"""Scores and events to an MQTT broker, found by Home Assistant: pip install "attune[bridges]".

    python examples/mqtt.py --host 127.0.0.1

Each stream is a device with sensors (sentiment, arousal, loudness, faces) and a binary sensor for
each kind of event (ON while one is open). What is not known is "unknown", never 0. When this
program or its broker connection dies, the broker itself says that all of it is unavailable.
"""

import argparse
import json

import paho.mqtt.client as mqtt

from attune.client import Delivery, subscribe
from streaming.modality import Modality
from streaming.results import Event, Health, HealthKind, Message, Phase, Result

STATUS = "attune/status"
SENSORS = {  # name: unit
    "sentiment": None,
    "arousal": None,
    "loudness_dbfs": "dB",
    "faces": None,
}


class Bridge:
    """Publishes what messages say; every state is retained, so that who joins late knows it."""

    def __init__(self, client: mqtt.Client, prefix: str) -> None:
        self._client, self._prefix = client, prefix
        self._announced: set[str] = set()

    def take(self, message: Message) -> None:
        """Publish one message."""
        if isinstance(message, Result):
            self._result(message)
        elif isinstance(message, Event) and message.phase is not Phase.UPDATE:
            self._event(message)
        elif isinstance(message, Health) and message.kind is HealthKind.STREAM_ENDED:
            self._say(f"attune/{message.stream}/state", json.dumps(dict.fromkeys(SENSORS)))

    def _result(self, result: Result) -> None:
        for sensor, unit in SENSORS.items():
            template = f"{{{{ value_json.{sensor} if value_json.{sensor} is not none }}}}"
            extra = {"value_template": template, "state_class": "measurement"}
            extra |= {"unit_of_measurement": unit} if unit else {}
            self._announce("sensor", result.stream, sensor, f"attune/{result.stream}/state", extra)
        video = result.modalities.get(Modality.VIDEO)
        values = {
            "sentiment": result.sentiment.score if result.sentiment else None,
            "arousal": result.arousal,
            "loudness_dbfs": result.signals.loudness_dbfs,
            "faces": result.signals.faces if video and video.coverage else None,
        }
        self._say(f"attune/{result.stream}/state", json.dumps(values))

    def _event(self, event: Event) -> None:
        topic = f"attune/{event.stream}/event/{event.kind}"
        self._announce("binary_sensor", event.stream, event.kind, topic, {})
        self._say(topic, "OFF" if event.phase is Phase.END else "ON")

    def _announce(
        self, component: str, stream: str, name: str, topic: str, extra: dict[str, str]
    ) -> None:
        """Tell Home Assistant of a sensor, once."""
        key = f"attune_{stream}_{name}".replace(".", "_")
        if key in self._announced:
            return
        self._announced.add(key)
        told = {
            "name": name,
            "unique_id": key,
            "state_topic": topic,
            "availability_topic": STATUS,
            "device": {"identifiers": [f"attune_{stream}"], "name": f"Attune {stream}"},
            **extra,
        }
        self._say(f"{self._prefix}/{component}/{key}/config", json.dumps(told))

    def _say(self, topic: str, payload: str) -> None:
        self._client.publish(topic, payload, qos=1, retain=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1", help="of the MQTT broker")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--username")
    parser.add_argument("--password")
    parser.add_argument("--prefix", default="homeassistant", help="of Home Assistant's discovery")
    parser.add_argument("--address", default="tcp://127.0.0.1:7100", help="of the publisher")
    parser.add_argument("--keys", help="folder with CURVE keys")
    asked = parser.parse_args()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    if asked.username:
        client.username_pw_set(asked.username, asked.password)
    client.will_set(STATUS, "offline", qos=1, retain=True)
    client.on_connect = lambda *_: client.publish(STATUS, "online", qos=1, retain=True)
    client.connect(asked.host, asked.port)
    client.loop_start()  # it connects again by itself, and keeps what is to be said until then
    bridge = Bridge(client, asked.prefix)
    for item in subscribe(asked.address, latest=True, keys=asked.keys):
        if isinstance(item, Delivery):
            bridge.take(item.message)


if __name__ == "__main__":
    main()
