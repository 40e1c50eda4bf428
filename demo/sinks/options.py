"""The options of ``tsm-edge demo`` that name sinks, and what they ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import click

from tsm_edge.options import NamedPath

from ..request import Request
from ..secret import find_secret
from .mqtt_address import Broker, parse_broker
from .webhook import Address, parse_key, parse_webhook

_Function = TypeVar("_Function", bound=Callable[..., object])

_OPTIONS = (
    click.option(
        "--webhook",
        metavar="URL",
        help="POST every event there as JSON, again and again until it is accepted. @FILE: the address is in a file.",
    ),
    click.option(
        "--webhook-secret-file",
        type=NamedPath(),
        help="Sign them with the secret in this file. Default: $TSM_EDGE_WEBHOOK_SECRET, else no signature.",
    ),
    click.option(
        "--mqtt",
        metavar="URL",
        help="Publish every event at this broker: mqtt[s]://[USER@]HOST[:PORT][/PREFIX]. Home Assistant finds the "
        "gestures by itself.",
    ),
    click.option(
        "--mqtt-password-file",
        type=NamedPath(),
        help="The password of USER is in this file. Default: $TSM_EDGE_MQTT_PASSWORD, else none.",
    ),
    click.option(
        "--mqtt-ca",
        type=NamedPath(),
        help="Certificates that the broker's is signed with. Default: the system's.",
    ),
    click.option(
        "--mqtt-discovery",
        metavar="TOPIC",
        help='Topic at which Home Assistant looks for devices; "" for nowhere. Default: homeassistant.',
    ),
)


def sink_options(function: _Function) -> _Function:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@dataclass(frozen=True)
class Wanted:
    """The sinks of a run, their addresses and secrets checked."""

    webhook: Address | None = None
    webhook_key: bytes | None = None
    broker: Broker | None = None


def wanted(request: Request) -> Wanted:
    """Check what the options name.

    Raises:
        UsageError: an address or a secret that cannot be used.
    """
    address = key = broker = None
    if request.webhook is not None:
        address = parse_webhook(request.webhook)
        key = parse_key(
            find_secret(
                "the secret of --webhook",
                request.webhook_secret_file,
                "tsm-edge.webhook-secret",
                "TSM_EDGE_WEBHOOK_SECRET",
            )
        )
    if request.mqtt is not None:
        password = find_secret(
            "the password of --mqtt",
            request.mqtt_password_file,
            "tsm-edge.mqtt-password",
            "TSM_EDGE_MQTT_PASSWORD",
        )
        broker = parse_broker(
            request.mqtt, password=password, ca=request.mqtt_ca, discovery=request.mqtt_discovery
        )
    return Wanted(address, key, broker)
