"""``--on-change CMD``: another program hears of every gesture, in order, and can never hold up a live demo.

The command is split once as a shell would split it, but no shell runs it. What is told stands in its environment
(`environment`), where no program takes a label for an option or for a command. Only a command that ends with the
word ``--`` gets label and confidence as arguments, too: whoever writes it says that options end there. One command
runs at a time; gestures that are decided meanwhile wait in a queue of ``ROOM`` places.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from tsm_edge.errors import ToolMissing, UsageError
from tsm_edge.terminal import printable, say

from .events import Event
from .sinks.outbox import Counts

ROOM = 64  # gestures that wait; at two seconds for each, two minutes of them
LONGEST_S = 30.0  # a command that runs longer is ended, or one that hangs would be the last that ever ran
PARTING_S = 5.0  # what all commands together get when the demo is stopped
_PATIENCE_S = 2.0  # how long the end of a file waits before it says what for
#: not for the command
SECRETS = ("TSM_EDGE_TOKEN", "TSM_EDGE_INPUT_PASSWORD", "TSM_EDGE_MQTT_PASSWORD", "TSM_EDGE_WEBHOOK_SECRET")
_NAMED = 5  # how many gestures are named that were not told


def parse(command: str) -> list[str]:
    """Return the program and its arguments.

    Raises:
        UsageError: nothing in it, a quote that is not closed, or a variable that only a shell would replace.
        ToolMissing: there is no such program.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError("--on-change cannot be understood.", found=f"{command!r}: {error}") from error
    if not words or not words[0]:
        raise UsageError(
            "--on-change names no command.", found=repr(command), allowed="PROGRAM [ARGUMENT ...]"
        )
    for word in words:
        if re.fullmatch(r"\S*\$\{?TSM_EDGE_\S*", word):
            raise UsageError(
                "--on-change is not read by a shell, so a variable stays as it is written.",
                found=word,
                hint="read it in the program, or ask for a shell: --on-change 'sh -c \"echo \\\"$TSM_EDGE_LABEL\\\"\"'",
            )
    if shutil.which(words[0]) is None:
        raise ToolMissing(
            f"The command of --on-change cannot be run: '{words[0]}'.",
            found="no executable file of that name",
            hint="give its full path, and make it executable: chmod +x FILE; no shell reads the command, so a "
            "pipe or a variable needs one: --on-change 'sh -c \"...\"'",
        )
    return words


def environment(event: Event) -> dict[str, str]:
    """Return the variables in which the command finds the event.

    TSM_EDGE_LABEL and TSM_EDGE_ENDED have control characters as escapes (`tsm_edge.terminal.printable`): a program
    that prints a label or reads it line by line is not misled. TSM_EDGE_INDEX tells classes apart in any case.
    TSM_EDGE_RECORD is all of it as JSON, the same that every other sink is told (`Event.record`).
    """
    return {
        "TSM_EDGE_EVENT": event.kind,
        "TSM_EDGE_LABEL": printable(event.label),
        "TSM_EDGE_INDEX": str(event.index),
        "TSM_EDGE_CONFIDENCE": f"{event.probability:.4f}",
        "TSM_EDGE_TIME": f"{event.t_s:.3f}",
        "TSM_EDGE_FRAME": str(event.frame),
        "TSM_EDGE_ENDED": printable(event.ended),
        "TSM_EDGE_RECORD": json.dumps(event.record()),
    }


@dataclass(frozen=True)
class Told:
    """What became of the events: ``called`` commands were started, of which ``failed`` did not end with status 0.

    ``failed`` counts those that could not be started, too. ``dropped`` found the queue full, ``untold`` waited when
    the demo was stopped.
    """

    called: int
    failed: int
    dropped: int
    untold: int


