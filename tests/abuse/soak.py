"""Steps without an end through the Python runtime: memory, files and threads must stay what they were.

    python tests/abuse/soak.py BUNDLE STEPS

The bundle is one of the plan of tiny_plan.c. Pictures of several sizes and tensors by turns, now and then states,
timings, a reset and a new stream. Prints one line of JSON, as soak.c does.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time

import numpy as np

import tsm_edge

LIFE, PARTS = 1000, 10


def now() -> tuple[int, int, int]:
    """Resident memory in KiB, open files, threads."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * (os.sysconf("SC_PAGESIZE") // 1024)
    return resident, len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


def live(model: tsm_edge.Model, life: int, pictures: list[np.ndarray], tensor: np.ndarray) -> None:
    """One stream's life; its states count the steps, so its scores are known."""
    with model.stream(threads=1 + life % 3) as stream:
        for step in range(LIFE):
            if step % 2:
                stream.step_tensor(tensor)
            else:
                stream.step(pictures[step // 100 % len(pictures)])
            if step % 250 == 0:
                stream.profile(step % 500 == 0)
                stream.timings()
                stream.set_states(stream.states())
        stream.step_tensor(tensor)
        scores = stream.step_tensor(tensor).tolist()
    assert scores == [0.0, LIFE + 2.0, 2 * (LIFE + 2.0)], scores


def main(folder: str, steps: int) -> None:
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (side, 100 - side, 3), dtype=np.uint8) for side in (9, 20, 37, 64)]
    tensor = np.zeros((1, 3, 20, 20), np.float32)
    lives, seen, start = steps // LIFE, [], time.monotonic()
    for life in range(lives):
        with tsm_edge.open(folder) as model:
            live(model, life, pictures, tensor)
        seen.append(now())
    first, last = seen[max(0, lives // PARTS - 1)], seen[-1]
    report = {
        "steps": lives * (LIFE + 2),
        "seconds": round(time.monotonic() - start, 1),
        "first_kib": first[0],
        "last_kib": last[0],
        "most_kib": max(resident for resident, _, _ in seen),
        "files": [first[1], last[1]],
        "threads": [first[2], last[2]],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
