"""Schedules of the GPU families, CUDA and OpenCL."""

from ._rule import Kernel

__all__ = ["Kernel"]
