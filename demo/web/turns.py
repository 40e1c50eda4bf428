"""Short turns at Python's lock, so that threads that serve viewers do not hold up the model's.

A step that has ended waits for the lock, and a thread that writes to viewers may keep it for the switch interval, 5 ms
by default. A lower priority of the encoding threads would make it longer: one that holds the lock and waits for a
processor holds up all (docs/decisions/016-page-viewers.md).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

_TURN_S = 0.0005


@contextlib.contextmanager
def short_turns() -> Iterator[None]:
    """Have threads of this process pass the lock on after half a millisecond."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _TURN_S))
    try:
        yield
    finally:
        sys.setswitchinterval(before)
