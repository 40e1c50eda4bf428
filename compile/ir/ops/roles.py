"""Roles of an operator's operands."""

from __future__ import annotations

from enum import Enum


class Role(str, Enum):
    """The role of an operand; its value names the pointer of the kernel."""

    X = "x"  # activation
    STATE = "state"  # channels of the last frame
    RESIDUAL = "r"  # added before the clamp
    Y = "y"  # result
    NEXT = "next"  # channels for the next frame
    KEYS = "k"  # panels of keys
    VALUES = "v"  # panels of values
    BOXES = "boxes"  # boxes of frames
    SCRATCH = "scratch"  # the calling thread's own memory
