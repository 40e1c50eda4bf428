"""The short forms of full_disk.py, kill.py and readers.py; each is a program of its own (README.md)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def well(program: str, *arguments: object) -> str:
    """Run a program; it must find no fault. Return what it says."""
    command = [sys.executable, str(HERE / program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="needs a C compiler")
def test_a_disk_that_is_full_at_some_calls():
    pytest.importorskip("torch")
    text = well("full_disk.py", "--scenes", "bundle,default-bundle,synth,record,export", "--sample", 3)
    assert text.count("0 faults") == 5


@pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="needs a C compiler")
def test_the_walker_finds_a_writer_that_is_not_atomic(tmp_path):
    """The programs judge: a bundle written in place of the older one must be seen."""
    broken = tmp_path / "broken.py"
    broken.write_text(
        f"import sys; sys.path[:0] = [{str(HERE)!r}, {str(HERE.parent / 'helpers')!r}]\n"
        "import contextlib, os, disk_lab, disk_scenes, full_disk\n"
        "from tsm_edge.files import atomic\n"
        "from pathlib import Path\n"
        "@contextlib.contextmanager\n"
        "def folder(path):\n"
        "    path = Path(path)\n"
        "    path.mkdir(exist_ok=True)\n"
        "    for each in path.iterdir(): each.unlink()\n"
        "    yield path\n"
        "disk_lab.preload()\n"
        "atomic.folder = folder\n"
        "calls, runs, faults = full_disk.walk(disk_scenes.chosen('bundle')[0], 4)\n"
        "print(*faults, sep='\\n'); sys.exit(0 if faults else 1)\n"
    )
    done = subprocess.run([sys.executable, str(broken)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is gone" in done.stdout or "neither" in done.stdout or "mixed" in done.stdout


def test_a_kill_at_some_moments():
    pytest.importorskip("torch")
    assert well("kill.py", "--scenes", "bundle,synth,export", "--kills", 3).count("0 faults") == 3


@pytest.mark.parametrize("how", [[], ["--two-renames"]], ids=["exchange", "two renames"])
def test_some_readers_beside_a_writer(how):
    assert "0 failures" in well("readers.py", "--reads", 300, *how)
