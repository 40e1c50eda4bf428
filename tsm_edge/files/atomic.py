"""Files and folders that are written whole or not at all; the one home of how tsm-edge puts results on a disk.

Everything is filled under a temporary name beside its place (:mod:`tsm_edge.files.temporaries`), brought to the disk
with fsync and renamed. A folder that is there already changes places with the new one in one step (renameat2 with
RENAME_EXCHANGE, Linux 3.15 and newer); where the file system cannot do that, it steps aside for the moment between two
renames, and :func:`recover` brings it back if the writer dies in that moment.

Permissions are those of the umask; a file that is replaced keeps its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import OutputError
from .temporaries import OLD, PART, held, hold, remove, set_aside, sibling, sweep

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
#: renameat2 where the C library does not wrap it (musl before 1.2.5)
_SYSCALL = {"x86_64": 316, "aarch64": 276, "armv7l": 382}
_NO_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}
_PROBE = 4096


@contextlib.contextmanager
def file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file to write; it takes the place of ``path`` at the end of the context, and not after an exception.

    A device or a pipe (``/dev/stdout``) is written to directly, and a link keeps pointing to what is replaced.

    Raises:
        OSError: it cannot be written; an older file is untouched.
    """
    place = Path(os.path.realpath(path))
    older = _facts(place)
    if older is not None and not stat.S_ISREG(older.st_mode):
        with open(place, "wb") as out:
            yield out
        return
    sweep(place.parent)
    temporary = sibling(place)
    try:
        with open(temporary, "xb") as out:
            hold(out.fileno())
            yield out
            out.flush()
            if older is not None:
                with contextlib.suppress(OSError):
                    os.fchmod(out.fileno(), stat.S_IMODE(older.st_mode))
            os.fsync(out.fileno())
        os.replace(temporary, place)
    finally:
        remove(temporary)
    _sync(place.parent)


def write_bytes(path: str | os.PathLike[str], data: bytes | memoryview) -> None:
    """Write a whole file; OutputError when that cannot be, and then an older file is untouched."""
    try:
        with file(path) as out:
            out.write(data)
    except OSError as error:
        raise cannot_write(path, error) from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a whole UTF-8 file; OutputError when that cannot be, and then an older file is untouched."""
    write_bytes(path, text.encode())


def replace(temporary: Path, place: Path) -> None:
    """Put a file that somebody else wrote beside ``place`` there, once it is on the disk."""
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, place)
    _sync(place.parent)


@contextlib.contextmanager
def folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give an empty folder to fill; it takes the place of ``path`` at the end of the context, not after an exception.

    What was at ``path`` is removed then: whether it may be is the caller's question. Missing parents are made.

    Raises:
        OSError: it cannot be written; an older folder is untouched.
    """
    root = Path(os.path.realpath(path))
    root.parent.mkdir(parents=True, exist_ok=True)
    recover(root)
    sweep(root.parent)
    new = sibling(root)
    try:
        os.mkdir(new)
        with held(new):
            yield new
            _sync(new)
            _put(new, root)
    finally:
        remove(new)  # after an exchange this is the older folder
    _sync(root.parent)


def recover(root: Path, wait_s: float = 0.0) -> None:
    """Bring back the folder that a writer moved away from ``root`` before it died; no news where ``root`` is there.

    wait_s: how long to wait for a writer that still runs and is between its two renames.
    """
    deadline = time.monotonic() + wait_s
    while True:
        found, running = set_aside(root)
        there = os.path.lexists(root)
        if not found or (running and there):
            return
        if not running:
            break
        if time.monotonic() >= deadline:
            return
        time.sleep(0.005)
    newest = max(found, key=lambda each: each.stat().st_mtime_ns) if not there else None
    for each in found:
        if each == newest:
            with contextlib.suppress(OSError):  # another process was faster, or nothing may be written here
                os.rename(each, root)
        else:
            remove(each)


def exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in one step; False where the system or the file system cannot do that."""
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (
        ctypes.c_int(_AT_FDCWD),
        ctypes.c_char_p(os.fsencode(one)),
        ctypes.c_int(_AT_FDCWD),
        ctypes.c_char_p(os.fsencode(other)),
        ctypes.c_uint(_RENAME_EXCHANGE),
    )
    if hasattr(libc, "renameat2"):
        status = libc.renameat2(*arguments)
    elif platform.machine() in _SYSCALL:
        status = libc.syscall(ctypes.c_long(_SYSCALL[platform.machine()]), *arguments)
    else:
        return False
    if status == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), os.fspath(other))


def check_file(path: str | os.PathLike[str]) -> None:
    """Find out before any work is done for it whether a file can be written to ``path``.

    Raises:
        OutputError: the folder is missing or may not be written to, the disk is full, or ``path`` is a folder.
    """
    place = Path(os.path.realpath(path))
    try:
        older = _facts(place)
        if older is not None and stat.S_ISDIR(older.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if older is None or stat.S_ISREG(older.st_mode):
            if not place.parent.is_dir():
                raise FileNotFoundError(errno.ENOENT, f"no folder {place.parent}")
            _probe(place)
    except OSError as error:
        raise cannot_write(path, error) from error


def check_folder(path: str | os.PathLike[str], needs: int = 0, *, replaced: bool = False) -> None:
    """Find out before any work is done for it whether files can be written into the folder ``path``.

    It may be missing, with its parents. needs: bytes that will be written at least. replaced: it will be exchanged as
    a whole, so it is the folder above it that must be writable.

    Raises:
        OutputError: it may not be written to, the disk is full, or something else than a folder is in the way.
    """
    place = Path(os.path.realpath(path))
    try:
        inside = place.parent if replaced and place.exists() else place
        while _facts(inside) is None:
            inside = inside.parent
        _probe(inside / (place.name or "folder"))
    except OSError as error:
        raise cannot_write(path, error) from error
    free = free_bytes(inside)
    if free is not None and free < needs:
        raise OutputError(
            f"There is too little space for '{path}'.",
            found=f"{free / 2**20:.0f} MiB free",
            allowed=f"{needs / 2**20:.0f} MiB and more",
            hint="free some space, or choose a folder on another disk",
        )


def free_bytes(folder: Path) -> int | None:
    """Return the bytes that this user may still write to the disk of ``folder``; None where that is not known."""
    try:
        facts = os.statvfs(folder)
    except OSError:
        return None
    return facts.f_bavail * facts.f_frsize if facts.f_blocks else None


def cannot_write(path: str | os.PathLike[str], error: OSError) -> OutputError:
    """Return the error for a result at ``path``."""
    return OutputError.of(f"'{os.fspath(path)}' cannot be written.", error)


def _probe(place: Path) -> None:
    """Write and remove a few bytes beside ``place``; OSError says why that cannot be."""
    temporary = sibling(place, PART)
    try:
        with open(temporary, "xb") as out:
            out.write(bytes(_PROBE))
    finally:
        remove(temporary)


def _put(new: Path, root: Path) -> None:
    """Put ``new`` in the place of ``root``; afterwards ``new`` is the older folder, or is not there."""
    if not os.path.lexists(root):
        try:
            os.rename(new, root)
            return
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # else another writer was faster
                raise
    if exchange(new, root):
        return
    old = sibling(root, OLD)
    try:
        os.rename(root, old)  # a folder with files cannot be renamed over
        os.rename(new, root)
    except BaseException:
        if os.path.lexists(old) and not os.path.lexists(root):
            os.rename(old, root)
        raise
    remove(old)


def _facts(path: Path) -> os.stat_result | None:
    """What is at ``path``; None for nothing. A link is followed."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _sync(folder: Path) -> None:
    """Bring a folder's list of names to the disk. The files are whole without it, so a failure is none of theirs."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
