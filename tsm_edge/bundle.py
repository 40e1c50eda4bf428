"""The bundle: the folder that is copied to a device. This page is its law, format 2.

A bundle is a folder, by custom called ``<model>-<target>``, that holds exactly these regular files:

* ``libtsm.so`` (``libtsm.a`` when the target's ``link`` is "static"): kernels, plan, weights and runtime;
* ``tsm-edge-run``: the native command; ``tsm_edge.h``: the C API; ``plan.txt``: the plan as text;
* ``manifest.json``: what the bundle is, and size and sha256 of every other file.

``manifest.json`` is UTF-8 without a byte order mark, at most 1 MiB, JSON with sorted keys, an indent of 2 and a newline
at the end. No key occurs twice in an object; no key is missing and none is added, so that a reader which ignores
what it does not know can never run a bundle wrongly. A new key means a new format number. The keys::

    format      2
    model       name, parameters {name: scalar}, source "zoo"|"onnx",
                weights {source "default"|"file"|"seeded"|"onnx", note (plain words), sha256 (hex or "")}
    labels      names of the classes in order, or []
    preprocess  resize, crop, mean [3], std [3], color "rgb"|"bgr", rate_fps; or null for a network without a picture
    signature   inputs [tensor], states [{input: tensor, output_name}], outputs [tensor];
                tensor: name, shape [logical NCHW], dtype "float32"
    target      name, family, arch ("uname -m"), os "linux", libc "glibc"|"musl"|"bionic" (Android),
                glibc ("2.27" or ""), link "shared"|"static", requires [CPU features],
                fallback (name of a CPU target or "")
    backend     the family whose kernels are inside; threads: default number, 1 to 64
    precision   "float32"|"float16": what weights, activations and states are stored in
    device      what the kernels ask of a GPU: api (the family), compute_capability (53 is 5.3), ptx_isa (64 is 6.4) and
                driver_cuda (10020 is 10.2), all 0 for opencl, group_threads, shared_bytes; or null for family cpu
    plan        steps, arena_bytes, state_bytes, weights_bytes, scratch_bytes, macs
    files       {name: {sha256, bytes}}, a name is letters, digits and . _ + -, not starting with a dot
    compiler    {package: version}

**Deterministic**: the same inputs give the same bytes. No dates, no paths and no names of the building machine.
**Atomic**: written to a temporary sibling and renamed; a failed write leaves the older bundle, or nothing.
**Checked before any code is loaded.** A reader goes through these rules in this order and refuses by these names, the
same in Python and in C (``tests/vectors`` holds one bad bundle for each):

1.  ``not-a-bundle``         the folder or its manifest.json does not exist
2.  ``manifest-unreadable``  it cannot be read, is larger than 1 MiB, is not UTF-8 or not JSON (RFC 8259), holds half a
                             surrogate pair, or is nested more than 64 deep
3.  ``format-newer``         ``format`` is an integer above 2
4.  ``manifest-malformed``   a key is missing, added, repeated or of the wrong type or value
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

import hashlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from . import _atomic_folder, _manifest_file
from . import host as hosts
from .errors import BundleError, OutputError
from .manifest import FILE_NAME, Manifest, malformed

MANIFEST = "manifest.json"
_CHUNK = 1 << 20


def read(folder: str | os.PathLike[str]) -> Manifest:
    """Return the manifest of the bundle in ``folder``; rules 1 to 4 are checked, the files are not looked at."""
    path = Path(folder) / MANIFEST
    if not os.path.isfile(path):
        raise BundleError(
            f"'{folder}' is not a bundle.",
            name="not-a-bundle",
            found="no such folder" if not os.path.isdir(folder) else f"a folder without {MANIFEST}",
            hint="give the folder that `tsm-edge compile` wrote",
        )
    return _manifest_file.read(path)


def verify(folder: str | os.PathLike[str]) -> Manifest:
    """Check rules 1 to 8, every size and hash included, and return the manifest."""
    manifest = read(folder)
    root = Path(folder)
    present = {entry.name for entry in os.scandir(root)}
    for name in manifest.files:
        if not os.path.isfile(root / name):
            raise _broken(root, name, "file-missing", "is missing", "no regular file of this name", None)
    for name in sorted(present - set(manifest.files) - {MANIFEST}):
        raise _broken(
            root, name, "file-unlisted", "does not belong to the bundle", name, ", ".join(manifest.files)
        )
    for name, entry in manifest.files.items():
        size = (root / name).stat().st_size
        if size != entry.bytes:
            raise _broken(
                root, name, "file-size", "has the wrong size", f"{size} bytes", f"{entry.bytes} bytes"
            )
    for name, entry in manifest.files.items():
        try:
            digest = sha256_of(root / name)
        except OSError as error:
            raise _broken(root, name, "file-hash", "cannot be read", str(error.strerror), None) from None
        if digest != entry.sha256:
            raise _broken(root, name, "file-hash", "has been changed", digest, entry.sha256)
    return manifest


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
        BundleError: ``manifest-malformed`` when a file of the law is missing or a name is not allowed.
    """
    root = Path(os.path.abspath(folder))
    for name in files:
        if not FILE_NAME.fullmatch(name) or name == MANIFEST:
            malformed("files", name, "plain file names, and not manifest.json itself")
    _check_replaceable(root)
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with _atomic_folder.temporary_sibling(root) as new:
            entries = {
                name: _atomic_folder.store(new / name, files[name], name in executable)
                for name in sorted(files)
            }
            complete = manifest.with_files(entries)
            _atomic_folder.store(new / MANIFEST, _manifest_file.text_of(complete).encode(), False)
            new.chmod(0o755)
            _atomic_folder.swap(new, root)
    except OSError as error:
        raise OutputError(
            f"The bundle '{folder}' cannot be written.",
            found=error.strerror or error,
            hint="nothing was changed; look at the free space and the permissions of the folder",
        ) from error
    return complete


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the sha256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _broken(root: Path, name: str, rule: str, what: str, found: str, allowed: str | None) -> BundleError:
    hint = "copy the bundle again, whole and into an empty folder"
    return BundleError(f"'{root / name}' {what}.", name=rule, found=found, allowed=allowed, hint=hint)


def _check_replaceable(root: Path) -> None:
    if not root.exists() or (root.is_dir() and ((root / MANIFEST).is_file() or not any(root.iterdir()))):
        return
    raise OutputError(
        f"'{root}' exists and is no bundle; it is left alone.",
        found="a folder with other files" if root.is_dir() else "a file",
        allowed="a new name, an empty folder or an older bundle",
        hint="give another folder with --output",
    )
