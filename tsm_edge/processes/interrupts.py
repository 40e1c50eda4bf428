"""SIGTERM and SIGHUP end a command as Ctrl-C does: what was begun is cleaned up, and the exit code is 128 + the signal.

The handler raises, so that every ``finally`` on the way out runs. Code that takes an exception for something else (a
compiler's callback, a broken worker) cannot hide the signal: ``received`` keeps it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

#: of a shell, for a process that Ctrl-C ended
INTERRUPTED = 128 + signal.SIGINT
_NAMES = {signal.SIGTERM: "terminated", signal.SIGHUP: "terminated: the terminal is gone"}


class Terminated(KeyboardInterrupt):
    """The process was asked to end."""


class _Received:
    """The first signal that asked this process to end."""

    number: int | None = None
    deferred = 0
    pending: int | None = None


def listen() -> None:
    """Take SIGTERM, SIGHUP and Ctrl-C, where nobody has decided otherwise (``nohup`` ignores SIGHUP)."""
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, _handle)
    for number in _NAMES:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _handle)


def received() -> bool:
    """Whether such a signal has come."""
    return _Received.number is not None


def outcome() -> tuple[str, int]:
    """Return what to say about the end that was asked for, and the exit code."""
    number = _Received.number
    if number is None:
        return "interrupted", INTERRUPTED
    return _NAMES[signal.Signals(number)], 128 + number


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Put a signal off until the end of the context, for a step that must not be cut in two."""
    if threading.current_thread() is not threading.main_thread():  # signals come to that one alone
        yield
        return
    _Received.deferred += 1
    try:
        yield
    finally:
        _Received.deferred -= 1
    if _Received.pending is not None and not _Received.deferred:
        number, _Received.pending = _Received.pending, None
        _raise(number)


def _handle(number: int, frame: FrameType | None) -> None:
    if number != signal.SIGINT:
        _Received.number = _Received.number or number
    if _Received.deferred:
        _Received.pending = number
        return
    _raise(number)


def _raise(number: int) -> NoReturn:
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated
