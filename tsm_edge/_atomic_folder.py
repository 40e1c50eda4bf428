"""A folder that is written whole or not at all: filled beside its place, then renamed into it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .manifest import FileEntry

_CHUNK = 1 << 20


@contextlib.contextmanager
def temporary_sibling(root: Path) -> Iterator[Path]:
    """A new folder beside ``root``: renaming is atomic within one file system only."""
    new = Path(tempfile.mkdtemp(prefix=f".{root.name}.", suffix=".new", dir=root.parent))
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def store(path: Path, content: bytes | Path, executable: bool) -> FileEntry:
    """Write ``content``, or a copy of the file, to ``path`` and on to the disk; return its sha256 and size."""
    digest, size = hashlib.sha256(), 0
    with open(path, "wb") as out:
        for chunk in _chunks(content):
            digest.update(chunk)
            size += len(chunk)
            out.write(chunk)
        _flush(out)
    path.chmod(0o755 if executable else 0o644)
    return FileEntry(digest.hexdigest(), size)


def swap(new: Path, root: Path) -> None:
    """Put ``new`` in the place of ``root``. A folder with files cannot be renamed over: the old one steps aside."""
    if not root.exists():
        os.rename(new, root)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{root.name}.", suffix=".old", dir=root.parent))
    try:
        os.rename(root, old)  # over the empty folder just made
    except BaseException:
        old.rmdir()
        raise
    try:
        os.rename(new, root)
    except BaseException:
        os.rename(old, root)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _chunks(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with open(content, "rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _flush(out: BinaryIO) -> None:
    out.flush()
    os.fsync(out.fileno())  # a board that loses power after the rename must not find empty files
