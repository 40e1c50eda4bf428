"""What --precision int8 asks of a command line and of a network, and what it computes in floats."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tsm_edge.bundle.manifest import ModelInfo
from tsm_edge.errors import UsageError
from tsm_edge.target import EdgeTarget

Kept = frozenset[str]  # names of layers that an int8 network computes in floats


def check_ranges(precision: str | None, ranges: bool) -> None:
    """int8 needs ranges; UsageError says where they come from."""
    if precision == "int8" and not ranges:
        raise UsageError(
            "int8 needs the ranges of the network's values.",
            found="--precision int8 alone",
            allowed="--calibrate DATA or --ranges FILE",
            hint="--calibrate takes any data that `tsm-edge train` reads; a few dozen clips are enough",
        )


def check_exclude(precision: str | None, exclude: Sequence[str]) -> None:
    """UsageError for layers that are kept out of another precision."""
    if exclude and precision != "int8":
        raise UsageError("Layers are kept out of int8 only.", found=f"--exclude, --precision {precision or 'left out'}")


def check_clip(info: ModelInfo, precision: str | None) -> None:
    """UsageError for 8 bits in a network that reads several frames at once."""
    frames = max(info.clip_frames, info.seen_frames)
    if frames > 1 and precision == "int8":
        raise UsageError(
            "The 8-bit kernels read one frame.",
            found=f"a window of {frames} frames",
            allowed="--precision fp32 or fp16, or a network that shifts, as a stream",
        )


def floats_beside_bytes(target: EdgeTarget, kept: Collection[str]) -> str:
    """The precision of what an int8 network computes in floats: float16 where layers are kept and the core has it.

    The classifier alone stays in float32.
    """
    return "fp16" if kept and target.cpu.fp16 else "fp32"
