"""Schedules of the CPU family."""

from ._rule import Kernel

__all__ = ["Kernel"]
