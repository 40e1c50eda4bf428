"""Shared by the tests of measuring: runners that are a few lines of numpy, and one small bundle for this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tsm_edge import cli
from tsm_edge.bench.runner import Runner

SMALL = ("--width", "0.5", "--size", "32")


class Adding(Runner):
    """Its state is the sum of all frames so far; its scores are two numbers made of frame and state.

    log: is told the runner's name and the frame's first value at each step. spoil: called as spoil(step, scores, state)
    on copies of the outputs before they are given away.
    """

    version = "1"
    settings = "numpy"

    def __init__(self, name: str, log: list[Any], spoil: Callable[..., None] | None = None) -> None:
        self.name = name
        self._log = log
        self._spoil = spoil
        self._steps = 0
        self.closed = False
        self.reset()

    def reset(self) -> None:
        self._log.append((self.name, "reset"))
        self._sum = np.zeros((1, 3), np.float32)

    def step(self, frame: np.ndarray) -> np.ndarray:
        self._log.append((self.name, float(frame.flat[0])))
        self._sum = self._sum + frame
        self._scores = np.array([self._sum.sum(), frame.max()], np.float32)
        self._given = self._sum.copy()
        if self._spoil:
            self._spoil(self._steps, self._scores, self._given)
        self._steps += 1
        return self._scores

    def states(self) -> list[np.ndarray]:
        return [self._given]

    def close(self) -> None:
        self.closed = True


def numbered(count: int) -> list[np.ndarray]:
    """Frames whose first value is their number, from 1 on."""
    return [np.full((1, 3), number, np.float32) for number in range(1, count + 1)]


@pytest.fixture
def make() -> SimpleNamespace:
    """The builders above, as a fixture: the test folders are no packages to import from."""
    return SimpleNamespace(runner=Adding, frames=numbered)


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """Run the command line in this process: invoke("bench", …)."""
    return lambda *arguments: CliRunner().invoke(
        cli.cli, [str(part) for part in arguments], prog_name="tsm-edge"
    )


@pytest.fixture(scope="session")
def one_thread() -> None:
    """Keep torch to one thread: its pool waits for every core, and a busy machine has none to spare."""
    torch = pytest.importorskip("torch", reason="the compiler's packages are not installed")
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """A real bundle of a small network; the compiler's packages are needed."""
    for package in ("tvm", "ziglang"):
        pytest.importorskip(package, reason="the compiler's packages are not installed")
    folder = tmp_path_factory.mktemp("bench") / "small-local"
    arguments = ["compile", "tsm-mobilenetv2", "--target", "local", *SMALL, "--output", str(folder)]
    result = CliRunner().invoke(cli.cli, arguments)
    assert result.exit_code == 0, result.output
    return folder
