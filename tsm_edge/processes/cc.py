"""The C compilers that are here for small programs of our own: ``cc``, or the one of ``ziglang``."""

from __future__ import annotations

import importlib.util
import shutil
import sys


def compilers() -> list[list[str]]:
    """The commands of the C compilers there are."""
    found = [[path] for path in [shutil.which("cc")] if path]
    if importlib.util.find_spec("ziglang") is not None:
        found.append([sys.executable, "-m", "ziglang", "cc"])
    return found
