"""A camera as a source of frames, and what to tell the user when there is none."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from tsm_edge.errors import CameraError

from . import SAMPLE_CLIP
from .sources import Frame


def camera_devices() -> list[str]:
    """Return the video devices of this machine, for example ``["/dev/video0", "/dev/video1"]``."""
    found = [path.name for path in Path("/dev").glob("video*") if path.name[5:].isdigit()]
    return [f"/dev/{name}" for name in sorted(found, key=lambda name: int(name[5:]))]


def check_camera(number: int) -> None:
    """Raise CameraError when camera ``number`` is not there or may not be opened, without opening it."""
    device, devices = f"/dev/video{number}", camera_devices()
    if device not in devices:
        raise CameraError(
            f"There is no camera {number} on this machine.",
            found=", ".join(devices) or "no /dev/video* device at all",
            hint=f"plug a camera in, name another one with --camera N, or play a file: --video {SAMPLE_CLIP}",
        )
    if not os.access(device, os.R_OK | os.W_OK):
        raise CameraError(
            f"Camera {number} may not be opened by this user.",
            found=f"no permission to read and write {device}",
            hint="add the user to the group that owns it, then log in again: sudo usermod -aG video $USER",
        )


class Camera:
    """A camera by its number. ``open_capture`` and ``clock`` stand in for OpenCV and the clock in tests."""

    live = True

    def __init__(
        self,
        number: int,
        *,
        open_capture: Callable[[int], Any] = cv2.VideoCapture,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"camera {number}"
        self._clock = clock
        self._start: float | None = None
        self._capture = open_capture(number)
        if not self._capture.isOpened():
            self._capture.release()
            raise CameraError(
                f"Camera {number} could not be opened.",
                found=f"/dev/video{number} is there, but gives no video",
                hint="close other programs that use it, or try the next number: many cameras have a second, "
                "metadata-only device",
            )
        # The smallest common size that is not smaller than the models' input; what the camera makes of it is
        # fine.
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, 640)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, 480)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def read(self) -> Frame | None:
        """Wait for the next frame; raise CameraError when the camera has gone."""
        grabbed = self._capture.grab()
        now = self._clock()  # stamped before decoding, which takes longer for some frames than for others
        good, image = self._capture.retrieve() if grabbed else (False, None)
        if not good or image is None:
            raise CameraError(
                f"The {self.name} stopped delivering frames.",
                found="the first frame never came"
                if self._start is None
                else f"{now - self._start:.1f} s of video",
                hint="look at its plug and cable, and at the last lines of dmesg",
            )
        if self._start is None:
            self._start = now
        return Frame(image, now - self._start)

    def notes(self) -> list[str]:
        """Return nothing: a camera has no length to fall short of."""
        return []

    def close(self) -> None:
        """Release the device."""
        self._capture.release()
