"""Short turns at Python's lock, so that threads that serve viewers do not hold up the model's.

A step that has ended waits for the lock, and a thread that writes to viewers may keep it for the switch interval, 5 ms
by default. With 100 viewers on two cores the 95th percentile of a step of 0.6 ms was 1.9 ms (median of nine runs), with
short turns 1.4, with nobody looking on 1.2. A lower priority of the encoding threads made it longer, 2.5 ms: one that
holds the lock and waits for a processor holds up all (`benchmarks/page_viewers.py`).
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
