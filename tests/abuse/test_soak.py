"""Steps without an end, in C and in Python: flat memory, no file or thread left. TSM_ABUSE_STEPS=1000000 for long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
STEPS = int(os.environ.get("TSM_ABUSE_STEPS", "20000"))
#: what an allocator may take in more from the tenth part of the steps to the last one
GROWTH_KIB = 256


def soak(*command: object) -> None:
    """Run a program to its end; check and show what it reports."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout, end="")
    report = json.loads(done.stdout)
    assert report["steps"] >= STEPS
    assert report["last_kib"] - report["first_kib"] <= GROWTH_KIB, report
    assert report["most_kib"] - report["first_kib"] <= 2 * GROWTH_KIB, report
    for name in ("files", "threads"):
        assert report[name][0] == report[name][1], report


def test_in_c(build, library):
    soak(build("soak", [HERE / "soak.c", *library], "-O2"), STEPS)


def test_in_python(make, plain_program):
    soak(sys.executable, HERE / "soak.py", make(runner=plain_program), STEPS)


@pytest.mark.skipif(STEPS > 100000, reason="the short form alone")
def test_a_leak_is_seen(build, library, tmp_path):
    """The judge: a stream that is never freed is found."""
    leaking = tmp_path / "leaking.c"
    leaking.write_text((HERE / "soak.c").read_text().replace("    tsm_stream_free(stream);\n", ""))
    with pytest.raises(AssertionError, match="last_kib"):
        soak(build("leaking", [leaking, *library], "-O2"), STEPS)
