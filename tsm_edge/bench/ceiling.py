"""What this machine can do at most, measured: arithmetic by fused multiply-adds, memory by copying.

Without a C compiler arithmetic is measured by numpy's matrix product, in a process of its own
(``python -m tsm_edge.bench.ceiling``): the number of threads of a BLAS is fixed when numpy is imported. All take the
best of one second, for a roof is what is possible. The report says which method it was.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ..errors import RuntimeFailure
from ..processes import children
from . import fma

SIDE = 1024
COPY_BYTES = 64 * 2**20  # a thread's copy; more than the caches hold
SECONDS = 1.0
_BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


@dataclass(frozen=True)
class Ceiling:
    """The roofs: float32 arithmetic in GFLOP/s, copying in GB/s (bytes read and bytes written).

    arithmetic: how the first was found, "multiply-add loop" or "numpy sgemm"; method: both in full.
    """

    threads: int
    gflop_per_s: float
    gb_per_s: float
    arithmetic: str
    method: str


def measure(threads: int) -> Ceiling:
    """Measure both roofs with as many threads; about 3 s. RuntimeFailure when it cannot be done."""
    arithmetic, rate = "multiply-add loop", fma.gflop_per_s(threads)
    if rate is None:
        arithmetic, rate = "numpy sgemm", _sgemm(threads)
    method = f"best of {SECONDS:g} s: {arithmetic}; copying {COPY_BYTES >> 20} MiB a thread"
    return Ceiling(threads, rate, copy_gb_per_s(threads), arithmetic, method)


def copy_gb_per_s(threads: int) -> float:
    """Copy arrays that no cache holds, one pair a thread; numpy lets go of Python's lock while it copies."""
    pairs = [(np.ones(COPY_BYTES, np.uint8), np.ones(COPY_BYTES, np.uint8)) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        best_ns = _best_ns(lambda: list(pool.map(lambda pair: np.copyto(*pair), pairs)))
    return 2 * COPY_BYTES * threads / best_ns


def sgemm_gflop_per_s() -> float:
    """The matrix product with the threads that this process's BLAS has."""
    a, b = (np.random.default_rng(seed).standard_normal((SIDE, SIDE)).astype(np.float32) for seed in range(2))
    product = np.empty_like(a)
    return 2 * SIDE**3 / _best_ns(lambda: np.matmul(a, b, out=product))


def _sgemm(threads: int) -> float:
    environment = {**os.environ, **dict.fromkeys(_BLAS_THREADS, str(threads))}
    done = children.run_text([sys.executable, "-m", __name__], env=environment)
    if done.returncode:
        raise RuntimeFailure("The machine's peak cannot be measured.", found=done.stderr.strip()[-500:])
    return float(done.stdout)


def _best_ns(work: Callable[[], object]) -> int:
    work()
    best, end = 0, time.perf_counter() + SECONDS
    while not best or time.perf_counter() < end:
        start = time.perf_counter_ns()
        work()
        elapsed = time.perf_counter_ns() - start
        best = min(best or elapsed, elapsed)
    return best


if __name__ == "__main__":
    print(sgemm_gflop_per_s())
