"""Is there an OpenCL device on this machine?"""

from __future__ import annotations

import ctypes

import pytest


def has_a_device() -> bool:
    """Asked of the loader, which does not load a driver's compiler for that."""
    count = ctypes.c_uint(0)
    try:
        ctypes.CDLL("libOpenCL.so.1").clGetPlatformIDs(0, None, ctypes.byref(count))
    except OSError:
        return False
    return count.value > 0


needs_a_device = pytest.mark.skipif(
    not has_a_device(), reason="no OpenCL device: apt-get install ocl-icd-libopencl1 pocl-opencl-icd"
)
