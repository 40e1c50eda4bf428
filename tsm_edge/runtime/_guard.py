"""Who may use a handle of a bundle's library: threads, signal handlers, forked children and the end of the program.

The library's functions run without Python's global lock, so an object could be freed by one thread while another one is
in a call with it. What is closed while a call is under way is freed when that call ends.
"""

from __future__ import annotations

import os
import threading
import weakref


class Guard:
    """Calls with a handle, and its end.

    inherited: this process is a child, by a fork, of the one in which the handle was made.
    closing: `close` has been called; calls that begin are to be refused.
    """

    def __init__(self, release: weakref.finalize[..., object]) -> None:
        """release: frees the handle, once. It does not run at the end of the program, when daemon threads may be in a
        call: the system frees everything."""
        release.atexit = False
        self._release = release
        self._renew()
        self.inherited = self.closing = False
        _guards.add(self)

    def _renew(self) -> None:
        # Reentrant: a signal handler or a destructor runs within a call of its own thread.
        self._lock = threading.RLock()
        self.calls = 0

    def enter(self, wait: bool) -> bool:
        """Begin a call; `calls` counts those of this thread, 2 and more within another one.

        Without ``wait``, return False while another thread is in a call.
        """
        if not self._lock.acquire(blocking=wait):
            return False
        self.calls += 1
        return True

    def leave(self) -> None:
        """End a call. The last one of a closed handle frees it."""
        if self.calls == 0:  # a fork within the call: the lock is a new one
            return
        self.calls -= 1
        if self.closing and self.calls == 0:
            self._release()
        self._lock.release()

    def close(self) -> None:
        """Free the handle after the call that another thread has under way; within a call of this thread, after it."""
        self.closing = True
        with self._lock:
            if self.calls == 0:
                self._release()


_guards: weakref.WeakSet[Guard] = weakref.WeakSet()


def _after_fork() -> None:
    """The threads that hold locks are the parent's; none of them will give one back here."""
    for guard in list(_guards):
        guard._renew()
        guard.inherited = True


os.register_at_fork(after_in_child=_after_fork)
