"""Every rule of the bundle's format has its refusal, in the order of the rules; and which hosts a bundle fits."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from pathlib import Path

import pytest

from tsm_edge import bundle
from tsm_edge.bundle.manifest import Manifest
from tsm_edge.errors import BundleError
from tsm_edge.target.host import Host


def edit(folder: Path, *path: str, to: object) -> None:
    """Set the key at `path` of the manifest; the value `...` removes it."""
    document = json.loads((folder / "manifest.json").read_text())
    table = document
    for key in path[:-1]:
        table = table[key]
    if to is ...:
        del table[path[-1]]
    else:
        table[path[-1]] = to
    (folder / "manifest.json").write_text(json.dumps(document))


def refused(folder: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        bundle.verify(folder)
    return caught.value


def test_not_a_bundle(tmp_path):
    assert refused(tmp_path / "nothing").name == "not-a-bundle"
    assert refused(tmp_path).found == "a folder without manifest.json"
    (tmp_path / "file").write_bytes(b"")
    assert refused(tmp_path / "file").name == "not-a-bundle"
    assert refused(tmp_path / "file").found == "a file, and a bundle is a folder"


@pytest.mark.parametrize("moments", [1, 5])
def test_a_folder_that_is_missing_for_a_moment_is_waited_for(toy, monkeypatch, moments):
    """Between the two renames of a writer, which is over again before the reader can look for its cause."""
    opened, missed = os.open, []

    def sometimes(path, *arguments, **named):
        if path == toy and len(missed) < moments:
            missed.append(path)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return opened(path, *arguments, **named)

    monkeypatch.setattr(os, "open", sometimes)
    bundle.verify(toy)
    assert len(missed) == moments


UNREADABLE = {
    "empty": b"",
    "cut": b'{"format": 3',
    "not utf-8": b"\xff\xfe{}",
    "byte order mark": b"\xef\xbb\xbf{}",
    "not a number": b'{"format": NaN}',
    "half a surrogate pair": b'{"format": 3, "a": "\\ud800"}',
    "format twice": b'{"format": 3, "format": 2}',
    "a key twice, one by an escape": b'{"format": 3, "a": 1, "\\u0061": 2}',
    "a number of 5000 digits": b'{"format": 3, "a": ' + b"1" * 5000 + b"}",
    "a number of 65 characters": b'{"format": 3, "a": 0.' + b"0" * 63 + b"}",
    "a number beyond every double": b'{"format": 3, "a": -1e309}',
    "131072 values in a list": b'{"format": 3, "a": [' + b"0," * 131071 + b"0]}",
    "nested 65 deep": b"[" * 65 + b"]" * 65,
    "deep": b"[" * 100_000,
    "large": b" " * (1 << 20) + b"{}",
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_manifest_unreadable(toy, content):
    (toy / "manifest.json").write_bytes(content)
    assert refused(toy).name == "manifest-unreadable"


def test_format_newer_comes_before_everything_that_a_newer_format_may_change(toy):
    (toy / "manifest.json").write_text('{"format": 4, "brand": "new"}')
    error = refused(toy)
    assert (error.name, error.found) == ("format-newer", "format 4")


@pytest.mark.parametrize(
    "content",
    [
        "[" * 64 + "]" * 64,
        "[]",
        "1",
        "null",
        '"format"',
        "{}",
        '{"format": 1}',
        '{"format": 3}',
        '{"format": 0}',
    ],
)
def test_manifest_malformed_as_a_whole(toy, content):
    (toy / "manifest.json").write_text(content)
    assert refused(toy).name == "manifest-malformed"


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("format",), "1"),
        (("format",), 1.0),
        (("format",), True),
        (("labels",), ...),
        (("more",), 1),
        (("model",), []),
        (("model", "name"), 5),
        (("model", "parameters", "size"), None),
        (("model", "parameters", "size"), [8]),
        (("model", "source"), "web"),
        (("model", "weights", "sha256"), "abc"),
        (("model", "weights", "source"), "guess"),
        (("labels",), ["one"]),
        (("labels",), [1, 2]),
        (("labels",), "ab"),
        (("preprocess", "crop"), [10, 8]),
        (("preprocess", "crop"), 8),
        (("preprocess", "fit"), "pad"),
        (("preprocess", "scale"), 0),
        (("scores",), "softmax"),
        (("decision",), None),
        (("decision", "window"), 0),
        (("decision", "window"), 1001),
        (("decision", "agree"), 1.5),
        (("decision", "threshold"), 1.5),
        (("decision", "idle"), [1, 0]),
        (("decision", "idle"), [0, 0]),
        (("decision", "idle"), [99]),
        (("decision", "idle"), [-1]),
        (("preprocess", "mean"), 0.5),
        (("preprocess", "color"), "bgra"),
        (("signature", "states"), {}),
        (("signature", "inputs"), []),
        (("signature", "inputs"), [{"name": "frame", "shape": [1, 0], "dtype": "float32"}]),
        (("signature", "inputs"), [{"name": "frame", "shape": [1], "dtype": ["float32"]}]),
        (("target", "family"), "tpu"),
        (("target", "family"), ["cpu"]),
        (("target", "arch"), "riscv64"),
        (("target", "os"), "plan9"),
        (("target", "glibc"), ""),
        (("target", "glibc"), "2"),
        (("target", "link"), "dynamic"),
        (("target", "requires"), ["neon"]),
        (("threads",), 0),
        (("threads",), 65),
        (("threads",), 1.5),
        (("plan", "steps"), -1),
        (("plan", "steps"), 1e3),
        (("plan", "macs"), True),
        (("compiler", "tsm-edge"), 1),
        (("files",), {}),
        (("files", "libtsm.so"), ...),
        (("files", "plan.txt", "sha256"), "AB" * 32),
        (("files", "plan.txt", "bytes"), -1),
        (("files", "plan.txt", "bytes"), ...),
        (("files", "../plan.txt"), {"bytes": 0, "sha256": "00" * 32}),
        (("files", "manifest.json"), {"bytes": 0, "sha256": "00" * 32}),
    ],
)
def test_manifest_malformed_in_one_value(toy, path, to):
    edit(toy, *path, to=to)
    error = refused(toy)
    assert error.name == "manifest-malformed"
    assert error.found is not None and error.allowed is not None


@pytest.mark.parametrize("place", ["labels", "bytes", "format"])
def test_a_repeated_key_is_unreadable(toy, place):
    text = (toy / "manifest.json").read_text()
    value = {"labels": "[]", "bytes": "7", "format": "3"}[place]
    (toy / "manifest.json").write_text(text.replace(f'"{place}":', f'"{place}": {value}, "{place}":', 1))
    error = refused(toy)
    assert error.name == "manifest-unreadable" and f"'{place}' occurs twice" in error.found


def test_a_network_without_picture_and_labels(tmp_path, manifest, files):
    bare = dataclasses.replace(manifest, preprocess=None, labels=())
    bundle.write(tmp_path / "b", bare, files)
    assert bundle.verify(tmp_path / "b").preprocess is None


@pytest.mark.parametrize("name", ["libtsm.so", "plan.txt", "tsm-edge-run", "tsm_edge.h"])
def test_file_missing(toy, name):
    (toy / name).unlink()
    assert refused(toy).name == "file-missing"
    (toy / name).mkdir()
    assert refused(toy).name == "file-missing"


@pytest.mark.parametrize("name", ["notes.txt", ".DS_Store", "libtsm.so.bak"])
def test_file_unlisted(toy, name):
    (toy / name).write_bytes(b"")
    error = refused(toy)
    assert (error.name, error.found) == ("file-unlisted", name)


def test_file_size(toy):
    with open(toy / "libtsm.so", "ab") as library:
        library.write(b"\0")
    assert refused(toy).name == "file-size"
    os.truncate(toy / "libtsm.so", 3)
    error = refused(toy)
    assert (error.name, error.found) == ("file-size", "3 bytes")


def test_file_hash(toy, files):
    (toy / "libtsm.so").write_bytes(files["libtsm.so"][:-1] + b"x")
    error = refused(toy)
    assert error.name == "file-hash" and "libtsm.so" in error.what
    bundle.read(toy)  # reading the manifest alone does not look at the files


def test_the_order_of_the_rules(toy, files):
    (toy / "plan.txt").write_bytes(b"y" * len(files["plan.txt"]))
    assert refused(toy).name == "file-hash"
    (toy / "tsm_edge.h").write_bytes(b"")
    assert refused(toy).name == "file-size"
    (toy / "extra").write_bytes(b"")
    assert refused(toy).name == "file-unlisted"
    (toy / "tsm-edge-run").unlink()
    assert refused(toy).name == "file-missing"
    edit(toy, "threads", to=0)
    assert refused(toy).name == "manifest-malformed"
    edit(toy, "format", to=4)
    assert refused(toy).name == "format-newer"


def host(**changes):
    facts = {
        "machine": "x86_64", "pointer_bytes": 8, "cpuinfo": "", "caches": (), "threads_per_core": 1, "threads": 1,
        "max_khz": 0, "libc": "glibc 2.17",
    }  # fmt: skip
    return Host(**{**facts, **changes})


def test_the_vectors_that_the_c_reader_is_held_to_as_well(repository):
    folders = sorted((repository / "tests" / "vectors" / "bundles").iterdir())
    assert len(folders) >= 11
    for folder in folders:
        refusal = ""
        try:
            bundle.check_host(bundle.verify(folder), host(libc="glibc 2.36"))
        except BundleError as error:
            refusal = error.name
        # the library finds wrong-cpu, and Python loads none here
        assert refusal == {"ok": "", "ok-gpu": "", "wrong-cpu": ""}.get(folder.name, folder.name)


def test_hosts_that_fit(manifest):
    for libc in ("glibc 2.17", "glibc 2.36", "glibc 3.0"):
        bundle.check_host(manifest, host(libc=libc))


@pytest.mark.parametrize(
    ("changes", "name", "found"),
    [
        ({"machine": "aarch64"}, "wrong-arch", "aarch64"),
        ({"machine": "armv7l", "pointer_bytes": 4}, "wrong-arch", "armv7l"),
        ({"libc": "glibc 2.16"}, "wrong-libc", "glibc 2.16"),
        ({"libc": "glibc 2.9"}, "wrong-libc", "glibc 2.9"),
        ({"libc": ""}, "wrong-libc", "no glibc"),
        ({"machine": "aarch64", "libc": ""}, "wrong-arch", "aarch64"),
    ],
)
def test_hosts_that_do_not_fit(manifest, changes, name, found):
    with pytest.raises(BundleError) as caught:
        bundle.check_host(manifest, host(**changes))
    assert (caught.value.name, caught.value.found, caught.value.exit_code) == (name, found, 5)
    assert manifest.target.name in caught.value.hint


def test_a_static_bundle_needs_no_c_library(manifest: Manifest):
    static = dataclasses.replace(manifest.target, libc="musl", glibc="", link="static")
    bundle.check_host(dataclasses.replace(manifest, target=static), host(libc=""))
    assert dataclasses.replace(manifest, target=static).library == "libtsm.a"


def test_a_file_that_cannot_be_read(toy, monkeypatch):
    def unreadable(descriptor):
        os.close(descriptor)
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(bundle, "_sha256", unreadable)
    error = refused(toy)
    assert (error.name, error.found) == ("file-hash", "Permission denied")
