"""A recording beside the run: a thread of its own encodes, and no step waits for it."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path

import numpy as np

from tsm_edge.errors import OutputError
from tsm_edge.terminal import say

from .recorder import Recorder

ROOM = 4  # pictures that wait


class BackgroundRecorder:
    """Writes pictures in their order. ``wait``: for room, as a replay does, which has no clock.

    Otherwise a picture for which there is no room is left out, and the one before it stands longer in the recording.
    ``left_out`` counts them.
    """

    def __init__(self, recorder: Recorder, *, wait: bool, room: int = ROOM) -> None:
        self.left_out = 0
        self._recorder, self._wait, self._room = recorder, wait, room
        self._news = threading.Condition()
        self._waiting: deque[tuple[np.ndarray, float]] = deque()
        self._failure: OutputError | None = None
        self._closing = self._said = False
        self._thread = threading.Thread(target=self._work, name="tsm-edge-recorder", daemon=True)
        self._thread.start()

    def write(self, picture: np.ndarray, t_s: float) -> None:
        """Take a picture, which nobody changes any more; raise OutputError when the recording has failed."""
        with self._news:
            if self._wait:
                self._news.wait_for(lambda: len(self._waiting) < self._room or self._failure)
            self._raise_failure()
            if len(self._waiting) < self._room:
                self._waiting.append((picture, t_s))
                self._news.notify_all()
            else:
                self.left_out += 1

    def close(self) -> Path | None:
        """Write what waits, finish the file and return its path; None if nothing was written. May be repeated.

        Raises:
            OutputError: it could not be written.
        """
        with self._news:
            self._closing = True
            self._news.notify_all()
        self._thread.join()
        path = self._recorder.close()
        if self.left_out and not self._said:
            self._said = True
            say(f"note: {self.left_out} pictures are not in the recording: they came too fast for it", err=True)
        self._raise_failure()
        return path

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _work(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                picture, t_s = self._waiting[0]
            try:
                self._recorder.write(picture, t_s)
            except OutputError as error:
                with self._news:
                    self._failure = error
                    self._waiting.clear()
                    self._news.notify_all()
                return
            with self._news:
                self._waiting.popleft()
                self._news.notify_all()
