"""A program that writes frames: started for a camera, read through a pipe, and gone whenever we are.

However this process ends, the kernel ends the program with it (PR_SET_PDEATHSIG), and the pipe that it writes into
closes. Its own messages are kept, the last of them for the error in which they matter.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

from tsm_edge.errors import StreamError, ToolMissing
from tsm_edge.processes import children

from .live import Picture
from .pipe import Frames, Pipe, Silent
from .redact import without_secrets

PATIENCE_S = 8.0  # for the first bytes of a sensor that starts, and between two
_GRACE_S = 0.5  # for a program to leave a camera as it found it
_MESSAGES = 4096  # bytes kept of them
#: becomes the program once the kernel knows to end it with process argv[1]; a function between fork and exec could not
#: do that safely while other threads decode video
_BECOME = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
if os.getppid() == int(sys.argv[1]):
    try:
        os.execv(sys.argv[2], sys.argv[2:])
    except OSError as error:
        sys.exit(f"{sys.argv[2]}: {error.strerror}")
"""


class Program:
    """A running program. ``output``: what the descriptor that it writes frames into is on our side.

    Args:
        words: the program and its arguments. ``{frames}`` among them is replaced by the number of the descriptor.
        separate: frames go through a descriptor of their own and not through standard output, which is read as text.

    Raises:
        ToolMissing: there is no such program.
    """

    def __init__(self, words: Sequence[str], *, separate: bool = False, missing: str = "") -> None:
        self.name = os.path.basename(words[0])
        path = shutil.which(words[0])
        if path is None:
            raise ToolMissing(f"There is no program '{self.name}'.", found="not on $PATH", hint=missing or None)
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        self.output, theirs = os.pipe()
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid()), path,
                 *(word.replace("{frames}", str(theirs)) for word in words[1:])],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if separate else theirs,
                stderr=self._messages,
                pass_fds=(theirs,) if separate else (),
                start_new_session=True,
            )  # fmt: skip
        except OSError:
            os.close(self.output)
            self._messages.close()
            raise
        finally:
            os.close(theirs)
        self.text = self._child.stdout
        self._closed = False

    def messages(self) -> str:
        """Return the last lines that it has written to standard error, without secrets."""
        with contextlib.suppress(OSError, ValueError):
            end = self._messages.seek(0, os.SEEK_END)
            self._messages.seek(max(0, end - _MESSAGES))
            lines = self._messages.read().decode("utf-8", "replace").split("\n")
            return without_secrets("\n".join([line.strip() for line in lines if line.strip()][-4:]))
        return ""

    def ended(self, wait_s: float = 0.5) -> int | None:
        """Return the status with which it has ended, waiting a little for that; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._child.wait(wait_s)
        return None

    def close(self) -> None:
        """End it and what it has started; may be called twice."""
        if self._closed:
            return
        self._closed = True
        os.close(self.output)
        children.end(self._child, _GRACE_S)
        self._child.wait()
        if self.text is not None:
            self.text.close()
        self._messages.close()


class ProgramFrames:
    """One run of a program as a connection of a live source. ``what``: the camera, for errors."""

    def __init__(self, what: str, program: Program, frames: Callable[[Pipe], Frames], hint: str = "") -> None:
        self._what, self._program, self._hint = what, program, hint
        self._count = 0
        try:
            self._frames = frames(Pipe(program.output, PATIENCE_S))
        except BaseException:
            program.close()
            raise

    def read(self, stopped: Callable[[], bool]) -> Picture | None:
        """Wait for the next frame.

        Raises:
            StreamError: the program has ended, or gives nothing.
        """
        try:
            image = self._frames.read(stopped)
        except Silent:
            raise self._error("gives no frame", f"nothing for {PATIENCE_S:g} s") from None
        if image is not None:
            self._count += 1
            return Picture(image, time.monotonic())
        if stopped():
            return None
        status = self._program.ended()
        if status == 0 and self._count:
            return None
        raise self._error("has ended", f"status {status}, after {self._count} frames")

    def close(self) -> None:
        """End the program."""
        self._program.close()

    def _error(self, what: str, found: str) -> StreamError:
        messages = self._program.messages()
        return StreamError(
            f"{self._program.name} {what}, which reads {self._what}.",
            found=found + (f"\n{messages}" if messages else ""),
            hint=self._hint or None,
        )
