"""Files that are whole or not there, the sweeping of what killed processes left, and checks before the work."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tsm_edge.errors import OutputError
from tsm_edge.files import atomic, temporaries

is_root = os.geteuid() == 0


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def killed(code: str, folder: Path) -> None:
    """Run Python code that kills itself with SIGKILL."""
    text = f"import os, signal; from tsm_edge.files import atomic, temporaries\n{code}"
    done = subprocess.run([sys.executable, "-c", text], cwd=folder, check=False)
    assert done.returncode == -signal.SIGKILL


DIES = "os.kill(os.getpid(), signal.SIGKILL)"


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    atomic.write_text(tmp_path / "a", "one")
    with pytest.raises(ZeroDivisionError), atomic.file(tmp_path / "a") as out:
        out.write(b"half")
        raise ZeroDivisionError
    assert (tmp_path / "a").read_text() == "one"
    atomic.write_bytes(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_text() == "two"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "the disk failed"),
        (errno.EMFILE, "ulimit -n"),
    ],
)
def test_the_hint_fits_the_cause(tmp_path, monkeypatch, number, hint):
    def fail(descriptor):
        raise OSError(number, os.strerror(number))

    (tmp_path / "a").write_text("older")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError) as caught:
        atomic.write_text(tmp_path / "a", "newer")
    assert caught.value.found == os.strerror(number)
    assert hint in caught.value.hint
    assert (tmp_path / "a").read_text() == "older" and names(tmp_path) == ["a"]


def test_a_device_a_pipe_and_a_link(tmp_path):
    atomic.write_text("/dev/null", "x")
    assert not Path("/dev/null").is_file()
    with pytest.raises(OutputError, match="No space left"):
        atomic.write_text("/dev/full", "x")
    (tmp_path / "data").write_text("older")
    (tmp_path / "link").symlink_to("data")
    atomic.write_text(tmp_path / "link", "newer")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "data").read_text() == "newer"


def test_permissions(tmp_path):
    old = os.umask(0o027)
    try:
        atomic.write_text(tmp_path / "new", "x")
        (tmp_path / "kept").write_text("x")
        (tmp_path / "kept").chmod(0o600)
        atomic.write_text(tmp_path / "kept", "y")
    finally:
        os.umask(old)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["a" * 250, "é" * 120, "two words", "a.b\nc"])
def test_long_and_odd_names(tmp_path, name):
    atomic.write_text(tmp_path / name, "x")
    with atomic.folder(tmp_path / f"f{name}"[:240]) as new:
        (new / "file").write_text("x")
    assert len(names(tmp_path)) == 2


def test_what_a_killed_writer_left_is_swept_by_the_next_one(tmp_path):
    killed(f"with atomic.file('a') as out:\n    out.write(b'x'); {DIES}", tmp_path)
    assert len(names(tmp_path)) == 1
    killed(f"with atomic.folder('b') as new:\n    (new / 'x').write_text('x'); {DIES}", tmp_path)
    assert len(names(tmp_path)) == 1, "the second swept what the first left"
    (tmp_path / ".a.part").write_text("the user's own")
    atomic.write_text(tmp_path / "c", "x")
    assert names(tmp_path) == [".a.part", "c"]


def test_a_killed_run_leaves_nothing_in_the_folder_for_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    killed(f"with temporaries.scratch() as f:\n    (f / 'x').write_text('x'); {DIES}", tmp_path)
    assert len(names(tmp_path)) == 1
    with temporaries.scratch() as folder:
        assert names(tmp_path) == [folder.name]
        assert folder.stat().st_mode & 0o777 == 0o700
    assert names(tmp_path) == []


def test_what_a_running_process_writes_is_never_swept(tmp_path):
    code = (
        "from tsm_edge.files import atomic\n"
        "with atomic.file('a') as out:\n    print(flush=True); input(); out.write(b'x')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        atomic.write_text(tmp_path / "b", "x")
        with atomic.file(tmp_path / "a") as own:
            own.write(b"y")
            atomic.write_text(tmp_path / "b", "x")
        other.communicate(b"\n")
    assert other.returncode == 0
    assert names(tmp_path) == ["a", "b"] and (tmp_path / "a").read_text() == "x"


def test_litter_of_another_system_goes_after_an_hour_without_a_lock(tmp_path):
    """Before a reboot, or from another container: its PIDs say nothing here."""
    foreign = [tmp_path / f".a.00000000-1-1-0000000{index}.part" for index in range(3)]
    for path in foreign:
        path.write_text("x")
        os.utime(path, (time.time() - 7200,) * 2)
    os.utime(foreign[1])
    with temporaries.held(foreign[2]):
        temporaries.sweep(tmp_path)
        assert names(tmp_path) == [path.name for path in foreign[1:]], (
            "young or locked: somebody may write it"
        )
    temporaries.sweep(tmp_path)
    assert names(tmp_path) == [foreign[1].name]


def test_a_number_that_was_given_out_again_is_not_the_writer(tmp_path):
    name = temporaries.sibling(tmp_path / "a").name
    system, pid, start, _ = name.split(".")[2].split("-")
    (tmp_path / f".a.{system}-{pid}-{int(start) + 1}-00000000.part").write_text("x")
    (tmp_path / f".a.{system}-{pid}-{start}-00000000.part").write_text("x")
    temporaries.sweep(tmp_path)
    assert names(tmp_path) == [f".a.{system}-{pid}-{start}-00000000.part"]


def test_a_link_in_place_of_litter_is_removed_and_not_followed(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x")
    name = temporaries.sibling(tmp_path / "a").name.split("-")
    name[2] = str(int(name[2]) + 1)
    (tmp_path / "-".join(name)).symlink_to("precious")
    temporaries.sweep(tmp_path)
    assert names(tmp_path) == ["precious"] and names(tmp_path / "precious") == ["file"]


def test_an_exchange(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_text("file")
    if not atomic.exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system cannot exchange two names")
    assert (tmp_path / "a").read_text() == "file" and (tmp_path / "b").is_dir()
    with pytest.raises(FileNotFoundError):
        atomic.exchange(tmp_path / "a", tmp_path / "nothing")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("no/a", "no folder"),
        ("folder", "Is a directory"),
        ("file/a", "Not a directory"),
        ("n" * 300, "too long"),
    ],
)
def test_a_file_that_cannot_be_written_is_found_before_the_work(tmp_path, path, words):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=words):
        atomic.check_file(tmp_path / path)
    assert names(tmp_path) == ["file", "folder"]


def test_a_folder_that_cannot_be_written_is_found_before_the_work(tmp_path):
    atomic.check_folder(tmp_path / "a" / "b" / "c")
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="Not a directory"):
        atomic.check_folder(tmp_path / "file" / "a")
    with pytest.raises(OutputError, match="too little space"):
        atomic.check_folder(tmp_path / "a", needs=1 << 60)
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(is_root, reason="root may write everywhere")
def test_a_folder_without_permission_is_found_before_the_work(tmp_path):
    tmp_path.chmod(0o500)
    for check in (atomic.check_file, atomic.check_folder):
        with pytest.raises(OutputError, match="Permission denied"):
            check(tmp_path / "a")


def test_temporary_files_without_a_folder_for_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nothing"))
    with pytest.raises(OutputError, match="TMPDIR") as caught, temporaries.scratch():
        pass
    assert caught.value.hint == "name another folder in TMPDIR"
