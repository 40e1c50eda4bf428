"""SIGTERM and SIGHUP end a command as Ctrl-C does: what was begun is cleaned up, and the exit code is 128 + the signal.

The handler raises, so that every ``finally`` on the way out runs. Code that takes an exception for something else (a
compiler's callback, a broken worker) cannot hide the signal: ``received`` keeps it.
"""

from __future__ import annotations

import signal
from types import FrameType

#: of a shell, for a process that Ctrl-C ended
INTERRUPTED = 128 + signal.SIGINT
_NAMES = {signal.SIGTERM: "terminated", signal.SIGHUP: "terminated: the terminal is gone"}


class Terminated(KeyboardInterrupt):
    """The process was asked to end."""


class _Received:
    """The first signal that asked this process to end."""

    number: int | None = None


def listen() -> None:
    """Take SIGTERM and SIGHUP, where nobody has decided otherwise (``nohup`` ignores SIGHUP)."""
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


def _handle(number: int, frame: FrameType | None) -> None:
    _Received.number = _Received.number or number
    raise Terminated
