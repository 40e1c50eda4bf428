"""The bundle of ``tsm-edge demo`` without ``--bundle``: the default model, compiled once for this machine.

It is kept in the user's cache under a key of everything it was made from (sources, compiler versions, the
facts of this machine), so a change of any of them makes a new entry and an old one is never mistaken for it.
The demo does not know the compiler: it runs the command line, as a user would.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tsm_edge import bundle
from tsm_edge.errors import BundleError, EdgeError, ExtraMissing, OutputError, install_hint
from tsm_edge.files import temporaries
from tsm_edge.processes import children
from tsm_edge.terminal import say

from .cache_key import cache_key

MODEL = "gestures"
TARGET = "local"
_PATIENCE_S = 10.0  # for the compiler to clean up after Ctrl-C
_KEPT = 4  # entries; a developer's every edit makes one of about 10 MB
_ELSEWHERE = (
    f"on a PC, {install_hint('compile')}, and try again; for a board, make the bundle on a PC "
    f"(tsm-edge compile {MODEL} --target TARGET; names: tsm-edge targets), copy its folder to the board, "
    "and there: tsm-edge demo --bundle FOLDER"
)


def default_bundle(
    build: Callable[[Path], None] | None = None, environ: Mapping[str, str] = os.environ
) -> Path:
    """Return the folder of the default bundle, compiling it into the cache when it is not there or damaged.

    ``build`` makes a bundle in or below the empty folder it is given; the command line does by default. Two
    processes at once are safe: one compiles, the other waits for it.

    Raises:
        ExtraMissing: the compiler is not installed here.
        OutputError: the cache folder cannot be written.
        EdgeError: the compiler failed; its own messages have gone to stderr.
    """
    home = cache_home(environ)
    entry = home / cache_key(MODEL, TARGET)
    try:
        ready = _usable(entry)
        if ready is not None:
            return ready
        home.mkdir(parents=True, exist_ok=True)
        with _lock(home / "lock"):
            ready = _usable(entry)
            if ready is None:  # else another process made it while this one waited
                if entry.exists():
                    say(f"the cached bundle in '{entry}' is damaged; it is compiled again", err=True)
                _make(entry, build or compile_default)
                _prune(home, entry)
                ready = _usable(entry)
    except OSError as error:
        raise OutputError.of(
            f"The cache folder '{home}' cannot be used.",
            error,
            hint="name another one in XDG_CACHE_HOME, or compile a bundle yourself and pass it with --bundle",
        ) from error
    if ready is None:
        raise EdgeError(
            f"The bundle just compiled into '{entry}' is not usable.", hint="run: tsm-edge verify"
        )
    return ready


def cache_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of all cached bundles; a relative XDG_CACHE_HOME is ignored, as its specification says."""
    named = environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(named) if os.path.isabs(named) else Path.home() / ".cache"
    except RuntimeError as error:  # HOME is not set, and this user has no entry in /etc/passwd
        raise OutputError(
            "There is no place for the compiled default model.",
            found="no XDG_CACHE_HOME and no home folder",
            hint="name a folder in XDG_CACHE_HOME, or compile a bundle yourself and pass it with --bundle",
        ) from error
    return base / "tsm-edge" / "bundles"


def compile_default(folder: Path) -> None:
    """Compile the default model for this machine into ``folder`` by the command line, heard on stderr."""
    missing = [name for name in ("tvm", "torch") if importlib.util.find_spec(name) is None]
    if missing:
        raise ExtraMissing(
            "The demo's default model has to be compiled first, and this machine has no compiler.",
            found=f"no Python package {' and no '.join(missing)}",
            hint=_ELSEWHERE,
        )
    command = f"compile {MODEL} --target {TARGET} --output".split() + [str(folder)]
    say(f"compiling {MODEL} for this machine, once", err=True)
    done = children.run(
        [sys.executable, "-m", "tsm_edge", *command],
        stdout=subprocess.DEVNULL,  # its report names the temporary folder; its progress and errors are on stderr
        stderr=None,
        patience_s=_PATIENCE_S,
    )
    if done.returncode != 0:
        raise EdgeError(
            "The demo's default model could not be compiled.",
            found=f"'tsm-edge compile' ended with status {done.returncode}; its messages are above",
            hint=f"look closer with: tsm-edge -v compile {MODEL} --target {TARGET}; or give a bundle with --bundle",
        )


def _usable(entry: Path) -> Path | None:
    """Return the bundle inside ``entry`` if it is there and all its hashes are right."""
    for manifest in sorted(entry.glob("*/manifest.json")):
        with contextlib.suppress(BundleError):
            bundle.verify(manifest.parent)
            return manifest.parent
    return None


def _make(entry: Path, build: Callable[[Path], None]) -> None:
    """Build beside ``entry`` and put it in its place."""
    temporaries.sweep(entry.parent)
    new = temporaries.sibling(entry)
    try:
        new.mkdir()
        with temporaries.held(new):
            build(new / f"{MODEL}-{TARGET}")
            if _usable(entry) is None:  # else locks do not work here, and another process was faster
                temporaries.remove(entry)
                new.rename(entry)
    finally:
        temporaries.remove(new)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock; it goes with the process, so a killed one leaves nothing to clean up."""
    import fcntl

    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that compiles a bundle", err=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass  # no locks on this file system; the rename decides who is first
        yield


def _prune(home: Path, newest: Path) -> None:
    """Remove all but the newest entries, and what a process left that was killed while it compiled.

    A demo that runs on a removed entry keeps it: its library stays mapped.
    """
    folders = [path for path in home.iterdir() if path.is_dir() and path != newest]
    entries = [path for path in folders if not path.name.startswith(".")]
    entries.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    yesterday = time.time() - 24 * 3600
    abandoned = [path for path in folders if path.name.startswith(".") and path.stat().st_mtime < yesterday]
    for path in entries[_KEPT - 1 :] + abandoned:
        shutil.rmtree(path, ignore_errors=True)
