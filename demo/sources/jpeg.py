"""Pictures out of a stream of JPEG pictures: Motion JPEG of a pipe, and the parts of an HTTP answer."""

from __future__ import annotations

import cv2
import numpy as np

from tsm_edge.files import MAX_PIXELS

MOST_BYTES = 32 << 20  # of one picture; a stream that has no end within is none
_START = b"\xff\xd8\xff"
_ALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a length
_FRAME_HEADERS = {0xC0, 0xC1, 0xC2, 0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)}


class Cutter:
    """Takes bytes as they come and gives whole pictures; what stands between two pictures is passed over.

    The segments of a picture are followed by their lengths, because a thumbnail among them ends like a picture does.
    ``seen``: pictures found so far. ``passed``: bytes passed over since the last.
    """

    def __init__(self) -> None:
        self.seen = 0
        self.passed = 0
        self._bytes = bytearray()
        self._at = 0  # up to where the picture at the front was followed

    def add(self, data: bytes) -> None:
        """Take bytes."""
        self._bytes += data

    @property
    def waiting(self) -> int:
        """How many bytes belong to a picture whose end has not come."""
        return len(self._bytes) if self._bytes[: len(_START)] == _START else 0

    def take(self) -> bytes | None:
        """Return the next whole picture; None if there is none yet."""
        if self._bytes[: len(_START)] != _START and not self._find_start():
            return None
        end = self._follow()
        if end is None:
            return None
        picture = bytes(self._bytes[:end])
        del self._bytes[:end]
        self._at = 0
        self.seen += 1
        self.passed = 0
        return picture

    def newest(self) -> tuple[bytes | None, int]:
        """Return the last whole picture of those that are there, and how many came before it."""
        newest, older = None, -1
        while (picture := self.take()) is not None:
            newest, older = picture, older + 1
        return newest, max(older, 0)

    def _find_start(self) -> bool:
        at = self._bytes.find(_START)
        drop = at if at >= 0 else max(0, len(self._bytes) - len(_START) + 1)
        self.passed += drop
        del self._bytes[:drop]
        self._at = 0
        return at >= 0

    def _follow(self) -> int | None:
        """Return where the picture at the front ends; None while that is not known."""
        data, at = self._bytes, self._at or 2
        while at + 2 <= len(data):
            if data[at] != 0xFF:  # in the coded data: the next marker is an FF that no zero follows
                at = self._next_marker(at)
                if at < 0:
                    return None
                continue
            marker = data[at + 1]
            if marker == 0xD9:
                return at + 2
            if marker in _ALONE or marker in (0x00, 0xFF):
                at += 1 if marker == 0xFF else 2
            elif at + 4 > len(data):
                break
            else:
                at += 2 + (data[at + 2] << 8 | data[at + 3])
            self._at = at
        return None

    def _next_marker(self, at: int) -> int:
        found = self._bytes.find(b"\xff", at)
        self._at = found if found >= 0 else len(self._bytes)
        return found


def size_of(picture: bytes) -> tuple[int, int] | None:
    """Return (width, height) as the head of a picture declares them."""
    at = 2
    while at + 9 <= len(picture) and picture[at] == 0xFF:
        marker = picture[at + 1]
        if marker in _FRAME_HEADERS:
            return picture[at + 7] << 8 | picture[at + 8], picture[at + 5] << 8 | picture[at + 6]
        at += 1 if marker == 0xFF else 2 if marker in _ALONE else 2 + (picture[at + 2] << 8 | picture[at + 3])
    return None


def decode(picture: bytes) -> np.ndarray | None:
    """Return a picture, uint8 BGR (H, W, 3); None when it cannot be decoded or is too large."""
    size = size_of(picture)
    if size is None or not 0 < size[0] * size[1] <= MAX_PIXELS:
        return None
    try:
        image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)
