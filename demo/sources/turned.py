"""A source whose pictures are turned by quarters, for a camera that hangs on its side or upside down."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from tsm_edge.errors import EdgeError

from . import Frame, Source

_CODES = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class Turned:
    """``source``, each picture turned by so many ``degrees`` clockwise (90, 180 or 270)."""

    def __init__(self, source: Source, degrees: int) -> None:
        self.name, self.live = source.name, source.live
        self._source, self._code = source, _CODES[degrees]

    @property
    def state(self) -> str:
        """What the source is doing while it gives no frame."""
        return self._source.state

    @property
    def reconnects(self) -> int:
        """How often it was opened again."""
        return self._source.reconnects

    def read(self) -> Frame | None:
        """Return the next frame, turned."""
        frame = self._source.read()
        return frame and replace(frame, image=np.asarray(cv2.rotate(frame.image, self._code), np.uint8))

    def silence(self, seconds: float) -> EdgeError:
        """Return the error of the source."""
        return self._source.silence(seconds)

    def notes(self) -> list[str]:
        """Return those of the source."""
        return self._source.notes()

    def stop(self) -> None:
        """Stop the source."""
        self._source.stop()

    def close(self) -> None:
        """Close the source."""
        self._source.close()
