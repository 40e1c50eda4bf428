"""benchmarks/ablations.py on next to no data: every step of it runs, and its document says what was done."""

from __future__ import annotations

import json
import subprocess
import sys


def test_two_variants(repository, small_store, tmp_path):
    command = [
        sys.executable,
        repository / "benchmarks" / "ablations.py",
        "--train",
        small_store,
        "--test",
        small_store,
    ]
    command += [
        "--epochs",
        "1",
        "--width",
        "0.25",
        "--size",
        "32",
        "--frames",
        "4",
        "--threads",
        "1",
        "--json",
        "--only",
    ]
    command += ["no shift (TSN)", "share 0", "--plot", tmp_path / "a.png", "--output", tmp_path / "a.json"]
    command += ["--bundles", tmp_path / "kept", "--first", small_store, "--first-epochs", "1"]
    for _ in range(2):  # the second time nothing is trained
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "epoch 1/1" not in done.stderr
    document = json.loads((tmp_path / "a.json").read_text())
    tsn, none = document["variants"]
    assert (tsn["name"], tsn["form"], none["form"]) == ("no shift (TSN)", "clip", "clip")
    assert tsn["top1"] == none["top1"]  # no shift and a shift of nothing are the same network
    first, second = tsn["commands"]
    assert all("--tsn" in line and line.startswith("tsm-edge train") for line in (first, second))
    assert "--init" in second and str(tmp_path / "kept") in first
    assert "no picture" in done.stderr
