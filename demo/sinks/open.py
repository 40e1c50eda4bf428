"""The sinks of a run, opened in one place."""

from __future__ import annotations

from collections.abc import Sequence

from .options import Wanted
from .sink import Sink
from .webhook import Webhook


def open_sinks(wanted: Wanted, model: str, gestures: Sequence[str]) -> list[Sink]:
    """Open what the options asked for; none needs its other side to be there yet.

    ``model``: the network's name; ``gestures``: the labels that can be events.
    """
    sinks: list[Sink] = []
    if wanted.webhook is not None:
        sinks.append(Webhook(wanted.webhook, wanted.webhook_key))
    if wanted.broker is not None:
        from .mqtt import Mqtt

        sinks.append(Mqtt(wanted.broker, model, gestures))
    return sinks


def check_packages(wanted: Wanted) -> None:
    """Import what the sinks need, before anything takes time; ImportError names what is missing."""
    if wanted.broker is not None:
        import paho.mqtt.client  # noqa: F401
