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
from collections.abc import Callable, Mapping, Sequence

from . import interrupts

_running: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()


def run(
    command: Sequence[str],
    *,
    input: bytes | None = None,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    stdout: int | None = subprocess.PIPE,
    stderr: int | None = subprocess.PIPE,
    preexec_fn: Callable[[], None] | None = None,
    patience_s: float = 0.0,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, as ``subprocess.run`` does; its standard input is ``input``, or nothing.

    An exception that comes meanwhile (Ctrl-C, SIGTERM) ends it. patience_s: how long it then gets to clean up.

    Raises:
        OSError: it cannot be started.
    """
    stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
    child: subprocess.Popen[bytes] | None = None
    try:
        # neither a signal nor whoever ends all programs comes between the start of one and the note of it
        with interrupts.deferred(), _lock:
            child = subprocess.Popen(
                command, stdin=stdin, stdout=stdout, stderr=stderr, cwd=cwd, env=env,
                preexec_fn=preexec_fn, start_new_session=True,  # noqa: PLW1509  one system call, no lock of ours
            )  # fmt: skip
            _running.add(child)
        output, errors = child.communicate(input)
    except BaseException:
        if child is not None:
            end(child, patience_s)
            with child:
                pass  # close its pipes and wait for it
        raise
    finally:
        if child is not None:
            with _lock:
                _running.discard(child)
    return subprocess.CompletedProcess(command, child.returncode, output, errors)


def run_text(
    command: Sequence[str],
    *,
    input: str | None = None,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """:func:`run` for a program that reads and writes UTF-8; other bytes of its output become U+FFFD."""
    done = run(command, input=None if input is None else input.encode(), cwd=cwd, env=env)
    output, errors = (written.decode("utf-8", "replace") for written in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(command, done.returncode, output, errors)


def end(child: subprocess.Popen[bytes], patience_s: float = 0.0) -> None:
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
