"""Programs that a command starts, and that end with it: each in a process group of its own, ended as a whole.

A compiler's driver starts others; to end the driver alone would leave them running in a folder that is removed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import Any

from . import interrupts

_running: set[subprocess.Popen[Any]] = set()
_lock = threading.Lock()


def run(
    command: Sequence[str], *, input: Any = None, patience_s: float = 0.0, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """Run a program to its end, as ``subprocess.run`` does with ``capture_output``, or with the streams of ``options``.

    An exception that comes meanwhile (Ctrl-C, SIGTERM) ends it. patience_s: how long it then gets to clean up.

    Raises:
        OSError: it cannot be started.
    """
    if input is not None:
        options["stdin"] = subprocess.PIPE
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    child: subprocess.Popen[Any] | None = None
    try:
        # neither a signal nor whoever ends all programs comes between the start of one and the note of it
        with interrupts.deferred(), _lock:
            child = subprocess.Popen(command, start_new_session=True, **options)
            _running.add(child)
        output, errors = child.communicate(input)
    except BaseException:
        if child is not None:
            end(child, patience_s)
            with child:
                pass  # close its pipes and wait for it
        raise
    finally:
        with _lock:
            _running.discard(child)
    return subprocess.CompletedProcess(command, child.returncode, output, errors)


def end(child: subprocess.Popen[Any], patience_s: float = 0.0) -> None:
    """End a program and what it has started itself, at once or after so many seconds to clean up."""
    if patience_s:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + patience_s
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def end_with_parent(parent: int) -> None:
    """Let the kernel end this process when the one that started it dies, so that no worker waits for it for ever.

    prctl(2), PR_SET_PDEATHSIG.
    """
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before that
        os.kill(os.getpid(), signal.SIGKILL)


def end_all() -> None:
    """End every program that other threads are waiting for."""
    with _lock:
        for child in _running:
            end(child)
