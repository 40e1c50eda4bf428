"""Keep memory that was freed. The activations of a step are large; by default glibc gives them back to the system
after each use, and asking again costs a page fault every 4 KiB, a third of the time of a step on two cores."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # <malloc.h>
_MOST = 2**31 - 1


def keep_freed_memory() -> None:
    """Tell the C library; does nothing where it is not glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, ctypes.c_int(_MOST))
        mallopt(_TRIM_THRESHOLD, ctypes.c_int(_MOST))
