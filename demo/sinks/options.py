"""The options of ``tsm-edge demo`` that name sinks, and what they ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from tsm_edge.options import NamedPath

from ..request import Request
from .secret import find_secret
from .webhook import Address, parse_key, parse_webhook

_Function = TypeVar("_Function", bound=Callable[..., Any])

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


def wanted(request: Request) -> Wanted:
    """Check what the options name.

    Raises:
        UsageError: an address or a secret that cannot be used.
    """
    if request.webhook is None:
        return Wanted()
    secret = find_secret(
        "the secret of --webhook",
        request.webhook_secret_file,
        "tsm-edge.webhook-secret",
        "TSM_EDGE_WEBHOOK_SECRET",
    )
    return Wanted(parse_webhook(request.webhook), parse_key(secret))
