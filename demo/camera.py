"""A camera as a source of frames, and what to tell the user when it gives none."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tsm_edge.errors import CameraError

from .source_names import Device
from .sources import Frame

GIVE_UP_S = 12.0  # without a frame the camera counts as lost
GAP_S = 1.0  # without a frame, what the model remembers is no longer what went before
_REOPEN_S, _FIRST_REOPEN_S = 2.0, 7.0  # some cameras need seconds for their first frame
_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5)  # between tries; the last again and again
_VIDEO4LINUX = 81  # the major number of its devices
_MODULE = (
    "a camera module on a ribbon cable needs libcamera and gives nothing through this device by itself: start with "
    "`libcamerify tsm-edge ...`, or see docs/demo.md, 'Streams and camera modules'. Other causes: a second, "
    "metadata-only device of a camera (see v4l2-ctl --list-devices), or another program that uses it"
)
_PLUG = "look at its plug and cable, and at the last lines of dmesg"


def camera_devices() -> list[str]:
    """Return the video devices of this machine, for example ``["/dev/video0", "/dev/video1"]``."""
    found = [path.name for path in Path("/dev").glob("video*") if path.name[5:].isdigit()]
    return [f"/dev/{name}" for name in sorted(found, key=lambda name: int(name[5:]))]


def check_camera(device: Device, otherwise: str = "") -> None:
    """Raise CameraError when ``device`` is not there or may not be opened, without opening it.

    ``otherwise``: what else the command could be given, for the hint.
    """
    devices = camera_devices()
    if device.path not in devices and not _is_video_device(device.path):
        there = os.path.exists(device.path)
        raise CameraError(
            f"'{device.path}' is no camera." if there else f"There is no {_known(device)} on this machine.",
            found="a file of another kind"
            if there
            else ", ".join(map(_described, devices)) or "no /dev/video* device at all",
            hint=f"plug a camera in, or name another one with --camera{otherwise}",
        )
    if not os.access(device.path, os.R_OK | os.W_OK):
        raise CameraError(
            f"{_known(device).capitalize()} may not be opened by this user.",
            found=f"no permission to read and write {device.path}",
            hint="add the user to the group that owns it, then log in again: sudo usermod -aG video $USER",
        )


def _known(device: Device) -> str:
    return device.name if device.name.startswith("camera ") else f"camera '{device.name}'"


def _is_video_device(path: str) -> bool:
    try:
        facts = os.stat(path)
    except OSError:
        return False
    return stat.S_ISCHR(facts.st_mode) and os.major(facts.st_rdev) == _VIDEO4LINUX


def _described(path: str) -> str:
    """Return the device with the name that its driver gives it, if the system tells."""
    entry = Path("/sys/class/video4linux", Path(path).resolve().name, "name")
    try:
        return f"{path} ({entry.read_text(errors='replace').strip()})"
    except OSError:
        return path


def _open(device: Device) -> Any:
    number = device.path.removeprefix("/dev/video")
    return cv2.VideoCapture(int(number)) if number.isdigit() else cv2.VideoCapture(device.path, cv2.CAP_V4L2)


class Camera:
    """A camera. ``open_capture``, ``clock`` and ``sleep`` stand in for OpenCV and for time in tests.

    A grab that fails is tried again with growing pauses, and the device is opened again, for `GIVE_UP_S`. The first
    frame after a break of `GAP_S` and more says so (`sources.Frame.gap_s`).
    """

    live = True

    def __init__(
        self,
        device: Device,
        *,
        open_capture: Callable[[Device], Any] = _open,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = device.name
        self._device = device
        self._open_capture = open_capture
        self._clock = clock
        self._sleep = sleep
        self._start: float | None = None
        self._now = self._last = self._opened = clock()
        self._closed = False
        self._capture = open_capture(device)
        if not self._capture.isOpened():
            self._capture.release()
            raise CameraError(
                f"{_known(device).capitalize()} could not be opened.",
                found=f"{_described(device.path)} is there, but gives no video",
                hint=f"close other programs that use it, or name another one with --camera; {_MODULE}",
            )
        self._set_up()

    def read(self) -> Frame | None:
        """Wait for the next frame; raise CameraError when the camera has gone."""
        image = self._grab()
        if image is None:
            image = self._try_again()
        gap_s = self._now - self._last if self._start is not None else 0.0
        self._start = self._now if self._start is None else self._start
        self._last = self._now
        return Frame(image, self._now - self._start, gap_s if gap_s > GAP_S else 0.0)

    def silence(self, seconds: float) -> CameraError:
        """Return the error for ``seconds`` without a frame."""
        path = self._device.path
        if self._start is None:
            return CameraError(
                f"{_known(self._device).capitalize()} opens, but gives no frame.",
                found=f"no frame from {_described(path)} in {seconds:.0f} s",
                hint=_MODULE,
            )
        gone = not os.path.exists(path)
        video = f"{self._last - self._start:.1f} s of video, then none for {seconds:.0f} s"
        return CameraError(
            f"{_known(self._device).capitalize()} "
            + ("was unplugged." if gone else "stopped delivering frames."),
            found=video + (f"; {path} is no longer there" if gone else ""),
            hint=_PLUG,
        )

    def notes(self) -> list[str]:
        """Return nothing: a camera has no length to fall short of."""
        return []

    def close(self) -> None:
        """Release the device."""
        self._closed = True
        self._capture.release()

    def _set_up(self) -> None:
        # The smallest common size that is not smaller than the models' input; what the camera makes of it is fine.
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, 640)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, 480)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def _grab(self) -> np.ndarray | None:
        """Return the next image, uint8 BGR (H, W, 3), or None."""
        grabbed = self._capture.grab()
        self._now = self._clock()  # stamped before decoding, which takes longer for some frames than for others
        good, image = self._capture.retrieve() if grabbed else (False, None)
        return image if good and image is not None and image.size else None

    def _try_again(self) -> np.ndarray:
        """Return the first image after a grab that failed."""
        tries = 0
        while not self._closed and self._clock() - self._last < GIVE_UP_S:
            self._sleep(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)])
            tries += 1
            patience = _FIRST_REOPEN_S if self._start is None else _REOPEN_S
            if self._clock() - max(self._opened, self._last) > patience:
                self._reopen()
            if (image := self._grab()) is not None:
                return image
        raise self.silence(self._clock() - self._last)

    def _reopen(self) -> None:
        self._capture.release()
        self._capture = self._open_capture(self._device)
        self._opened = self._clock()
        self._set_up()
