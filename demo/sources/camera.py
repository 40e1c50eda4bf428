"""A camera as a source of frames, and what to tell the user when it gives none."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from tsm_edge.errors import CameraError

from . import Frame, v4l2
from .live import GAP_S
from .uri import Input
from .wanted import Wanted

GIVE_UP_S = 12.0  # without a frame the camera counts as lost
_REOPEN_S, _FIRST_REOPEN_S = 2.0, 7.0  # some cameras need seconds for their first frame
_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5)  # between tries; the last again and again
_VIDEO4LINUX = 81  # the major number of its devices
_MODULE = (
    "a camera module on a ribbon cable gives nothing through this device: name it --input csi://0. Other causes: a "
    "second device of the same camera that has no video (tsm-edge cameras lists them), or another program that uses it"
)
_FOUR_LETTERS = {
    "mjpeg": "MJPG", "yuyv": "YUYV", "nv12": "NV12", "yuv420": "YU12", "bgr": "BGR3", "rgb": "RGB3", "grey": "GREY",
}  # fmt: skip
_LATEST_S = 5.0  # a stamp of a driver that lies further back is by another clock
_PLUG = "look at its plug and cable, and at the last lines of dmesg"


def camera_devices() -> list[str]:
    """Return the video devices of this machine, for example ``["/dev/video0", "/dev/video1"]``."""
    found = [path.name for path in Path("/dev").glob("video*") if path.name[5:].isdigit()]
    return [f"/dev/{name}" for name in sorted(found, key=lambda name: int(name[5:]))]


def check_camera(device: Input, otherwise: str = "") -> None:
    """Raise CameraError when ``device`` is not there or may not be opened, without opening it.

    ``otherwise``: what else the command could be given, for the hint.
    """
    devices = camera_devices()
    if device.address not in devices and not _is_video_device(device.address):
        there = os.path.exists(device.address)
        raise CameraError(
            f"'{device.address}' is no camera." if there else f"There is no {_known(device)} on this machine.",
            found="a file of another kind"
            if there
            else ", ".join(map(_described, devices)) or "no /dev/video* device at all",
            hint=f"plug a camera in, or name another one with --camera{otherwise}",
        )
    if not os.access(device.address, os.R_OK | os.W_OK):
        raise CameraError(
            f"{_known(device).capitalize()} may not be opened by this user.",
            found=f"no permission to read and write {device.address}",
            hint=permission_hint(),
        )


def permission_hint() -> str:
    """Return what lets a user open cameras."""
    return "add the user to the group that owns it, then log in again: sudo usermod -aG video $USER"


def _known(device: Input) -> str:
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


def _unusable(device: Input) -> CameraError:
    """Return the error for a device that is there, may be opened, and is none that OpenCV takes."""
    what, hint = f"{_known(device).capitalize()} could not be opened.", f"close other programs that use it; {_MODULE}"
    found = f"{_described(device.address)} is there, but gives no video"
    try:
        facts = v4l2.query(device.address)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL):
            what, found = f"{_known(device).capitalize()} is no video device.", f"{device.address}: {error.strerror}"
            hint = "tsm-edge cameras lists the cameras of this machine"
    else:
        if not facts.captures:
            what = f"{_known(device).capitalize()} delivers no pictures."
            found = f"{_described(device.address)}: metadata, or a device that codes and scales"
            hint = "many cameras have a second device beside that of their pictures; see: tsm-edge cameras"
    return CameraError(what, found=found, hint=hint)


class Capture(Protocol):
    """What is used of ``cv2.VideoCapture``."""

    def isOpened(self) -> bool: ...
    def grab(self) -> bool: ...
    def retrieve(self) -> tuple[bool, NDArray[np.uint8] | None]: ...
    def get(self, property: int, /) -> float: ...
    def set(self, property: int, value: float, /) -> bool: ...
    def release(self) -> None: ...


def _open(device: Input) -> Capture:
    number = device.address.removeprefix("/dev/video")
    by_number = number.isdigit()
    capture: Capture = cv2.VideoCapture(int(number)) if by_number else cv2.VideoCapture(device.address, cv2.CAP_V4L2)
    return capture


def _fourcc(letters: str) -> int:
    return sum(ord(letter) << 8 * place for place, letter in enumerate(letters))


class Camera:
    """A camera. ``open_capture``, ``clock`` and ``sleep`` stand in for OpenCV and for time in tests.

    A grab that fails is tried again with growing pauses, and the device is opened again, for `GIVE_UP_S`. The first
    frame after a break of `GAP_S` and more says so (`sources.Frame.gap_s`).
    """

    live = True

    def __init__(
        self,
        device: Input,
        wanted: Wanted | None = None,
        *,
        open_capture: Callable[[Input], Capture] = _open,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = device.name
        self.state = ""
        self.reconnects = 0
        self._device = device
        self._wanted = wanted or Wanted()
        self._open_capture = open_capture
        self._clock = clock
        self._sleep = sleep
        self._start: float | None = None
        self._now = self._last = self._opened = clock()
        self._closed = False
        self._capture = open_capture(device)
        if not self._capture.isOpened():
            self._capture.release()
            raise _unusable(device)
        self._set_up()
        self._check_settings()

    def read(self) -> Frame | None:
        """Wait for the next frame; raise CameraError when the camera has gone."""
        image = self._grab()
        if image is None:
            image = self._try_again()
        gap_s = self._now - self._last if self._start is not None else 0.0
        self._start = self._now if self._start is None else self._start
        self._last, self.state = self._now, ""
        return Frame(image, self._now - self._start, gap_s if gap_s > GAP_S else 0.0, self._taken_at())

    def silence(self, seconds: float) -> CameraError:
        """Return the error for ``seconds`` without a frame."""
        path = self._device.address
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

    def stop(self) -> None:
        """Let a `read` that tries again give up; one that waits in the driver cannot be told."""
        self._closed = True

    def close(self) -> None:
        """Release the device."""
        self._closed = True
        self._capture.release()

    def _set_up(self) -> None:
        wanted = self._wanted
        if wanted.format is not None:  # first: it decides which sizes there are
            self._capture.set(cv2.CAP_PROP_FOURCC, _fourcc(_FOUR_LETTERS[wanted.format]))
        # The smallest common size that is not smaller than the models' input; what the camera makes of it is fine.
        width, height = wanted.size or (640, 480)
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        if wanted.rate is not None:
            self._capture.set(cv2.CAP_PROP_FPS, wanted.rate)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def _check_settings(self) -> None:
        """Raise CameraError when the camera has made something else of what it was asked for."""
        wanted = self._wanted
        if wanted == Wanted(turn=wanted.turn):
            return
        get = self._capture.get
        width, height = round(get(cv2.CAP_PROP_FRAME_WIDTH)), round(get(cv2.CAP_PROP_FRAME_HEIGHT))
        code = int(get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        letters = code.to_bytes(4, "little").decode("latin-1").strip("\0 ")
        rate = float(get(cv2.CAP_PROP_FPS))
        found = []
        if wanted.size is not None and (width, height) != wanted.size:
            found.append(f"{width}x{height} for --size {wanted.size[0]}x{wanted.size[1]}")
        if wanted.format is not None and letters not in ("", _FOUR_LETTERS[wanted.format]):
            found.append(f"{letters} for --format {wanted.format}")
        if wanted.rate is not None and rate > 0 and abs(rate - wanted.rate) > 0.1 * wanted.rate:
            found.append(f"{rate:g} a second for --rate {wanted.rate:g}")
        if found:
            self.close()
            raise CameraError(
                f"{_known(self._device).capitalize()} does not deliver what was asked for.",
                found=", ".join(found),
                hint="tsm-edge cameras lists the sizes, rates and formats that go together",
            )

    def _taken_at(self) -> float:
        """When the driver says that the picture was taken, where that can be; else when it came."""
        get = getattr(self._capture, "get", None)
        stamp = float(get(cv2.CAP_PROP_POS_MSEC)) / 1000.0 if get is not None else 0.0
        return stamp if 0 <= self._now - stamp < _LATEST_S else self._now

    def _grab(self) -> np.ndarray | None:
        """Return the next image, uint8 BGR (H, W, 3), or None."""
        try:
            grabbed = self._capture.grab()
            self._now = self._clock()  # stamped before decoding, which takes longer for some frames than for others
            good, image = self._capture.retrieve() if grabbed else (False, None)
        except cv2.error:  # what the driver says of its buffers contradicts itself, or a picture cannot be decoded
            self._now = self._clock()
            return None
        return image if good and image is not None and image.size else None

    def _try_again(self) -> np.ndarray:
        """Return the first image after a grab that failed."""
        tries, opened_again = 0, False
        self.state = f"no picture from {self.name}: trying again"
        while not self._closed and self._clock() - self._last < GIVE_UP_S:
            self._sleep(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)])
            tries += 1
            patience = _FIRST_REOPEN_S if self._start is None else _REOPEN_S
            if self._clock() - max(self._opened, self._last) > patience:
                self._reopen()
                opened_again = True
            if (image := self._grab()) is not None:
                self.reconnects += opened_again and self._start is not None
                return image
        raise self.silence(self._clock() - self._last)

    def _reopen(self) -> None:
        self._capture.release()
        self._capture = self._open_capture(self._device)
        self._opened = self._clock()
        self._set_up()
