"""What a source of frames is. `camera.py` has the live one, `files.py` video files and folders of images.

A source is opened by its constructor, which raises the error a user can act on, and read until `read` returns
None (the end) or raises CameraError (the camera is gone). Time stamps always advance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tsm_edge.errors import EdgeError


@dataclass(frozen=True)
class Frame:
    """One picture: uint8 BGR (H, W, 3), and when it was taken in seconds since the source's first frame.

    ``gap_s``: the source broke off for so many seconds before it; 0 in general.
    """

    image: np.ndarray
    t_s: float
    gap_s: float = 0.0


class Source(Protocol):
    """What the feeds read. ``live`` sources deliver at their own speed and cannot be asked to wait."""

    name: str
    live: bool

    def read(self) -> Frame | None:
        """Return the next frame, or None after the last."""

    def silence(self, seconds: float) -> EdgeError:
        """Return the error for a `read` that has not come back for ``seconds``."""

    def notes(self) -> list[str]:
        """Return what the user should know about how this source was read; known after the last frame."""

    def close(self) -> None:
        """Release the device or file; may be called twice."""
