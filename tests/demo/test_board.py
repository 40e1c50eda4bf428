"""What a board runs imports no host tool: its modules and verbs work where train, synth, bench and the compiler are
absent, and torch, TVM and onnx with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tsm_edge import cli
from tsm_edge.demo import SAMPLE_CLIP

#: host tools, and the packages that only they need
ABSENT = (
    *(f"tsm_edge.{name}" for name in ("bench", "compile", "onnx", "synth", "train", "weights.checkpoints")),
    *("onnx", "onnxruntime", "onnxscript", "safetensors", "torch", "tvm", "tvm_ffi", "ziglang"),
)
#: the packages that a board needs, every module of them
BOARD = ("bundle", "demo", "files", "processes", "runtime", "target")
#: verbs that may need what is absent; a verb that is not here is one of a board
HOST_VERBS = {"bench", "compare", "compile", "eval", "export", "synth", "train", "verify"}

BLOCKER = f"""
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if any(name == each or name.startswith(each + ".") for each in {ABSENT!r}):
            raise ModuleNotFoundError(f"absent on a board: {{name}}", name=name)

sys.meta_path.insert(0, Absent())
"""
EVERY_MODULE = f"""
import importlib, pkgutil
import tsm_edge
seen = []
for package in {BOARD!r}:
    found = importlib.import_module("tsm_edge." + package)
    seen += [info.name for info in pkgutil.walk_packages(found.__path__, found.__name__ + ".")]
seen += ["tsm_edge." + info.name for info in pkgutil.iter_modules(tsm_edge.__path__)
         if not info.ispkg and info.name != "__main__"]
print(*[importlib.import_module(name).__name__ for name in seen])
"""
STEP = """
import numpy, tsm_edge
with tsm_edge.open(sys.argv[1]) as model, model.stream() as stream:
    print(len(stream.step(numpy.zeros((48, 64, 3), numpy.uint8))))
"""


def on_a_board(code, *words):
    """What the code prints where the host tools are absent."""
    command = [sys.executable, "-c", BLOCKER + code, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "DISPLAY": ""})
    assert done.returncode == 0, done.stderr
    return done.stdout


def verb(*words):
    return on_a_board("from tsm_edge.cli import main; main()", *words)


@pytest.mark.parametrize("name", ["torch", "tsm_edge.train", "tsm_edge.compile.pipeline"])
def test_what_is_absent_cannot_be_imported(name):
    with pytest.raises(AssertionError, match="absent on a board"):
        on_a_board(f"import {name}")


def test_every_module_of_a_board_is_imported_without_the_host_tools():
    names = on_a_board(EVERY_MODULE).split()
    assert {"tsm_edge.demo.command", "tsm_edge.runtime.native", "tsm_edge.video"} <= set(names)


def test_every_verb_of_a_board_says_its_help_without_the_host_tools():
    assert set(cli.VERBS) > HOST_VERBS
    code = (
        "from tsm_edge import cli\nfrom click.testing import CliRunner\n"
        "for name in sys.argv[1:]:\n"
        "    print(CliRunner().invoke(cli.cli, [name, '--help'], catch_exceptions=False).output)"
    )
    names = sorted(set(cli.VERBS) - HOST_VERBS)
    text = on_a_board(code, *names)
    assert [name for name in names if f"{name} [OPTIONS]" not in text] == []


def test_a_bundle_is_shown_stepped_and_run_live_without_the_host_tools(local_bundle):
    assert "tsm-mobilenetv2" in verb("inspect", local_bundle, "--json")
    assert on_a_board(STEP, local_bundle).strip() == "27"
    words = ("--bundle", local_bundle, "--video", SAMPLE_CLIP, "--headless", "--max-frames", 2, "--json")
    assert json.loads(verb("demo", *words).splitlines()[-1])["frames"] == 2
