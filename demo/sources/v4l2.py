"""What a video device says of itself: driver, name, and the formats, sizes and rates that go together.

The calls and their records are those of linux/videodev2.h.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# requests of ioctl: direction, size, 'V', number
QUERYCAP, ENUM_FMT = 0x80685600, 0xC0405602
ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS = 0xC02C564A, 0xC034564B
CAPABILITY = struct.Struct("=16s32s32s3I12x")
FORMAT = struct.Struct("=3I32sI16x")
SIZE = struct.Struct("=3I6I8x")
INTERVAL = struct.Struct("=5I6I8x")
_CAPTURE, _CAPTURE_PLANES, _OWN_CAPS = 0x1, 0x1000, 0x80000000
_DISCRETE = 1
_MOST = 256  # answers of one kind; a driver that never stops is broken
#: sizes that are tried where a device takes any
_COMMON = ((320, 240), (640, 480), (1280, 720), (1920, 1080))

Ioctl = Callable[[int, int, bytearray], object]


def _ioctl(descriptor: int, request: int, data: bytearray) -> None:
    """Ask again when a signal has interrupted it, which `fcntl.ioctl` does not."""
    while True:
        try:
            fcntl.ioctl(descriptor, request, data)
            return
        except InterruptedError:
            continue


@dataclass(frozen=True)
class Mode:
    """One format at one size; ``rates``: frames a second, the fastest first."""

    format: str
    width: int
    height: int
    rates: tuple[float, ...]


@dataclass(frozen=True)
class Device:
    """A video device. ``captures``: it delivers frames; others of the same camera have its metadata or encode."""

    driver: str
    card: str
    bus: str
    captures: bool
    modes: tuple[Mode, ...]


def query(path: str, ioctl: Ioctl = _ioctl) -> Device:
    """Return what the device says.

    Raises:
        OSError: it cannot be opened, or is no video device.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        data = bytearray(CAPABILITY.size)
        ioctl(descriptor, QUERYCAP, data)
        driver, card, bus, _, all_caps, own_caps = CAPABILITY.unpack(data)
        caps = own_caps if all_caps & _OWN_CAPS else all_caps
        kind = 1 if caps & _CAPTURE else 9 if caps & _CAPTURE_PLANES else 0
        modes = tuple(_modes(descriptor, kind, ioctl)) if kind else ()
        return Device(_text(driver), _text(card), _text(bus), bool(kind), modes)
    finally:
        os.close(descriptor)


def _modes(descriptor: int, kind: int, ioctl: Ioctl) -> Iterator[Mode]:
    for answer in _each(descriptor, ENUM_FMT, FORMAT, (kind,), ioctl):
        code = answer[4]
        letters = code.to_bytes(4, "little").decode("latin-1").strip("\0 ")
        for width, height in _sizes(descriptor, code, ioctl):
            yield Mode(letters, width, height, tuple(_rates(descriptor, code, width, height, ioctl)))


def _sizes(descriptor: int, code: int, ioctl: Ioctl) -> Iterator[tuple[int, int]]:
    for answer in _each(descriptor, ENUM_FRAMESIZES, SIZE, (code,), ioctl):
        if answer[2] == _DISCRETE:
            yield answer[3], answer[4]
            continue
        least_wide, most_wide, _, least_high, most_high, _ = answer[3:]
        for width, height in _COMMON:
            if least_wide <= width <= most_wide and least_high <= height <= most_high:
                yield width, height
        yield most_wide, most_high
        return


def _rates(descriptor: int, code: int, width: int, height: int, ioctl: Ioctl) -> Iterator[float]:
    for answer in _each(descriptor, ENUM_FRAMEINTERVALS, INTERVAL, (code, width, height), ioctl):
        numerator, denominator = answer[5], answer[6]  # discrete, or the shortest interval of a range
        if numerator:
            yield round(denominator / numerator, 3)
        if answer[4] != _DISCRETE:
            return


def _each(
    descriptor: int, request: int, layout: struct.Struct, key: tuple[int, ...], ioctl: Ioctl
) -> Iterator[tuple[int, ...]]:
    """Ask with index 0, 1, ... until the driver has no more."""
    for index in range(_MOST):
        data = bytearray(layout.size)
        struct.pack_into(f"={1 + len(key)}I", data, 0, index, *key)
        try:
            ioctl(descriptor, request, data)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY, errno.ENODATA):
                return
            raise
        yield layout.unpack(data)


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "replace")
