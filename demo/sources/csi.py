"""A camera module on a ribbon cable (``csi://N``), by whichever route this board has.

Boards of NVIDIA's have ``nvarguscamerasrc``. Where libcamera drives the module it is picamera2 if this Python can
import it, else a child ``rpicam-vid`` (``libcamera-vid`` on older systems).
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tsm_edge.errors import CameraError, ToolMissing, UsageError

from . import gst
from .child import Program, ProgramFrames
from .live import Capture
from .pipe import RawFrames
from .threaded import Threaded
from .uri import Input
from .wanted import Wanted

SIZE, RATE = (640, 480), 30.0
PROGRAMS = ("rpicam-vid", "libcamera-vid")
ARGUS = "nvarguscamerasrc"
_L4T = "/etc/nv_tegra_release"
_HINT = (
    "close other programs that use the module; look at the ribbon cable and which way round it sits, with the power "
    "off; tsm-edge cameras says whether the module is seen"
)

_DAEMON = "a program that ended badly may have left it occupied: sudo systemctl restart nvargus-daemon"


class Route(NamedTuple):
    """A way to a camera module: its name, whether this machine has it, and what installs it."""

    name: str
    there: bool
    install: str


def routes(l4t: bool | None = None) -> list[Route]:
    """Return the ways to a camera module in the order in which they are tried."""
    if has_l4t() if l4t is None else l4t:
        return [Route(ARGUS, gst.has_element(ARGUS), "sudo apt install nvidia-l4t-gstreamer gstreamer1.0-tools")]
    return [
        Route("picamera2", importlib.util.find_spec("picamera2") is not None,
              "sudo apt install python3-picamera2 (a virtual environment sees it with --system-site-packages)"),
        Route("rpicam-vid", shutil.which("rpicam-vid") is not None, "sudo apt install rpicam-apps-lite"),
        Route("libcamera-vid", shutil.which("libcamera-vid") is not None, "sudo apt install libcamera-apps-lite"),
    ]  # fmt: skip


def has_l4t() -> bool:
    """Whether this board runs NVIDIA's Linux for its own modules."""
    try:
        with open(_L4T, "rb"):
            return True
    except OSError:
        return False


def connection(source: Input, wanted: Wanted) -> Callable[[], Capture]:
    """Return what opens camera module ``source`` by the first route that there is.

    Raises:
        UsageError: a size that it cannot have.
        ToolMissing: there is no route; the message has the command that installs one.
    """
    number, size, rate = int(source.address), wanted.size or SIZE, wanted.rate or RATE
    if size[0] % 2 or size[1] % 2:
        raise UsageError("A camera module has frames with even sides.", found=f"{size[0]}x{size[1]}", allowed="640x480")
    for route in routes():
        if not route.there:
            continue
        if route.name == "picamera2":
            return lambda: Threaded(source.name, _Picamera(source.name, number, size, rate), _HINT)
        if route.name == ARGUS:
            return gst.connection(_argus(source.name, number, size, rate), Wanted(), f"{_HINT}; {_DAEMON}")
        words = [
            route.name, "--camera", str(number), "--timeout", "0", "--nopreview", "--flush",
            "--width", str(size[0]), "--height", str(size[1]), "--framerate", f"{rate:g}",
            "--codec", "yuv420", "--output", "-",
        ]  # fmt: skip
        return lambda: _program(source.name, words, size)
    raise ToolMissing(
        "No program of this machine can read a camera module.",
        found="none of " + ", ".join(route.name for route in routes()),
        hint=" or: ".join(route.install for route in routes()),
    )


def _program(name: str, words: list[str], size: tuple[int, int]) -> Capture:
    program = Program(words)
    return ProgramFrames(name, program, lambda pipe: RawFrames(pipe, name, "yuv420", size), _HINT)


def _argus(name: str, number: int, size: tuple[int, int], rate: float) -> Input:
    return Input(
        "gst",
        f"{ARGUS} sensor-id={number} ! video/x-raw(memory:NVMM),framerate={round(rate)}/1 ! nvvidconv ! "
        f"video/x-raw,format=BGRx,width={size[0]},height={size[1]}",
        name,
    )


class _Picamera:
    """A camera module by picamera2, in this process."""

    def __init__(self, name: str, number: int, size: tuple[int, int], rate: float) -> None:
        self._name, self._number, self._size, self._rate = name, number, size, rate
        self._camera: Any = None

    def open(self) -> None:
        """Start it."""
        frame_us = round(1e6 / self._rate)
        try:
            from picamera2 import Picamera2  # type: ignore[import-not-found,unused-ignore]

            self._camera = Picamera2(self._number)
            self._camera.configure(
                self._camera.create_video_configuration(
                    main={"format": "RGB888", "size": self._size},  # the name that libcamera has for BGR
                    controls={"FrameDurationLimits": (frame_us, frame_us)},
                    buffer_count=2,
                    queue=False,  # the frame that comes next, and not one that waits
                )
            )
            self._camera.start()
        except Exception as error:  # RuntimeError, IndexError and others of libcamera; ImportError of half of it
            if self._camera is not None:
                self._camera.close()
            raise CameraError(
                f"{self._name} cannot be opened by picamera2.", found=f"{type(error).__name__}: {error}", hint=_HINT
            ) from error

    def picture(self) -> np.ndarray:
        """Wait for the next picture."""
        return np.ascontiguousarray(self._camera.capture_array("main")[:, :, :3])

    def close(self) -> None:
        """Release the camera."""
        try:
            self._camera.stop()
        finally:
            self._camera.close()
