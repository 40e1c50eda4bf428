"""``--on-change CMD``: another program hears of every new label, and can never hold up the demo.

The command is split once as a shell would split it, but no shell runs it: the label and its confidence are its
last two arguments, whatever characters they hold. A thread of its own starts it and waits for it, so that no child
is left as a zombie. One runs at a time and at most one starts a second; of the changes in between only the newest
is told.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable

from tsm_edge.errors import ToolMissing, UsageError
from tsm_edge.terminal import say

EVERY_S = 1.0
LONGEST_S = 30.0  # a command that runs longer is ended, or one that hangs would be the last that ever ran
PARTING_S = 5.0  # what the last command gets when the demo ends


def parse(command: str) -> list[str]:
    """Return the program and its arguments.

    Raises:
        UsageError: nothing in it, or a quote that is not closed.
        ToolMissing: there is no such program.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError("--on-change cannot be understood.", found=f"{command!r}: {error}") from error
    if not words:
        raise UsageError(
            "--on-change names no command.", found=repr(command), allowed="PROGRAM [ARGUMENT ...]"
        )
    if shutil.which(words[0]) is None:
        raise ToolMissing(
            f"The command of --on-change cannot be run: '{words[0]}'.",
            found="no executable file of that name",
            hint="give its full path, and make it executable: chmod +x FILE; no shell reads the command, so a "
            "pipe or a variable needs one: --on-change 'sh -c \"...\" sh'",
        )
    return words


class OnChange:
    """Runs ``words`` with a label and a confidence ("0.87") for each change. ``clock`` is for tests."""

    def __init__(
        self,
        words: list[str],
        *,
        every_s: float = EVERY_S,
        longest_s: float = LONGEST_S,
        parting_s: float = PARTING_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.started = 0
        self.failed = 0
        self._words = words
        self._every_s = every_s
        self._longest_s = longest_s
        self._parting_s = parting_s
        self._clock = clock
        self._news = threading.Condition()
        self._pending: tuple[str, float] | None = None
        self._told = ""
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="tsm-edge-on-change", daemon=True)
        self._thread.start()

    def tell(self, label: str, probability: float) -> None:
        """Take a new decision; an older one that was not told yet is forgotten."""
        with self._news:
            self._pending = (label, probability)
            self._news.notify_all()

    def close(self) -> None:
        """Tell the last change if it was not told yet, and end; a command that takes too long is ended."""
        with self._news:
            self._closing = True
            self._news.notify_all()
        self._thread.join()

    def _work(self) -> None:
        earliest = self._clock()
        while (change := self._next(earliest)) is not None:
            earliest = self._clock() + self._every_s
            self._told = change[0]
            self._run(*change)

    def _next(self, earliest: float) -> tuple[str, float] | None:
        """Wait for a change that may be told; None when there will be none."""
        with self._news:
            while True:
                if self._pending is not None and self._pending[0] == self._told:
                    self._pending = None  # there and back again within a second: nothing to tell
                wait_s = earliest - self._clock()
                if self._pending is not None and (wait_s <= 0 or self._closing):
                    change, self._pending = self._pending, None
                    return change
                if self._closing:
                    return None
                self._news.wait(wait_s if self._pending is not None else None)

    def _run(self, label: str, probability: float) -> None:
        try:
            child = subprocess.Popen(
                [*self._words, label, f"{probability:.2f}"],
                stdin=subprocess.DEVNULL,
                stdout=2,  # our stderr: stdout is for the demo's own results
                start_new_session=True,  # Ctrl-C is for the demo, which then waits for the command
            )
        except (OSError, ValueError) as error:  # ValueError: a label with a NUL character
            self._fail(f"could not be started: {error}")
            return
        self.started += 1
        status = self._wait(child)
        if status is None:
            self._fail("took too long and was ended")
        elif status != 0:
            self._fail(f"ended with status {status}" if status > 0 else f"was ended by signal {-status}")

    def _wait(self, child: subprocess.Popen[bytes]) -> int | None:
        """Return its status; None if it had to be ended."""
        deadline = self._clock() + self._longest_s
        parting = False
        while True:
            with self._news:
                if self._closing and not parting:
                    parting, deadline = True, min(deadline, self._clock() + self._parting_s)
            try:
                return child.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                if self._clock() > deadline:
                    os.killpg(child.pid, signal.SIGKILL)  # with what it has started itself
                    child.wait()
                    return None

    def _fail(self, how: str) -> None:
        self.failed += 1
        if self.failed == 1:
            say(f"note: the --on-change command {how}; the demo goes on, this is said once", err=True)
