"""A camera module on a ribbon cable (``csi://N``), by whichever route this board has.

Boards of NVIDIA's have ``nvarguscamerasrc``. Where libcamera drives the module it is picamera2 if this Python can
import it, else a child ``rpicam-vid`` (``libcamera-vid`` on older systems).
"""

from __future__ import annotations

import importlib.util
import shutil
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tsm_edge.errors import CameraError, StreamError, ToolMissing, UsageError

from . import gst
from .child import Program, ProgramFrames
from .live import Capture, Picture
from .pipe import RawFrames
from .uri import Input
from .wanted import Wanted

SIZE, RATE = (640, 480), 30.0
PROGRAMS = ("rpicam-vid", "libcamera-vid")
ARGUS = "nvarguscamerasrc"
_L4T = "/etc/nv_tegra_release"
_PATIENCE_S = 8.0
_HINT = (
    "look at the ribbon cable and which way round it sits, with the power off; tsm-edge cameras says whether the "
    "module is seen"
)


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
            return lambda: _Picamera(source.name, number, size, rate)
        if route.name == ARGUS:
            return gst.connection(_argus(source.name, number, size, rate), Wanted())
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
    """A camera module by picamera2, in this process. Its `capture_array` cannot be interrupted, so a thread waits."""

    def __init__(self, name: str, number: int, size: tuple[int, int], rate: float) -> None:
        from picamera2 import Picamera2  # type: ignore[import-not-found,unused-ignore]

        self._name = name
        try:
            self._camera: Any = Picamera2(number)
            frame_us = round(1e6 / rate)
            self._camera.configure(
                self._camera.create_video_configuration(
                    main={"format": "RGB888", "size": size},  # the name that libcamera has for BGR
                    controls={"FrameDurationLimits": (frame_us, frame_us)},
                    buffer_count=2,
                    queue=False,  # the frame that comes next, and not one that waits
                )
            )
            self._camera.start()
        except Exception as error:  # RuntimeError, IndexError and others of libcamera
            raise CameraError(
                f"{name} cannot be opened by picamera2.", found=f"{type(error).__name__}: {error}", hint=_HINT
            ) from error
        self._news = threading.Condition()
        self._newest: Picture | None = None
        self._failure = ""
        self._closed = False
        threading.Thread(target=self._work, name="tsm-edge-picamera", daemon=True).start()

    def read(self, stopped: Callable[[], bool]) -> Picture | None:
        """Wait for the next picture."""
        deadline = time.monotonic() + _PATIENCE_S
        with self._news:
            while self._newest is None and not self._failure and time.monotonic() < deadline and not stopped():
                self._news.wait(0.1)
            picture, self._newest = self._newest, None
        if picture is None and not stopped():
            found = self._failure or f"nothing for {_PATIENCE_S:g} s"
            raise StreamError(f"{self._name} gives no frame.", found=found, hint=_HINT)
        return picture

    def close(self) -> None:
        """Release the camera."""
        if not self._closed:
            self._closed = True
            self._camera.stop()
            self._camera.close()

    def _work(self) -> None:
        while not self._closed:
            try:
                array = np.ascontiguousarray(self._camera.capture_array("main")[:, :, :3])
            except Exception as error:
                self._failure = f"{type(error).__name__}: {error}"
                return
            with self._news:
                self._newest = Picture(array, time.monotonic())
                self._news.notify()
