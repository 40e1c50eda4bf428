"""Temporary files and folders whose names say who writes them, so that what a killed process left can be removed.

A name is ``.<target>.<system>-<pid>-<start>-<random>.part`` beside the target, or ``tsm-edge-<system>-…`` in the
folder for temporary files. ``system``: a sum over the boot and the PID namespace; ``start``: the start time of the
process in clock ticks since boot (field 22 of /proc/PID/stat), so a PID that was given out again is not mistaken for
the writer. A writer also holds a lock (flock) on what it writes.

Swept is only what belongs to this user and whose writer is known to be gone: by PID and start time on this system; of
another one (before a reboot, another container, another machine on a shared disk), when nobody holds the lock and
nothing was written for an hour.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import OutputError

PART, OLD = ".part", ".old"
_NAME = re.compile(
    r"(?:\.(?P<target>.+)\.|tsm-edge-)(?P<system>[0-9a-f]{8})-(?P<pid>\d+)-(?P<start>\d+)-[0-9a-f]{8}"
    r"(?P<suffix>\.part\.\w+|\.part|\.old|)",
    re.DOTALL,
)
_LONGEST = 120  # bytes of the target's name that go into ours; file systems end at 255
_ABANDONED_S = 3600.0
_PROBE = 4096  # bytes


def sibling(path: Path, suffix: str = PART) -> Path:
    """Return an unused name beside ``path``: renaming is atomic within one file system only."""
    return path.with_name(f".{_shortened(path.name)}.{_writer()}{suffix}")


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A new folder for intermediate files, below $TMPDIR, removed at the end; leftovers of killed runs go as well.

    Raises:
        OutputError: no folder for temporary files can be used.
    """
    place = scratch_place()
    sweep(place)
    folder = place / f"tsm-edge-{_writer()}"
    try:
        os.mkdir(folder, 0o700)
    except OSError as error:
        raise _no_scratch(place, error) from error
    try:
        with held(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check(needs: int = 0) -> None:
    """Find out before the work whether temporary files can be written; ``needs``: how many bytes, roughly.

    Raises:
        OutputError: no folder for them can be used, or it has too little space.
    """
    with scratch() as folder:
        try:
            (folder / "probe").write_bytes(bytes(_PROBE))
            facts = os.statvfs(folder)
        except OSError as error:
            raise _no_scratch(folder.parent, error) from error
        free = facts.f_bavail * facts.f_frsize
        if facts.f_blocks and free < needs:
            raise OutputError(
                f"There is too little space for temporary files in '{folder.parent}'.",
                found=f"{free / 2**20:.0f} MiB free",
                allowed=f"{needs / 2**20:.0f} MiB and more",
                hint="free some space, or name another folder in TMPDIR",
            )


def scratch_place() -> Path:
    """Return the folder for temporary files: $TMPDIR where it is set, which is then used or refused."""
    named = os.environ.get("TMPDIR")
    try:
        if named and not os.path.isdir(named):
            raise OSError(f"TMPDIR is '{named}', which is no folder")
        return Path(os.path.abspath(named or tempfile.gettempdir()))
    except OSError as error:
        raise _no_scratch(Path(named or "/tmp"), error) from error


def _no_scratch(place: Path, error: OSError) -> OutputError:
    return OutputError.of(
        f"Temporary files cannot be written to '{place}'.", error, hint="name another folder in TMPDIR"
    )


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the writer's lock on a file or folder; without one where the file system has none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # no descriptor left: the name alone still says who writes it
        yield
        return
    try:
        hold(descriptor)
        yield
    finally:
        os.close(descriptor)


def hold(descriptor: int) -> None:
    """Lock an open file for as long as it stays open."""
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sweep(folder: Path) -> None:
    """Remove what killed writers left in ``folder``; what cannot be removed stays."""
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except OSError:
        return
    for name in names:
        match = _NAME.fullmatch(name)
        if match and match["suffix"] != OLD and _is_abandoned(folder / name, match):
            remove(folder / name)


def set_aside(root: Path) -> tuple[list[Path], bool]:
    """Return the folders that writers moved away from ``root``, and whether one of these writers still runs."""
    found, running = [], False
    try:
        names = [entry.name for entry in os.scandir(root.parent)]
    except OSError:
        return [], False
    for name in names:
        match = _NAME.fullmatch(name)
        if match and match["suffix"] == OLD and match["target"] == _shortened(root.name):
            found.append(root.parent / name)
            running |= not _is_abandoned(root.parent / name, match)
    return found, running


def remove(path: Path) -> None:
    """Remove a file or a whole folder; what cannot be removed stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _shortened(name: str) -> str:
    data = os.fsencode(name)
    if len(data) <= _LONGEST:
        return name
    return data[: _LONGEST - 9].decode(errors="replace") + "~" + hashlib.sha256(data).hexdigest()[:8]


def _writer() -> str:
    pid = os.getpid()
    return f"{_system()}-{pid}-{_start_of(pid) or 0}-{secrets.token_hex(4)}"


@functools.cache
def _system() -> str:
    """A sum over what makes PIDs unique: the boot and the PID namespace."""
    facts = []
    with contextlib.suppress(OSError):
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with contextlib.suppress(OSError):
        facts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(facts or [os.uname().nodename]).encode()).hexdigest()[:8]


def _start_of(pid: int) -> int | None:
    """Start time of a process in clock ticks; None when it is gone or has ended, 0 when that cannot be known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None if os.path.exists("/proc/self/stat") else 0
    except OSError:
        return 0
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _is_abandoned(path: Path, match: re.Match[str]) -> bool:
    """Whether the writer of a temporary is gone for certain."""
    try:
        facts = path.lstat()
    except OSError:
        return False
    if facts.st_uid != os.geteuid():
        return False
    if match["system"] == _system():
        start, wanted = _start_of(int(match["pid"])), int(match["start"])
        return start is None or (0 not in (start, wanted) and start != wanted)
    return facts.st_mtime < time.time() - _ABANDONED_S and _is_unlocked(path)


def _is_unlocked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
