"""Runs kernels through any OpenCL device of this machine, by ctypes over the ICD loader; no headers, no bindings.

Every argument lies between guard words, so a kernel that writes beside its output is seen.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint, c_void_p
from ctypes.util import find_library

import numpy as np

GUARD = 512  # bytes before and after an argument, which is a sub-buffer between them
MARK = 0xA5
READ_WRITE, COPY_HOST = 1, 1 << 5
BUILD_LOG, DEVICE_NAME = 0x1183, 0x102B
REGION = 0x1220


class OpenCLError(Exception):
    """A call failed; the message has its name and code."""


class Device:
    """The first device of the first platform that has one."""

    def __init__(self) -> None:
        path = find_library("OpenCL")
        if path is None:
            raise OpenCLError("no libOpenCL")
        self.cl = ctypes.CDLL(path)
        for name in ("clCreateContext", "clCreateCommandQueue", "clCreateBuffer", "clCreateSubBuffer"):
            getattr(self.cl, name).restype = c_void_p
        for name in ("clCreateProgramWithSource", "clCreateKernel"):
            getattr(self.cl, name).restype = c_void_p
        self.id = self._first()
        code = c_int()
        self.context = c_void_p(self.cl.clCreateContext(None, 1, byref(self.id), None, None, byref(code)))
        self._check("clCreateContext", code.value)
        self.queue = c_void_p(
            self.cl.clCreateCommandQueue(self.context, self.id, ctypes.c_uint64(0), byref(code))
        )
        self._check("clCreateCommandQueue", code.value)

    def _first(self) -> c_void_p:
        count, device = c_uint(), c_void_p()
        if self.cl.clGetPlatformIDs(0, None, byref(count)) or not count.value:
            raise OpenCLError("no OpenCL platform")
        platforms = (c_void_p * count.value)()
        self._check("clGetPlatformIDs", self.cl.clGetPlatformIDs(count.value, platforms, None))
        for platform in platforms:
            every = ctypes.c_uint64(0xFFFFFFFF)
            if not self.cl.clGetDeviceIDs(c_void_p(platform), every, 1, byref(device), byref(count)):
                return device
        raise OpenCLError("no OpenCL device")

    @staticmethod
    def _check(name: str, code: int) -> None:
        if code:
            raise OpenCLError(f"{name}: {code}")

    def build(self, source: str, options: str = "") -> c_void_p:
        """Compile a program; OpenCLError with the build log."""
        code, text = c_int(), c_char_p(source.encode())
        program = c_void_p(self.cl.clCreateProgramWithSource(self.context, 1, byref(text), None, byref(code)))
        self._check("clCreateProgramWithSource", code.value)
        if self.cl.clBuildProgram(program, 1, byref(self.id), options.encode(), None, None):
            log = ctypes.create_string_buffer(1 << 16)
            self.cl.clGetProgramBuildInfo(program, self.id, BUILD_LOG, c_size_t(1 << 16), log, None)
            raise OpenCLError(log.value.decode(errors="replace"))
        return program

    def run(
        self,
        program: c_void_p,
        kernel: str,
        arrays: list[np.ndarray],
        grid: tuple[int, int, int],
        threads: int,
    ) -> list[np.ndarray]:
        """Launch a kernel over copies of `arrays` and return what they hold afterwards."""
        results = []
        with self.prepared(program, kernel, arrays, grid, threads) as (launch, buffers, guarded):
            launch(1)
            for buffer, data, array in zip(buffers, guarded, arrays, strict=True):
                self._read(buffer, data)
                assert (data[:GUARD] == MARK).all(), f"{kernel} wrote before an argument"
                assert (data[-GUARD:] == MARK).all(), f"{kernel} wrote after an argument"
                results.append(data[GUARD:-GUARD].view(array.dtype).reshape(array.shape).copy())
        return results

    @contextmanager
    def prepared(
        self,
        program: c_void_p,
        kernel: str,
        arrays: list[np.ndarray],
        grid: tuple[int, int, int],
        threads: int,
    ) -> Iterator[tuple[Callable[[int], None], list[c_void_p], list[np.ndarray]]]:
        """A kernel with its arguments on the device: (launch n times and wait, buffers, contents with guards)."""
        code = c_int()
        entry = c_void_p(self.cl.clCreateKernel(program, kernel.encode(), byref(code)))
        self._check(f"clCreateKernel {kernel}", code.value)
        guarded = [
            np.concatenate([mark(GUARD), np.ascontiguousarray(a).view(np.uint8).ravel(), mark(GUARD)])
            for a in arrays
        ]
        buffers = [self._buffer(data) for data in guarded]
        views = []
        for index, (buffer, data) in enumerate(zip(buffers, guarded, strict=True)):
            views.append(self._inside(buffer, data.nbytes - 2 * GUARD))
            self._check("clSetKernelArg", self.cl.clSetKernelArg(entry, index, c_size_t(8), byref(views[-1])))
        total = (c_size_t * 3)(grid[0] * threads, grid[1], grid[2])
        group = (c_size_t * 3)(threads, 1, 1)

        def launch(count: int) -> None:
            for _ in range(count):
                code = self.cl.clEnqueueNDRangeKernel(self.queue, entry, 3, None, total, group, 0, None, None)
                self._check(f"clEnqueueNDRangeKernel {kernel}", code)
            self._check("clFinish", self.cl.clFinish(self.queue))

        yield launch, buffers, guarded
        for memory in (*views, *buffers):
            self.cl.clReleaseMemObject(memory)
        self.cl.clReleaseKernel(entry)

    @property
    def name(self) -> str:
        """The device's name, as its driver reports it."""
        text = ctypes.create_string_buffer(256)
        self._check("clGetDeviceInfo", self.cl.clGetDeviceInfo(self.id, DEVICE_NAME, c_size_t(256), text, None))
        return text.value.decode(errors="replace")

    def _buffer(self, data: np.ndarray) -> c_void_p:
        code = c_int()
        flags = ctypes.c_uint64(READ_WRITE | COPY_HOST)
        pointer = data.ctypes.data_as(c_void_p)
        buffer = self.cl.clCreateBuffer(self.context, flags, c_size_t(data.nbytes), pointer, byref(code))
        self._check("clCreateBuffer", code.value)
        return c_void_p(buffer)

    def _inside(self, buffer: c_void_p, size: int) -> c_void_p:
        code, region = c_int(), (c_size_t * 2)(GUARD, size)
        view = self.cl.clCreateSubBuffer(
            buffer, ctypes.c_uint64(READ_WRITE), c_uint(REGION), byref(region), byref(code)
        )
        self._check("clCreateSubBuffer", code.value)
        return c_void_p(view)

    def _read(self, buffer: c_void_p, data: np.ndarray) -> None:
        pointer = data.ctypes.data_as(c_void_p)
        code = self.cl.clEnqueueReadBuffer(
            self.queue, buffer, c_uint(1), c_size_t(0), c_size_t(data.nbytes), pointer, 0, None, None
        )
        self._check("clEnqueueReadBuffer", code)


def mark(size: int) -> np.ndarray:
    """Guard bytes."""
    return np.full(size, MARK, np.uint8)
