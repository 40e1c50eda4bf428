"""Programs that a command starts end with it, and so does what they have started themselves."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from tsm_edge.processes import children

#: a driver that starts another program and waits for it
DRIVER = ["sh", "-c", "sh -c 'echo $$ > pid; exec sleep 30' & wait"]


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def has_ended(pid: int) -> bool:
    for _ in range(1000):
        if not is_running(pid):
            return True
        time.sleep(0.01)
    return False


def pid_of(path) -> int:
    for _ in range(2000):
        if path.is_file() and path.read_text().strip():
            return int(path.read_text())
        time.sleep(0.01)
    raise AssertionError("it was not started")


def test_output_errors_and_status():
    done = children.run_text(["sh", "-c", "cat; echo bad >&2; exit 3"], input="given")
    assert (done.returncode, done.stdout, done.stderr) == (3, "given", "bad\n")
    with pytest.raises(FileNotFoundError):
        children.run(["/no/such/program"])


def test_a_program_of_another_thread_is_ended_with_all_that_it_started(tmp_path):
    ended = []
    thread = threading.Thread(target=lambda: ended.append(children.run(DRIVER, cwd=tmp_path).returncode))
    thread.start()
    pid = pid_of(tmp_path / "pid")
    children.end_all()
    thread.join(30)
    assert ended == [-9]
    assert has_ended(pid)


def test_sigterm_ends_what_was_started(tmp_path):
    code = (
        "from tsm_edge.processes import children, interrupts\ninterrupts.listen()\n"
        f"try: children.run({DRIVER!r})\nexcept KeyboardInterrupt: print('cleaned up')"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    pid = pid_of(tmp_path / "pid")
    process.terminate()
    assert process.communicate(timeout=30)[0] == "cleaned up\n"
    assert has_ended(pid)


def test_a_worker_ends_with_its_parent(tmp_path):
    worker = (
        "import os, sys, time\nfrom tsm_edge.processes import children\nchildren.end_with_parent(int(sys.argv[1]))\n"
        "print(os.getpid(), flush=True)\ntime.sleep(30)"
    )
    parent = (
        f"import os, subprocess, sys; subprocess.run([sys.executable, '-c', {worker!r}, str(os.getpid())])"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    pid = int(process.stdout.readline())
    assert is_running(pid)
    process.kill()
    process.wait()
    assert has_ended(pid)
