"""Fixtures that build C programs."""

from c_lab import (
    build,
    command,
    gcc,
    good,
    gpu_library,
    gpu_objects,
    library,
    make,
    plain_program,
    program,
    runtime,
)

__all__ = [
    "build",
    "command",
    "gcc",
    "good",
    "gpu_library",
    "gpu_objects",
    "library",
    "make",
    "plain_program",
    "program",
    "runtime",
]
