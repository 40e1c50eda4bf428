"""Pictures by a library whose calls may hang and cannot be interrupted: a thread of its own makes them all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

from tsm_edge.errors import EdgeError, StreamError

from .live import Picture

PATIENCE_S = 8.0  # for a sensor that starts, and between two pictures
_PARTING_S = 2.0


class Device(Protocol):
    """What the thread works with; its methods are called by that thread alone."""

    def open(self) -> None:
        """Open it; raises EdgeError in words."""

    def picture(self) -> np.ndarray | None:
        """Wait for the next picture, uint8 BGR; None at the end."""

    def close(self) -> None:
        """Release it."""


class Threaded:
    """One opened device as a connection of a live source. The newest picture is kept.

    A call that hangs for `PATIENCE_S` counts as a failure; its thread is left behind and ends with the process.

    Raises:
        EdgeError: it cannot be opened.
    """

    def __init__(self, name: str, device: Device, hint: str) -> None:
        self._name, self._device, self._hint = name, device, hint
        self._news = threading.Condition()
        self._newest: Picture | None = None
        self._opened = self._ended = self._closed = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="tsm-edge-device", daemon=True)
        self._thread.start()
        with self._news:
            self._news.wait_for(lambda: self._opened or self._failure, PATIENCE_S)
        if not self._opened:
            self.close()
            raise self._error("does not start")

    def read(self, stopped: Callable[[], bool]) -> Picture | None:
        """Wait for the next picture."""
        deadline = time.monotonic() + PATIENCE_S
        with self._news:
            while self._newest is None and not self._failure and not self._ended and not stopped():
                if time.monotonic() > deadline:
                    break
                self._news.wait(0.1)
            picture, self._newest = self._newest, None
        if picture is None and not stopped() and not self._ended:
            raise self._error("gives no frame")
        return picture

    def close(self) -> None:
        """Have the thread release the device; may be called twice."""
        self._closed = True
        self._thread.join(_PARTING_S)

    def _error(self, what: str) -> EdgeError:
        if isinstance(self._failure, EdgeError):
            return self._failure
        failure = self._failure
        found = f"nothing for {PATIENCE_S:g} s" if failure is None else f"{type(failure).__name__}: {failure}"
        return StreamError(f"{self._name} {what}.", found=found, hint=self._hint)

    def _work(self) -> None:
        try:
            self._device.open()
            try:
                self._tell(opened=True)
                while not self._closed and (image := self._device.picture()) is not None:
                    with self._news:
                        self._newest = Picture(image, time.monotonic())
                        self._news.notify_all()
            finally:
                self._device.close()
            self._tell(ended=True)
        except Exception as error:  # whatever the library raises; `read` and the constructor say it
            self._tell(failure=error)

    def _tell(self, *, opened: bool = False, ended: bool = False, failure: Exception | None = None) -> None:
        with self._news:
            self._opened, self._ended = self._opened or opened, self._ended or ended
            self._failure = failure or self._failure
            self._news.notify_all()
