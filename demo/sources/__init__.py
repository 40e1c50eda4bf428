"""Sources of frames: cameras, streams, pipes, video files and folders of images.

`uri.py` has the grammar by which the user names one, `opening.py` opens it. A source is opened by its constructor,
which raises the error a user can act on, and read until `read` returns None (the end) or raises an EdgeError (the
camera is gone). Time stamps always advance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tsm_edge.errors import EdgeError


@dataclass(frozen=True)
class Frame:
    """One picture: uint8 BGR (H, W, 3), and when it was taken in seconds since the source's first frame.

    ``gap_s``: the source broke off for so many seconds before it; 0 in general. ``taken_at``: when a live source took
    it, in seconds of ``time.monotonic``, as far as that is known; None for files.
    """

    image: np.ndarray
    t_s: float
    gap_s: float = 0.0
    taken_at: float | None = None


class Source(Protocol):
    """What the feeds read. ``live`` sources deliver at their own speed and cannot be asked to wait.

    ``state``: what a live source is doing while it gives no frame ("connecting again"), "" while all is well.
    ``reconnects``: how often it was opened again. Both may be read from any thread.
    """

    @property
    def name(self) -> str:
        """What it is called, without secrets."""

    @property
    def live(self) -> bool:
        """Whether it delivers at its own speed."""

    @property
    def state(self) -> str:
        """What it is doing while it gives no frame."""

    @property
    def reconnects(self) -> int:
        """How often it was opened again."""

    def read(self) -> Frame | None:
        """Return the next frame, or None after the last."""

    def silence(self, seconds: float) -> EdgeError:
        """Return the error for a `read` that has not come back for ``seconds``."""

    def notes(self) -> list[str]:
        """Return what the user should know about how this source was read; known after the last frame."""

    def stop(self) -> None:
        """Let a `read` of another thread that waits for a frame come back soon, where that is possible."""

    def close(self) -> None:
        """Release the device or file; may be called twice."""
