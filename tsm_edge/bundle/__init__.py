"""The bundle: the folder that is copied to a device. This page specifies it, format 3.

A bundle is a folder, by custom called ``<model>-<target>``, that holds exactly these regular files:

* ``libtsm.so`` (``libtsm.a`` when the target's ``link`` is "static"): kernels, plan, weights and runtime;
* ``tsm-edge-run``: the native command; ``tsm_edge.h``: the C API; ``plan.txt``: the plan as text;
* ``tsm_edge.hpp``, ``tsm_edge.pc``, ``tsm_edge-config.cmake``, ``example.cpp``: for C++; no reader needs them;
* ``ranges.json``, ``scales.json``: of a bundle in 8 bits, for another compilation and other runtimes; no reader needs
  them;
* ``manifest.json``: what the bundle is, and size and sha256 of every other file.

``manifest.json`` is UTF-8 without a byte order mark, at most 1 MiB, JSON with sorted keys, an indent of 2 and a newline
at the end. No key occurs twice in an object; no key is missing and none is added, so that a reader which ignores
what it does not know can never run a bundle wrongly. A new key means a new format number. The keys::

    format      3
    model       name, parameters {name: scalar}, source "zoo"|"onnx",
                weights {source "default"|"file"|"seeded"|"onnx", note (plain words), sha256 (hex or "")}
    labels      names of the classes in order, or []
    preprocess  resize [height, width], crop [height, width], fit "cover"|"stretch", color "rgb"|"bgr"|"grey", scale,
                mean and std (one number a channel), rate_fps; or null for a network without a picture
    scores      "logits"|"probabilities"|"log-probabilities"|"sigmoid": what the first output is
    decision    window, agree (frames, 1 to 1000), threshold (0..1), idle [indices of classes, ascending]
    signature   inputs [tensor], states [{input: tensor, output_name}], outputs [tensor];
                tensor: name, shape [logical NCHW], dtype "float32"
    target      name, family, arch ("uname -m"), os "linux", libc "glibc"|"musl"|"bionic" (Android),
                glibc ("2.27" or ""), link "shared"|"static", requires [CPU features],
                fallback (name of a CPU target or "")
    backend     the family whose kernels are inside; threads: default number, 1 to 64
    precision   "float32"|"float16"|"int8": what weights, activations and states are stored in; of "int8" the layers
                that model.parameters.float_layers names, "float16: a, b", are in that type
    device      what the kernels ask of a GPU: api (the family), compute_capability (53 is 5.3), ptx_isa (64 is 6.4) and
                driver_cuda (10020 is 10.2), all 0 for opencl, group_threads, shared_bytes; or null for family cpu
    plan        steps, arena_bytes, state_bytes, weights_bytes, scratch_bytes, macs
    files       {name: {sha256, bytes}}, a name is letters, digits and . _ + -, not starting with a dot
    compiler    {package: version}, and "precision": which one was chosen, and why ("fp32: as asked for")

**Deterministic**: the same inputs give the same bytes. No dates, no paths and no names of the building machine.
**Atomic**: written to a temporary sibling that then changes places with the older bundle in one step
(:mod:`tsm_edge.files.atomic`); a failed write leaves the older bundle, or nothing.
**Checked before any code is loaded.** A reader goes through these rules in this order and refuses by these names, the
same in Python and in C (``tests/vectors`` holds one bad bundle for each):

1.  ``not-a-bundle``         the folder or its manifest.json does not exist
2.  ``manifest-unreadable``  it cannot be read, is larger than 1 MiB, is not UTF-8 or not JSON (RFC 8259), has a key
                             twice in an object, half a surrogate pair, a number of more than 64 characters or beyond
                             every double, more than 131072 values, or is nested more than 64 deep
3.  ``format-newer``         ``format`` is an integer above 3
4.  ``manifest-malformed``   a key is missing, added or of the wrong type or value
5.  ``file-missing``         a listed file does not exist or is not a regular file
6.  ``file-unlisted``        the folder holds something that is not listed
7.  ``file-size``            a file has another size
8.  ``file-hash``            a file has another sha256, or cannot be read
9.  ``wrong-arch``           this machine has another architecture or operating system
10. ``wrong-libc``           this machine's glibc is older than ``glibc``, or it has none, or it has one and ``libc`` is
                             "bionic"
11. ``wrong-cpu``            a feature of ``requires`` is missing (found by the library when it is opened)

Rules 5 to 8 are each applied to all files, in the order of their names, before the next rule. A refusal exits with 3,
of the last three rules with 5.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from ..errors import BundleError, OutputError
from ..files import atomic
from ..target import host as hosts
from . import manifest_file
from .manifest import FILE_NAME, FileEntry, Manifest, malformed

MANIFEST = "manifest.json"
_CHUNK = 1 << 20
_ATTEMPTS = 50  # of a reader beside a process that writes this bundle again and again
_LOOKS = 20  # before a folder counts as missing: each may meet another moment between two renames
_WAIT_S = 1.0  # for a writer that is between its two renames, where the file system has no exchange
_Found = TypeVar("_Found")


def read(folder: str | os.PathLike[str]) -> Manifest:
    """Return the manifest of the bundle in ``folder``; rules 1 to 4 are checked, the files are not looked at."""
    return _of_one_folder(Path(folder), _read)


def verify(folder: str | os.PathLike[str]) -> Manifest:
    """Check rules 1 to 8, every size and hash included, and return the manifest.

    A bundle that is replaced meanwhile is read again from the start: the answer is of the older or of the newer one.
    """
    return _of_one_folder(Path(folder), _verify)


def _of_one_folder(root: Path, check: Callable[[Path, int], _Found]) -> _Found:
    """Run a check over an opened folder, once more where the failure is that of a folder that was just replaced."""
    for attempt in range(_ATTEMPTS):
        with _opened(root) as folder:
            try:
                return check(root, folder)
            except BundleError:
                if attempt + 1 == _ATTEMPTS or _is_still(root, folder):
                    raise
    raise AssertionError("the last attempt returns or raises")


@contextlib.contextmanager
def _opened(root: Path) -> Iterator[int]:
    """The folder as a descriptor, which goes on to mean the same folder when another one takes its place."""
    folder = _open(root)
    try:
        yield folder
    finally:
        os.close(folder)


def _open(root: Path) -> int:
    """Open the folder of a bundle; it is missing for a moment where its writer has to rename twice."""
    for _ in range(_LOOKS):
        try:
            return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except NotADirectoryError:
            break
        except FileNotFoundError:
            atomic.recover(Path(os.path.realpath(root)), _WAIT_S)
        except OSError as error:
            raise BundleError(
                f"'{root}' cannot be read.", name="manifest-unreadable", found=error.strerror
            ) from None
    is_file = root.exists() and not root.is_dir()
    raise _not_a_bundle(root, "a file, and a bundle is a folder" if is_file else "no such folder")


def _is_still(root: Path, folder: int) -> bool:
    """Whether the opened folder is the one at ``root``."""
    try:
        return os.path.samestat(os.stat(root), os.fstat(folder))
    except OSError:
        return False


def _read(root: Path, folder: int) -> Manifest:
    if not _is_file(folder, MANIFEST):
        raise _not_a_bundle(root, f"a folder without {MANIFEST}")
    return manifest_file.read(root / MANIFEST, folder)


def _verify(root: Path, folder: int) -> Manifest:
    manifest = _read(root, folder)
    present = set(os.listdir(folder))
    for name in manifest.files:
        if not _is_file(folder, name):
            raise _broken(root, name, "file-missing", "is missing", "no regular file of this name", None)
    for name in sorted(present - set(manifest.files) - {MANIFEST}):
        raise _broken(
            root, name, "file-unlisted", "does not belong to the bundle", name, ", ".join(manifest.files)
        )
    for name, entry in manifest.files.items():
        size = _size(folder, name)
        if size != entry.bytes:
            raise _broken(
                root, name, "file-size", "has the wrong size", f"{size} bytes", f"{entry.bytes} bytes"
            )
    for name, entry in manifest.files.items():
        try:
            digest = _sha256(os.open(name, os.O_RDONLY, dir_fd=folder))
        except OSError as error:
            raise _broken(root, name, "file-hash", "cannot be read", str(error.strerror), None) from None
        if digest != entry.sha256:
            raise _broken(root, name, "file-hash", "has been changed", digest, entry.sha256)
    return manifest


def _is_file(folder: int, name: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=folder).st_mode)
    except OSError:
        return False


def _size(folder: int, name: str) -> int:
    try:
        return os.stat(name, dir_fd=folder).st_size
    except OSError:  # gone since it was listed
        return -1


def _not_a_bundle(root: Path, found: str) -> BundleError:
    return BundleError(
        f"'{root}' is not a bundle.",
        name="not-a-bundle",
        found=found,
        hint="give the folder that `tsm-edge compile` wrote",
    )


def check_host(manifest: Manifest, host: hosts.Host | None = None) -> None:
    """Check rules 9 and 10 against this machine (or ``host``); the library checks rule 11 when it is opened."""
    host = host or hosts.read_host()
    target, arch = manifest.target, hosts.arch_of(host)
    hint = f"this bundle is for '{target.name}'; compile one for this machine"
    if arch != target.arch:
        raise BundleError(
            "This bundle is for another architecture.",
            name="wrong-arch",
            found=arch,
            allowed=target.arch,
            hint=hint,
        )
    have = hosts.glibc_of(host)
    if target.libc == "musl" or target.link == "static":
        return  # carries its C library
    if target.libc == "bionic":
        if have is None:
            return
        raise BundleError(
            "This bundle is for Android.",
            name="wrong-libc",
            found=host.libc,
            allowed="Android's C library",
            hint=hint,
        )
    if have is None or have < tuple(int(part) for part in target.glibc.split(".")):
        raise BundleError(
            "This machine's C library is too old for the bundle.",
            name="wrong-libc",
            found=host.libc or "no glibc",
            allowed=f"glibc {target.glibc} and newer",
            hint=hint,
        )


def write(
    folder: str | os.PathLike[str],
    manifest: Manifest,
    files: Mapping[str, bytes | Path],
    executable: Collection[str] = ("tsm-edge-run",),
) -> Manifest:
    """Write a bundle and return its manifest with ``files`` filled in.

    Args:
        folder: the bundle; an older bundle there is replaced, anything else is refused.
        manifest: everything but ``files``.
        files: content, or the file to copy, by name.
        executable: names that get the execute permission.

    Raises:
        OutputError: the folder cannot be written or holds something that is no bundle; what was there is untouched.
        BundleError: ``manifest-malformed`` when a file that the format needs is missing or a name is not allowed.
    """
    root = Path(os.path.abspath(folder))
    for name in files:
        if not FILE_NAME.fullmatch(name) or name == MANIFEST:
            malformed("files", name, "plain file names, and not manifest.json itself")
    check_replaceable(root)
    try:
        with atomic.folder(root) as new:
            entries = {name: _store(new / name, files[name], name in executable) for name in sorted(files)}
            complete = manifest.with_files(entries)
            _store(new / MANIFEST, manifest_file.text_of(complete).encode(), False)
    except OSError as error:
        raise OutputError.of(
            f"The bundle '{folder}' cannot be written.", error, hint="nothing was changed"
        ) from error
    return complete


def check_replaceable(folder: str | os.PathLike[str]) -> None:
    """Refuse a folder whose content is no bundle; OutputError says that it is left alone."""
    root = Path(os.path.abspath(folder))
    try:
        if not root.exists() or (root.is_dir() and _is_ours(root)):
            return
    except OSError as error:
        raise OutputError.of(f"The bundle '{folder}' cannot be written.", error) from error
    raise OutputError(
        f"'{root}' exists and is no bundle; it is left alone.",
        found="a folder with other files" if root.is_dir() else "a file",
        allowed="a new name, an empty folder or an older bundle",
        hint="give another folder with --output",
    )


def check_output(folder: str | os.PathLike[str], needs: int = 0) -> None:
    """Find out before any work is done for it whether a bundle can be written; ``needs``: its bytes, roughly.

    Raises:
        OutputError: something else is there, the place may not be written to, or it has too little space.
    """
    check_replaceable(folder)
    atomic.check_folder(folder, needs, replaced=True)


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the sha256 of a file as 64 hexadecimal digits."""
    return _sha256(os.open(path, os.O_RDONLY))


def _sha256(descriptor: int) -> str:
    digest = hashlib.sha256()
    with open(descriptor, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _store(path: Path, content: bytes | Path, executable: bool) -> FileEntry:
    """Write ``content``, or a copy of the file, and bring it to the disk; return its sha256 and size."""
    digest, size = hashlib.sha256(), 0
    mode = 0o777 if executable else 0o666  # less the umask
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as out:
        for chunk in _chunks(content):
            digest.update(chunk)
            size += len(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())  # a board that loses power after the rename must not find empty files
    return FileEntry(digest.hexdigest(), size)


def _chunks(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with open(content, "rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _is_ours(root: Path) -> bool:
    return (root / MANIFEST).is_file() or not any(root.iterdir())


def _broken(root: Path, name: str, rule: str, what: str, found: str, allowed: str | None) -> BundleError:
    hint = "copy the bundle again, whole and into an empty folder"
    return BundleError(f"'{root / name}' {what}.", name=rule, found=found, allowed=allowed, hint=hint)
