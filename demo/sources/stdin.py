"""Standard input as a source: raw frames, YUV4MPEG2 or Motion JPEG, told apart by their first bytes.

Frames that say how fast they follow each other (YUV4MPEG2, ``--rate``) are counted, as those of a file are. Others are
live: stamped when they come, and of those that wait the newest is taken.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable

from tsm_edge.errors import EdgeError, UsageError, VideoError
from tsm_edge.video import ASSUMED_FPS

from . import Frame, y4m
from .live import GAP_S
from .pipe import Frames, JpegFrames, Pipe, RawFrames, Silent, Y4mFrames
from .wanted import RAW, Wanted

PATIENCE_S = 20.0
_JPEG = b"\xff\xd8\xff"


class StandardInput:
    """The frames that another program writes. ``descriptor``: what is read.

    Raises:
        UsageError: it is a terminal, or what comes needs ``--size`` and ``--format``.
        VideoError: nothing comes, or nothing that can be read.
    """

    name = "standard input"

    def __init__(
        self,
        wanted: Wanted,
        stopped: Callable[[], bool] = lambda: False,
        *,
        descriptor: int = 0,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = ""
        self.reconnects = 0
        self._clock = clock
        self._stopping = threading.Event()
        self._stopped: Callable[[], bool] = lambda: self._stopping.is_set() or stopped()
        self._patience_s = patience_s
        is_file = _is_file(descriptor)
        pipe = Pipe(descriptor, patience_s)
        try:
            self._frames = _frames(pipe, wanted, self._stopped, every=is_file or wanted.rate is not None)
        except Silent:
            raise self.silence(patience_s) from None
        rate = wanted.rate or self._frames.rate
        self.live = rate is None and not is_file
        self._rate = rate or ASSUMED_FPS
        self._assumed = rate is None and is_file
        self._count = 0
        self._start = self._last = 0.0

    def read(self) -> Frame | None:
        """Return the next frame, None after the last."""
        try:
            image = self._frames.read(self._stopped)
        except Silent:
            raise self.silence(self._patience_s) from None
        if image is None:
            if not self._count and not self._stopped():
                raise VideoError(
                    "Standard input ends before its first frame.",
                    found="0 frames",
                    hint="look at the messages of the program that writes into it",
                )
            return None
        self._count += 1
        if not self.live:
            return Frame(image, (self._count - 1) / self._rate)
        now = self._clock()
        first = self._count == 1
        self._start = now if first else self._start
        gap_s = 0.0 if first else now - self._last
        self._last = now
        return Frame(image, now - self._start, gap_s if gap_s > GAP_S else 0.0, now)

    def silence(self, seconds: float) -> EdgeError:
        """Return the error for ``seconds`` without a frame."""
        return VideoError(
            "Nothing comes through standard input.",
            found=f"no frame for {seconds:.0f} s",
            hint="look at the program that writes into it: is it running, and does it write to its standard output?",
        )

    def notes(self) -> list[str]:
        """Say so when the rate was assumed."""
        text = f"{self.name}: nothing says how fast its frames follow each other; counted at {self._rate:g} a second"
        return [f"{text}, which is assumed (--rate)"] if self._assumed else []

    def stop(self) -> None:
        """Let a `read` of another thread come back soon, and without a frame."""
        self._stopping.set()

    def close(self) -> None:
        """Stop reading; the descriptor is the process's own and stays open."""
        self._stopping.set()


def check(wanted: Wanted, descriptor: int = 0) -> None:
    """Raise UsageError for what can be seen without reading."""
    _is_file(descriptor)
    _check_size(wanted)


def _check_size(wanted: Wanted) -> None:
    if wanted.format in RAW and wanted.size is None:
        raise UsageError(
            "Raw frames do not say how large they are.",
            found=f"--format {wanted.format} without --size",
            allowed=f"--format {wanted.format} --size 640x480",
        )


def _is_file(descriptor: int) -> bool:
    """Whether it is a file.

    Raises:
        UsageError: it is closed, or a terminal.
    """
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        mode = 0
    if mode and not os.isatty(descriptor):
        return stat.S_ISREG(mode)
    raise UsageError(
        "Standard input gives no frames.",
        found="a terminal" if mode else "it is closed",
        allowed="a pipe or a file of raw frames (with --size and --format), YUV4MPEG2 or Motion JPEG",
        hint="rpicam-vid -t 0 -n --codec mjpeg -o - | tsm-edge demo --input -",
    )


def _frames(pipe: Pipe, wanted: Wanted, stopped: Callable[[], bool], *, every: bool) -> Frames:
    name = StandardInput.name
    _check_size(wanted)
    if wanted.format in RAW and wanted.size is not None:
        return RawFrames(pipe, name, wanted.format, wanted.size)
    if wanted.format == "mjpeg":
        return JpegFrames(pipe, name, every=every)
    first = bytes(pipe.exactly(len(y4m.MAGIC), stopped))
    pipe.push_back(first)
    if first == y4m.MAGIC:
        header = y4m.parse(pipe.line(y4m.LONGEST_LINE, stopped), name)
        return Y4mFrames(pipe, name, header)
    if first.startswith(_JPEG):
        return JpegFrames(pipe, name, every=every)
    if not first and not stopped():
        raise VideoError(
            "Standard input ends before its first frame.",
            found="0 bytes",
            hint="look at the messages of the program that writes into it",
        )
    raise UsageError(
        "What comes through standard input does not say what it is.",
        found=f"first bytes {first.hex(' ')}",
        allowed="YUV4MPEG2 and Motion JPEG by themselves; raw frames with --format and --size",
        hint="for raw frames: --format yuv420 --size 640x480, as the program that writes them was told",
    )
