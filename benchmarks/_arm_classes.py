"""Programs under the counting emulator: instructions by class, as the plugin `count_classes.c` prints them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from tsm_edge.errors import RuntimeFailure

KEPT = 40  # classes of a document's row


def counted(who: str, words: Sequence[str], data: bytes = b"") -> dict[str, int]:
    """Run a command under the plugin; RuntimeFailure when it fails or nothing was counted."""
    done = subprocess.run(words, input=data, capture_output=True, check=False)
    found = {
        name.decode(): int(count) for name, count in re.findall(rb"guest-class (\S+) (\d+)", done.stderr)
    }
    if done.returncode or not found:
        raise RuntimeFailure(
            f"{who} was not counted.", found=done.stderr.decode(errors="replace")[-400:].strip()
        )
    return found


def summed(classes: Mapping[str, float]) -> dict[str, Any]:
    """Instructions a frame and its most frequent classes."""
    largest = sorted(classes.items(), key=lambda item: -item[1])
    return {
        "instructions_per_frame": round(sum(classes.values())),
        "classes": {name: round(count) for name, count in largest[:KEPT] if count >= 1},
    }
