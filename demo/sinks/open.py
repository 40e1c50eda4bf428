"""The sinks of a run, opened in one place."""

from __future__ import annotations

from .options import Wanted
from .sink import Sink
from .webhook import Webhook


def open_sinks(wanted: Wanted) -> list[Sink]:
    """Open what the options asked for; none needs its other side to be there yet."""
    sinks: list[Sink] = []
    if wanted.webhook is not None:
        sinks.append(Webhook(wanted.webhook, wanted.webhook_key))
    return sinks
