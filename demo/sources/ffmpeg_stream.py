"""RTSP, and video over HTTP that is no Motion JPEG, received by OpenCV's FFmpeg without a buffer of its own.

How late a picture is cannot be read off it: no clock is shared with the camera. But the stamps of pictures advance as
the camera's clock does, so the one that came with the least delay so far shows by how much the others lag behind it.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from tsm_edge.errors import StreamError

from .address import PATIENCE_S, Address, reach, refused, silent
from .live import Picture

LONGEST_LAG_S = 2.0  # a stream that lags more is opened anew, at its newest picture
_HURRY_S = 0.3  # a stream that lags more is read on without a pause
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
#: of FFmpeg: no packets are held back to put them in order, nor read ahead to guess at the stream
_LOW_DELAY = "|".join((
    "rtsp_transport;tcp", "fflags;nobuffer", "flags;low_delay", "reorder_queue_size;0", "max_delay;0",
    "analyzeduration;500000",
))  # fmt: skip
_opening = threading.Lock()


class Lag:
    """By how many seconds a picture is later than the promptest so far, from its stamp and when it came."""

    def __init__(self) -> None:
        self._least: float | None = None
        self._stamp_s = 0.0

    def of(self, stamp_s: float, now: float) -> float:
        """Return the lag of a picture; a stamp that stands still, goes back or leaps begins anew."""
        if self._least is None or not 0 < stamp_s - self._stamp_s < 10.0:
            self._least = now - stamp_s
        self._stamp_s = stamp_s
        # clocks drift apart by some 50 millionths: what was least is believed a little less with each picture
        self._least = min(self._least + 2e-6, now - stamp_s)
        return now - stamp_s - self._least


class FfmpegStream:
    """One connection through OpenCV.

    Raises:
        StreamError: it cannot be made, in words that OpenCV does not give.
    """

    def __init__(self, address: Address) -> None:
        reach(address)
        self._address = address
        self._lag = Lag()
        self._closed = False
        limits = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(2000 * PATIENCE_S),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(1000 * PATIENCE_S),
            # threads that each decode a picture of their own hold as many back
            cv2.CAP_PROP_N_THREADS, 1,
        ]  # fmt: skip
        with _opening, _environment(_OPTIONS, _LOW_DELAY):
            self._capture = cv2.VideoCapture(address.whole, cv2.CAP_FFMPEG, limits)
        if not self._capture.isOpened():
            self._capture.release()
            raise _why(address)

    def read(self, stopped: Callable[[], bool]) -> Picture | None:
        """Wait for the next picture; those that lag behind are passed over."""
        began = time.monotonic()
        while not stopped():
            if not self._capture.grab():
                late = time.monotonic() - began
                if late >= PATIENCE_S - 0.5:
                    raise silent(self._address.name, late)
                raise StreamError(
                    f"{self._address.name} broke off.",
                    found="the end of the stream",
                    hint="look whether the camera is on, and at the network between",
                )
            now = time.monotonic()
            lag_s = self._lag.of(self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0, now)
            if lag_s > LONGEST_LAG_S:
                raise StreamError(
                    f"{self._address.name} lags behind.",
                    found=f"{lag_s:.1f} s: it is decoded or sent more slowly than it is taken",
                    hint="choose a smaller stream of the camera",
                )
            if lag_s > _HURRY_S and now - began < 0.5:
                continue
            good, image = self._capture.retrieve()
            if good and image is not None and image.size:
                return Picture(np.asarray(image, np.uint8), now - lag_s)
        return None

    def close(self) -> None:
        """End the connection."""
        if not self._closed:
            self._closed = True
            self._capture.release()


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set a variable that OpenCV reads while it opens, unless the user has set it."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def _why(address: Address) -> StreamError:
    """Return the error for a stream that could not be opened although somebody listens."""
    code, reason = _describe(address) if address.scheme == "rtsp" else (0, "")
    if code == 401:
        return refused(address)
    if code == 0 and reason:
        return StreamError(
            f"{address.name} gives no answer that RTSP knows.",
            found=reason,
            hint="look at the port: 554 is usual, 8554 for many servers",
        )
    if code and code != 200:
        return StreamError(
            f"{address.name} has no such stream.",
            found=f"RTSP {code} {reason}",
            hint="look at the path behind the host; the camera's manual has it, and so has an ONVIF program",
        )
    return StreamError(
        f"No video could be read from {address.name}.",
        found="somebody listens there, but sends no stream that OpenCV's FFmpeg decodes",
        hint="try it with: ffprobe ADDRESS; H.264, H.265, MPEG-4 and Motion JPEG are decoded",
    )


def _describe(address: Address) -> tuple[int, str]:
    """Ask for the stream without a password; return code and reason of the answer, 0 and what came for another.

    Raises:
        StreamError: nothing comes.
    """
    request = f"DESCRIBE {address.bare} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\nUser-Agent: tsm-edge\r\n\r\n"
    try:
        with socket.create_connection((address.host, address.port), timeout=PATIENCE_S) as connection:
            connection.settimeout(PATIENCE_S)
            connection.sendall(request.encode("utf-8", "replace"))
            first = connection.recv(4096).partition(b"\r\n")[0].decode("latin-1")
    except TimeoutError:
        raise silent(address.name, PATIENCE_S) from None
    except OSError as error:
        return 0, error.strerror or type(error).__name__
    match = re.fullmatch(r"RTSP/[0-9.]+ ([0-9]{3}) ?(.*)", first)
    return (int(match[1]), match[2][:80]) if match else (0, repr(first[:40]) if first else "nothing")
