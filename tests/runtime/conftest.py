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
from camera_lab import aarch64_bundle, stand_in, tiny_camera_bundle, world
from examples_lab import bundles

__all__ = [
    "aarch64_bundle",
    "build",
    "bundles",
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
