"""A bundle is written whole or not at all, the same bytes for the same content, and replaced in one step."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tsm_edge import bundle
from tsm_edge.errors import BundleError, OutputError
from tsm_edge.files import atomic


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mode & 0o777) for path in sorted(folder.iterdir())}


def test_round_trip(toy, manifest, files):
    read = bundle.verify(toy)
    assert read == dataclasses.replace(manifest, files=read.files)
    assert bundle.read(toy) == read
    assert {name: entry.bytes for name, entry in read.files.items()} == {n: len(c) for n, c in files.items()}
    assert read.files["plan.txt"].sha256 == hashlib.sha256(files["plan.txt"]).hexdigest()
    assert read.library == "libtsm.so"


def test_the_manifest_is_the_documented_json(toy):
    text = (toy / "manifest.json").read_text(encoding="utf-8")
    document = json.loads(text)
    assert text == json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    keys = (
        "backend compiler decision device files format labels model plan precision preprocess scores signature "
        "target threads"
    )
    assert sorted(document) == keys.split()
    assert document["format"] == 3
    assert document["target"]["os"] == "linux"
    assert "Bewegung ↔" in text, "labels stay readable"


@contextlib.contextmanager
def umask(mask: int):
    old = os.umask(mask)
    try:
        yield
    finally:
        os.umask(old)


def test_two_writes_give_the_same_bytes(tmp_path, manifest, files):
    bundle.write(tmp_path / "a", manifest, files)
    backwards = dict(reversed(list(files.items())))
    bundle.write(tmp_path / "b", manifest, backwards)
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")


@pytest.mark.parametrize(
    ("mask", "folder", "program", "other"),
    [(0o022, 0o755, 0o755, 0o644), (0o077, 0o700, 0o700, 0o600), (0o002, 0o775, 0o775, 0o664)],
)
def test_permissions_are_those_of_the_umask(tmp_path, manifest, files, mask, folder, program, other):
    with umask(mask):
        bundle.write(tmp_path / "a", manifest, files)
    modes = {name: mode for name, (_, mode) in snapshot(tmp_path / "a").items()}
    assert modes.pop("tsm-edge-run") == program
    assert set(modes.values()) == {other}
    assert (tmp_path / "a").stat().st_mode & 0o777 == folder


def test_files_may_be_paths(tmp_path, manifest, files):
    source = tmp_path / "source"
    source.write_bytes(b"x" * 3_000_000)
    written = bundle.write(tmp_path / "b", manifest, {**files, "libtsm.so": source})
    assert written.files["libtsm.so"].bytes == 3_000_000
    assert bundle.verify(tmp_path / "b") == written


def test_an_older_bundle_is_replaced_whole(toy, manifest, files):
    bundle.write(toy, dataclasses.replace(manifest, threads=3), {**files, "plan.txt": b"new", "more": b"1"})
    bundle.write(toy, dataclasses.replace(manifest, threads=4), files)
    assert bundle.verify(toy).threads == 4
    assert [path.name for path in toy.parent.iterdir()] == [toy.name], "no temporary folders"


def test_an_empty_folder_is_filled_and_parents_are_made(tmp_path, manifest, files):
    (tmp_path / "empty").mkdir()
    bundle.write(tmp_path / "empty", manifest, files)
    bundle.write(tmp_path / "a" / "b" / "c", manifest, files)
    bundle.verify(tmp_path / "empty")
    bundle.verify(tmp_path / "a" / "b" / "c")


def test_what_is_no_bundle_is_left_alone(tmp_path, manifest, files):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(b"1")
    (tmp_path / "file").write_bytes(b"2")
    for place in (folder, tmp_path / "file"):
        with pytest.raises(OutputError, match="left alone"):
            bundle.write(place, manifest, files)
    assert (folder / "1.jpg").read_bytes() == b"1" and (tmp_path / "file").read_bytes() == b"2"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "photos"]


class DiskFull:
    """Lets the first calls through; after that the disk is full."""

    def __init__(self, store, allowed):
        self.store, self.left = store, allowed

    def __call__(self, *arguments):
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.store(*arguments)


@pytest.mark.parametrize("allowed", range(5))
def test_a_full_disk_leaves_nothing_or_the_older_bundle(toy, manifest, files, monkeypatch, allowed):
    before = snapshot(toy)
    monkeypatch.setattr(os, "fsync", DiskFull(os.fsync, allowed))
    for place in (toy, toy.parent / "new"):
        os.fsync.left = allowed
        with pytest.raises(OutputError, match="No space left"):
            bundle.write(place, dataclasses.replace(manifest, threads=9), files)
    assert snapshot(toy) == before
    assert [path.name for path in toy.parent.iterdir()] == [toy.name]


@pytest.mark.parametrize("failing", [1, 2])
def test_an_interrupted_swap_keeps_the_older_bundle(toy, manifest, files, monkeypatch, failing):
    """On a file system without an exchange of two folders."""
    before, real, calls = snapshot(toy), os.rename, []

    def rename(source, destination):
        calls.append(source)
        if len(calls) == failing:
            raise KeyboardInterrupt
        real(source, destination)

    monkeypatch.setattr(atomic, "exchange", lambda one, other: False)
    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        bundle.write(toy, dataclasses.replace(manifest, threads=9), files)
    assert snapshot(toy) == before
    assert [path.name for path in toy.parent.iterdir()] == [toy.name], "no temporary folders"


def test_a_bundle_is_replaced_in_one_step(toy, manifest, files, monkeypatch):
    """No rename of the older folder is needed, so there is no moment without one."""
    monkeypatch.setattr(os, "rename", lambda *paths: pytest.fail("two renames where one exchange does"))
    bundle.write(toy, dataclasses.replace(manifest, threads=9), files)
    assert bundle.verify(toy).threads == 9
    assert [path.name for path in toy.parent.iterdir()] == [toy.name]


@pytest.fixture
def dead_between_renames(toy, manifest, files, tmp_path):
    """What a writer leaves that was killed between its two renames: the older bundle under a hidden name."""
    code = """if True:
        import os, signal, sys
        from tsm_edge.files import atomic
        from pathlib import Path
        real = os.rename
        def rename(source, destination):
            real(source, destination)
            os.kill(os.getpid(), signal.SIGKILL)
        os.rename, atomic.exchange = rename, lambda one, other: False
        with atomic.folder(sys.argv[1]) as new:
            (new / "file").write_text("new")
    """
    done = subprocess.run([sys.executable, "-c", code, toy], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not toy.exists()
    return toy


def test_a_reader_brings_back_what_a_killed_writer_moved_away(dead_between_renames, manifest):
    assert bundle.verify(dead_between_renames).threads == manifest.threads


def test_a_writer_brings_back_what_a_killed_one_moved_away(dead_between_renames, manifest, files):
    toy = dead_between_renames
    with pytest.raises(BundleError):
        bundle.write(toy, manifest, {"libtsm.so": b""})  # fails: the older one is there again
    assert bundle.verify(toy).threads == manifest.threads
    bundle.write(toy, dataclasses.replace(manifest, threads=9), files)
    assert bundle.verify(toy).threads == 9
    assert [path.name for path in toy.parent.iterdir()] == [toy.name], "the litter is swept"


@pytest.mark.parametrize("has_exchange", [True, False])
def test_a_reader_beside_a_writer_sees_the_older_or_the_newer_bundle(
    toy, manifest, files, monkeypatch, has_exchange
):
    if not has_exchange:
        monkeypatch.setattr(atomic, "exchange", lambda one, other: False)
    stop, seen, failed = threading.Event(), set(), []

    def write():
        for threads in itertools.cycle(range(1, 65)):
            if stop.is_set():
                return
            contents = {name: content + bytes([threads]) for name, content in files.items()}
            bundle.write(toy, dataclasses.replace(manifest, threads=threads), contents)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            seen.add(bundle.verify(toy).threads)
    except BundleError as error:
        failed.append(error)
    finally:
        stop.set()
        writer.join()
    assert not failed
    assert len(seen) > 2, "the writer wrote"


def test_a_link_keeps_pointing_to_the_bundle(toy, manifest, files):
    link = toy.parent / "latest"
    link.symlink_to(toy.name)
    bundle.write(link, dataclasses.replace(manifest, threads=9), files)
    assert link.is_symlink() and bundle.verify(toy).threads == 9


def test_a_folder_that_cannot_be_made(tmp_path, manifest, files):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        bundle.write(tmp_path / "file" / "bundle", manifest, files)


def test_the_writer_obeys_the_law(tmp_path, manifest, files):
    for name in ("../up", "a/b", ".hidden", "manifest.json", "", "space here"):
        with pytest.raises(BundleError, match="manifest-malformed"):
            bundle.write(tmp_path / "b", manifest, {**files, name: b""})
    for name in files:
        with pytest.raises(BundleError, match=f"{name} among them"):
            bundle.write(tmp_path / "b", manifest, {n: c for n, c in files.items() if n != name})
    assert list(tmp_path.iterdir()) == []
