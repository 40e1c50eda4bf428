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
from camera_lab import stand_in, tiny_camera_bundle, world

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
    "stand_in",
    "tiny_camera_bundle",
    "world",
]
