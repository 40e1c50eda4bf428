"""Ctrl-C, SIGTERM and SIGHUP as a flag, so that a run ends between two frames and not while one is written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_flag() -> Iterator[threading.Event]:
    """Give an event that the first Ctrl-C, SIGTERM or SIGHUP sets; the second acts as if nobody listened.

    Off the main thread, where Python allows no signal handlers, the event is simply never set.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    previous = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def handle(number: int, frame: FrameType | None) -> None:
        event.set()
        restore()

    for number in _SIGNALS:
        if number == signal.SIGHUP and previous[number] == signal.SIG_IGN:
            continue  # nohup
        signal.signal(number, handle)
    try:
        yield event
    finally:
        restore()
