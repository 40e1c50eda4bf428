"""A bundle as something that can be timed, and the operations of its step."""

from __future__ import annotations

from pathlib import Path

from .. import __version__, runtime
from .. import boxes as regions
from .agreement import Floats
from .runner import Runner


class _StreamRunner(Runner):
    """What runs on a stream; what it closes is its own matter."""

    version = __version__
    stream: runtime.Stream

    def reset(self) -> None:
        self.stream.reset()

    def place(self, boxes: Floats) -> None:
        self.stream.set_states({regions.STATE: boxes})

    def step(self, frame: Floats) -> Floats:
        return self.stream.step_tensor(frame)

    def states(self) -> list[Floats]:
        return list(self.stream.states().values())


class EdgeRunner(_StreamRunner):
    """A stream of a bundle; ``threads`` defaults to the bundle's. Opening it checks every hash, as any opening does."""

    name = "tsm-edge"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self.model = runtime.open(path, threads)
        self.stream = self.model.stream()
        self.precision = self.model.manifest.precision
        self.settings = f"target {self.model.manifest.target.name}"

    def close(self) -> None:
        self.model.close()


class SelfCheck(_StreamRunner):
    """A second stream of an opened bundle: equal inputs must give equal outputs. Used where there is no peer."""

    name = "a second run"
    settings = "not timed"
    tolerance = 0.0

    def __init__(self, of: EdgeRunner) -> None:
        self.stream = of.model.stream()

    def close(self) -> None:
        self.stream.close()
