"""What can be timed: one network opened in one runtime, stepped frame by frame with its own states."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np

from ..signature import TensorSpec
from .agreement import Floats

#: distinct frames that the steps go through in turn
FRAMES = 16


class Runner(ABC):
    """A network in a runtime.

    name, version: of the runtime. settings: how it was set up, in words, for the report.
    tolerance: how far its outputs may be from tsm-edge's, relative to the largest value.
    """

    name: str
    version: str
    settings: str
    tolerance: float = 1e-4

    @abstractmethod
    def reset(self) -> None:
        """Set all states to zero."""

    @abstractmethod
    def step(self, frame: Floats) -> Floats:
        """Take one preprocessed frame, float32 NCHW; return the scores. This is what is timed."""

    @abstractmethod
    def states(self) -> list[Floats]:
        """Return a copy of every state after the last step, in the signature's order."""

    @abstractmethod
    def close(self) -> None:
        """Free the runtime's memory and threads."""


class PingPong:
    """Two sets of state arrays: a step reads one and writes the other, then they change places."""

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        self.sets = [[np.zeros(spec.shape, np.float32) for spec in specs] for _ in range(2)]
        self.turn = 0

    @property
    def read(self) -> list[Floats]:
        """The set that the next step reads."""
        return self.sets[self.turn]

    def swap(self) -> None:
        """After a step: what was written is read next."""
        self.turn = 1 - self.turn

    def clear(self) -> None:
        """All zero, as at the start."""
        self.turn = 0
        for array in self.sets[0]:
            array[:] = 0


def frames(spec: TensorSpec, count: int = FRAMES, seed: int = 0) -> list[Floats]:
    """Return ``count`` different inputs of the values that a normalised picture has."""
    return list(_frames(spec, count, np.random.default_rng(seed)))


def _frames(spec: TensorSpec, count: int, rng: np.random.Generator) -> Iterator[Floats]:
    for _ in range(count):
        yield rng.standard_normal(spec.shape).astype(np.float32)
