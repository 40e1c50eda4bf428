"""What systemd is told of a run that it started: ready, alive, what it does, stopping (the protocol of sd_notify).

It is told that the run is alive only after a step of the model. A camera that gives no frame, a step that hangs, or a
process that is stuck: in each case nothing comes, and after `WatchdogSec=` systemd ends the process and starts another.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable

_STATUS_S = 10.0
_PARTS = 4  # of the time that systemd waits: so often it is told, so one message that is late does no harm


class Watchdog:
    """Speaks to the socket that the service manager has named in the environment.

    Args:
        address: path of the socket, or its abstract name with an @ before it.
        patience_s: how long the manager waits for a sign of life, 0 for ever.
        clock: seconds, for tests.
    """

    def __init__(self, address: str, patience_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._every_s = patience_s / _PARTS
        self._watched = patience_s > 0
        self._clock = clock
        self._ready = False
        self._lock = threading.Lock()
        self._stepped: set[int] = set()  # inputs, since we spoke last
        self._petted_at = self._described_at = float("-inf")

    @classmethod
    def from_environment(cls) -> Watchdog | None:
        """Return the watchdog of this process; None if no manager started it.

        The variables are taken away, so that programs which we start do not speak for us.
        """
        address = os.environ.pop("NOTIFY_SOCKET", "")
        patience = os.environ.pop("WATCHDOG_USEC", "")
        process = os.environ.pop("WATCHDOG_PID", "")
        if not address.startswith(("/", "@")):
            return None
        watched = patience.isascii() and patience.isdigit() and process in ("", str(os.getpid()))
        return cls(address, int(patience) / 1e6 if watched else 0.0)

    def tell(self, frames: int, fps: float, ms: float, dropped: int) -> None:
        """Say that a frame came and its step ended; the first says that the service is ready."""
        now = self._clock()
        pets = self._watched and now - self._petted_at >= self._every_s
        describes = now - self._described_at >= _STATUS_S
        words = ([] if self._ready else ["READY=1"]) + (["WATCHDOG=1"] if pets else [])
        if describes:
            words.append(f"STATUS={frames} frames, {fps:.1f} FPS, model {ms:.1f} ms, dropped {dropped}")
        if words and self._send("\n".join(words)):  # what did not get through is said again after the next step
            self._ready = True
            self._petted_at = now if pets else self._petted_at
            self._described_at = now if describes else self._described_at

    def share(self, number: int, count: int) -> Share:
        """Return the part of one input of ``count``: we are alive when every one has made a step."""
        return Share(self, number, count)

    def hear(self, number: int, count: int, frames: int, fps: float, ms: float, dropped: int) -> None:
        """Take a step of an input; from the thread of any."""
        with self._lock:
            self._stepped.add(number)
            if len(self._stepped) == count:
                self._stepped.clear()
                self.tell(frames, fps, ms, dropped)

    def close(self) -> None:
        """Say that the run ends, and close our end."""
        self._send("STOPPING=1")
        self._socket.close()

    def _send(self, text: str) -> bool:
        """Return whether it got through; a manager that does not listen is no reason to wait or to end."""
        try:
            self._socket.sendto(text.encode(), self._address)
        except OSError:
            return False
        return True


class Share:
    """One input's part in the sign of life."""

    def __init__(self, watchdog: Watchdog, number: int, count: int) -> None:
        self._watchdog, self._number, self._count = watchdog, number, count

    def tell(self, frames: int, fps: float, ms: float, dropped: int) -> None:
        """Say that a frame of this input came and its step ended."""
        self._watchdog.hear(self._number, self._count, frames, fps, ms, dropped)
