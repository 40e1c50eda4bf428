"""What Home Assistant is told so that gestures appear there as an event entity, without a line of configuration.

It reads ``PREFIX/event/NODE/gesture/config`` and makes an entity of it, whose event is the label of each gesture
(https://www.home-assistant.io/integrations/event.mqtt/).
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence

from tsm_edge import __version__
from tsm_edge.terminal import printable

from .mqtt_address import Broker

#: makes the record's label the type of the event; the other fields become attributes of the entity
TEMPLATE = "{{ dict(value_json, event_type=value_json.label) | to_json }}"


def announcement(broker: Broker, node: str, model: str, gestures: Sequence[str]) -> tuple[str, bytes]:
    """Return the topic and the message. ``node`` names this board, ``gestures`` are the labels that can come."""
    config = {
        "name": "Gesture",
        "unique_id": f"{node}-gesture",
        "icon": "mdi:gesture",
        "state_topic": broker.topic("gesture"),
        "event_types": [printable(label) for label in gestures],
        "value_template": TEMPLATE,
        "availability_topic": broker.topic("availability"),
        "qos": 2,
        "device": {
            "identifiers": [node],
            "name": f"Gestures of {printable(socket.gethostname())}",
            "manufacturer": "tsm-edge",
            "model": printable(model),
            "sw_version": __version__,
        },
        "origin": {"name": "tsm-edge", "sw_version": __version__},
    }
    return f"{broker.discovery}/event/{node}/gesture/config", json.dumps(config).encode()
