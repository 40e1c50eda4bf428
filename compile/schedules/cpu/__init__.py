"""Schedules of the CPU family."""

from ._rule import Kernel, each_height

__all__ = ["Kernel", "each_height"]