class OnChange:
    """Runs ``words`` once for each event, one after the other, on a thread of its own.

    Args:
        tell_idle: the end of a gesture is told, too.
        wait: `tell` waits for a place in the queue instead of dropping the event: for a replay, which has no clock.
        stopped: whether the user wants to end; asked while something waits.
        room, longest_s, parting_s: as the constants above, for tests.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        words: list[str],
        *,
        tell_idle: bool = False,
        wait: bool = False,
        stopped: Callable[[], bool] = lambda: False,
        room: int = ROOM,
        longest_s: float = LONGEST_S,
        parting_s: float = PARTING_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._words = words
        self._tell_idle = tell_idle
        self._wait = wait
        self._stopped = stopped
        self._room = room
        self._longest_s = longest_s
        self._parting_s = parting_s
        self._clock = clock
        self._called = self._failed = self._dropped = 0
        self._queue: deque[Event] = deque()
        self._untold: list[Event] = []
        self._news = threading.Condition()
        self._closing = False
        self._deadline = float("inf")  # when the last command is ended
        self._reported = False
        self._thread = threading.Thread(target=self._work, name="tsm-edge-on-change", daemon=True)
        self._thread.start()

    @property
    def told(self) -> Told:
        """The counts so far; after `finish` they are final."""
        return Told(self._called, self._failed, self._dropped, len(self._untold))

    @property
    def counts(self) -> Counts:
        """The same in the form of every other sink."""
        with self._news:
            told = self.told
            return Counts(told.called - told.failed, told.failed, told.dropped, told.untold, len(self._queue))

    def tell(self, event: Event) -> None:
        """Take an event. Returns at once, unless it waits for a place in the queue of a replay."""
        if event.ended and not self._tell_idle:
            return
        with self._news:
            while self._wait and len(self._queue) >= self._room and not self._stopped():
                self._news.wait(0.1)
            if len(self._queue) < self._room:
                self._queue.append(event)
                self._news.notify_all()
                return
            self._dropped += 1
        if self._dropped == 1:
            say(
                f"note: {self._room} gestures wait for the --on-change command, which is too slow; more are dropped "
                "until there is room, and counted",
                err=True,
            )

    def finish(self, *, patient: bool) -> None:
        """End, and report what was not told. May be repeated.

        ``patient``: make all calls that wait, each within its own time, until the user wants to end. Otherwise they
        have ``parting_s`` together.
        """
        with self._news:
            self._closing = True
            self._news.notify_all()
        try:
            if patient:
                self._drain()
            with self._news:
                self._deadline = min(self._deadline, self._clock() + self._parting_s)
            self._thread.join()
        except BaseException:  # the second Ctrl-C: nothing is worth waiting for
            self._deadline = self._clock()
            raise
        self._report()

    def _drain(self) -> None:
        """Wait until all is told or the user wants to end; say what is waited for if it takes long."""
        began, silent = self._clock(), True
        while self._thread.is_alive() and not self._stopped():
            self._thread.join(0.05)
            if silent and self._clock() - began > _PATIENCE_S and self._thread.is_alive():
                silent = False
                say(f"{len(self._queue) + 1} calls of --on-change are still to end; Ctrl-C gives up", err=True)

    def _report(self) -> None:
        if self._untold and not self._reported:
            named = [f"{event.label} ({event.t_s:.2f} s)" for event in self._untold[:_NAMED]]
            more = len(self._untold) - len(named)
            names = ", ".join(named) + (f" and {more} more" if more else "")
            say(f"note: the demo was stopped before the --on-change command heard of {names}", err=True)
        self._reported = True

    def _work(self) -> None:
        while (event := self._next()) is not None:
            self._run(event)

    def _next(self) -> Event | None:
        """Wait for an event that may still be told; None when there will be none."""
        with self._news:
            self._news.wait_for(lambda: self._queue or self._closing)
            if self._clock() >= self._deadline:
                self._untold += self._queue
                self._queue.clear()
            event = self._queue.popleft() if self._queue else None
            self._news.notify_all()  # there is room again
            return event

    def _run(self, event: Event) -> None:
        told = environment(event)
        words = self._words
        if words[-1] == "--":
            words = [*words, told["TSM_EDGE_LABEL"], told["TSM_EDGE_CONFIDENCE"]]
        try:
            child = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=2,  # our stderr: stdout is for the demo's own results
                env={name: value for name, value in os.environ.items() if name not in SECRETS} | told,
                start_new_session=True,  # Ctrl-C is for the demo, which then waits for the command
            )
        except OSError as error:
            self._fail(f"could not be started: {error}")
            return
        self._called += 1
        status = self._wait_for(child)
        if status is None:
            self._fail("took too long and was ended")
        elif status != 0:
            self._fail(f"ended with status {status}" if status > 0 else f"was ended by signal {-status}")

    def _wait_for(self, child: subprocess.Popen[bytes]) -> int | None:
        """Return its status; None if it had to be ended."""
        deadline = self._clock() + self._longest_s
        while True:
            try:
                return child.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                if self._clock() > min(deadline, self._deadline):
                    os.killpg(child.pid, signal.SIGKILL)  # with what it has started itself
                    child.wait()
                    return None

    def _fail(self, how: str) -> None:
        self._failed += 1
        if self._failed == 1:
            say(f"note: the --on-change command {how}; the demo goes on, this is said once", err=True)
