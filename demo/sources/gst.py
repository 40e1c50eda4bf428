"""A pipeline of GStreamer: by a child ``gst-launch-1.0``, or by an OpenCV that was built with GStreamer.

A pipeline that ends in no sink gets one that keeps the newest frame alone. gst-launch-1.0 is given the words of the
pipeline one by one, and no shell sees them; it says on its standard output what the frames are. It comes first because
it says what is wrong with a pipeline: OpenCV 4.6 waits for ever for one with an element that is not installed.
"""

from __future__ import annotations

import re
import select
import shlex
import shutil
import time
from collections.abc import Callable

import cv2
import numpy as np

from tsm_edge.errors import StreamError, ToolMissing, UsageError
from tsm_edge.files import MAX_PIXELS
from tsm_edge.processes import children

from .child import PATIENCE_S, Program, ProgramFrames
from .live import Capture
from .pipe import Pipe, Stopped
from .threaded import Threaded
from .uri import Input
from .wanted import Wanted

LAUNCH = "gst-launch-1.0"
INSTALL = "sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
_TRY = f"try the pipeline alone: {LAUNCH} PIPELINE ! fakesink"
_MISSING = "a missing element is in one of the packages gstreamer1.0-plugins-good, -bad, -ugly or -libav"
_SINK = re.compile(r"!\s*appsink\b[^!]*$")
_CAPS = re.compile(rb"sink: caps = video/x-raw,.*?width=\(int\)([0-9]+), height=\(int\)([0-9]+)")
_LAST = "queue leaky=downstream max-size-buffers=1 max-size-bytes=0 max-size-time=0"


def connection(source: Input, wanted: Wanted, hint: str = "") -> Callable[[], Capture]:
    """Return what starts the pipeline of ``source``. ``hint``: what helps when it fails, if not the pipeline itself.

    Raises:
        UsageError: its quotes do not pair up.
        ToolMissing: there is no GStreamer at all.
    """
    body = _SINK.sub("", source.address).rstrip(" !")
    try:
        words = shlex.split(body)
    except ValueError as error:
        raise UsageError(
            "The pipeline cannot be taken apart.",
            found=f"{source.name}: {error}",
            allowed="quotes in pairs, as in a shell",
        ) from error
    for word in words:
        if re.fullmatch(r"(fd|file|multifile|x|xv|auto|gl|fake|kms|wayland|nv|udp|tcp|shm)\w*sink", word):
            raise UsageError(
                "The pipeline has a sink of its own, so no frame would reach the model.",
                found=word,
                allowed="a pipeline without a sink, or with appsink as its last element",
            )
    caps = _caps(wanted)
    if shutil.which(LAUNCH) is not None:
        end = f"{caps} ! {_LAST} ! videoconvert ! video/x-raw,format=BGR ! fdsink name=frames sync=false fd="
        command = [LAUNCH, "-v", *words, *shlex.split(end)[:-1], "fd={frames}"]
        return lambda: _launched(source.name, command, hint or f"{_TRY}; {_MISSING}")
    if _is_built_in():
        text = f"{body} {caps} ! {_LAST} ! videoconvert ! video/x-raw,format=BGR ! "
        pipeline = text + "appsink drop=true max-buffers=1 sync=false"
        return lambda: Threaded(source.name, _OpenCvPipeline(source.name, pipeline), hint or _TRY)
    raise ToolMissing(
        "A pipeline needs GStreamer.",
        found=f"no {LAUNCH}, and an OpenCV that was built without GStreamer",
        hint=INSTALL,
    )


def _caps(wanted: Wanted) -> str:
    parts = ""
    if wanted.size is not None:
        parts += f" ! videoscale ! video/x-raw,width={wanted.size[0]},height={wanted.size[1]}"
    if wanted.rate is not None:
        parts += f" ! videorate ! video/x-raw,framerate={round(1000 * wanted.rate)}/1000"
    return parts


def _is_built_in() -> bool:
    return re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()) is not None


def _launched(name: str, command: list[str], hint: str) -> Capture:
    program = Program(command, separate=True, missing=INSTALL)
    return ProgramFrames(name, program, lambda pipe: _Launched(name, program, pipe, hint), hint)


class _Launched:
    """Frames of gst-launch-1.0, whose rows are padded to a multiple of four bytes."""

    rate: float | None = None

    def __init__(self, name: str, program: Program, pipe: Pipe, hint: str) -> None:
        self._name, self._program, self._pipe, self._hint = name, program, pipe, hint
        self._size: tuple[int, int] | None = None

    def read(self, stopped: Stopped) -> np.ndarray | None:
        """Return the next frame."""
        if self._size is None:
            self._size = self._said(stopped)
            if self._size is None:
                return None
        width, height = self._size
        row = -(-width * 3 // 4) * 4
        data = self._pipe.exactly(row * height, stopped)
        if len(data) < row * height:
            return None
        padded = np.frombuffer(data, np.uint8).reshape(height, row)
        return np.ascontiguousarray(padded[:, : width * 3]).reshape(height, width, 3)

    def _said(self, stopped: Stopped) -> tuple[int, int] | None:
        """Wait for the size of the frames; None when the program ends before it says one."""
        assert self._program.text is not None
        said, deadline = b"", time.monotonic() + PATIENCE_S
        while not stopped():
            match = _frames_caps(said)
            if match is not None:
                width, height = int(match[1]), int(match[2])
                if not 0 < width * height <= MAX_PIXELS:
                    raise StreamError(
                        f"The frames of {self._name} are too large.",
                        found=f"{width}x{height}",
                        allowed=f"at most {MAX_PIXELS} pixels",
                    )
                return width, height
            if time.monotonic() > deadline:
                raise StreamError(
                    f"{self._name} gives no picture.",
                    found=f"no frame in {PATIENCE_S:g} s",
                    hint=f"look whether its source is on; {self._hint}",
                )
            if select.select([self._program.text], [], [], 0.1)[0]:
                data = self._program.text.read1(1 << 16)  # type: ignore[attr-defined]
                if not data:
                    return None
                said = (said + data)[-(1 << 16) :]
        return None


def _frames_caps(said: bytes) -> re.Match[bytes] | None:
    """Find what the last element says of its frames."""
    lines = [line for line in said.split(b"\n")[:-1] if b"GstFdSink:frames" in line]
    return _CAPS.search(lines[-1]) if lines else None


class _OpenCvPipeline:
    """A pipeline in this process."""

    def __init__(self, name: str, text: str) -> None:
        self._name, self._text = name, text

    def open(self) -> None:
        """Start it."""
        self._capture = cv2.VideoCapture(self._text, cv2.CAP_GSTREAMER)
        if not self._capture.isOpened():
            self._capture.release()
            raise StreamError(
                f"{self._name} cannot be started.",
                found="OpenCV's GStreamer takes it for no pipeline that gives video",
                hint=_TRY,
            )

    def picture(self) -> np.ndarray:
        """Wait for the next frame."""
        good, image = self._capture.read()
        if not good or image is None or not image.size:
            raise StreamError(f"{self._name} has ended.", found="no frame", hint="look whether its source is on")
        return np.asarray(image, np.uint8)

    def close(self) -> None:
        """End the pipeline."""
        self._capture.release()


def has_element(name: str) -> bool:
    """Whether GStreamer is there and has an element of this name."""
    inspect = shutil.which("gst-inspect-1.0")
    if inspect is None:
        return False
    done = children.run([inspect, "--exists", name])
    return done.returncode == 0
