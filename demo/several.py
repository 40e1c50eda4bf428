"""Several inputs in one process: their loops take turns on one thread, and the model's weights are there once.

Each has its own stream, decision, overlay and events. One that is lost ends alone; the others go on.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from tsm_edge.terminal import say

from .loop import WAIT_S, Loop

_ENDS_ALL = ("interrupted", "quit", "output-closed")  # of `loop.Loop.stopped`: the user means all of them


def run(loops: Sequence[Loop], names: Sequence[str], reset: threading.Event) -> None:
    """Run until every loop has ended, or the user ends them all. ``reset``: set from any thread, it resets all."""
    left = list(zip(loops, names))
    while left:
        if reset.is_set():
            reset.clear()
            for loop, _ in left:
                loop.reset.set()
        for loop, name in tuple(left):
            if loop.advance(WAIT_S / len(left)):
                continue
            left.remove((loop, name))
            if loop.stopped in _ENDS_ALL:
                for other, _ in left:
                    other.stopped = loop.stopped
                return
            if loop.failure is not None:
                loop.show_end(f"ended: {loop.failure.what}")
                if left:
                    say(f"note: {name} has ended, the others go on: {loop.failure.what}", err=True)
