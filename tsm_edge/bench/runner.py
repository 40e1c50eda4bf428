"""What can be timed: one network opened in one runtime, stepped frame by frame with its own states."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from ..errors import UsageError
from ..signature import TensorSpec
from .agreement import Floats

#: distinct frames that the steps go through in turn
FRAMES = 16


class Runner(ABC):
    """A network in a runtime.

    name, version: of the runtime. settings: how it was set up, in words, for the report.
    tolerance: how far its outputs may be from tsm-edge's, relative to the largest value, or by root mean squares where
    rms is true. precision: what it stores numbers in; why: why that is not the bundle's precision, "" where it is.
    """

    name: str
    version: str
    settings: str
    tolerance: float = 1e-4
    rms: bool = False
    precision: str = "float32"
    why: str = ""

    @abstractmethod
    def reset(self) -> None:
        """Set all states to zero."""

    def place(self, boxes: Floats) -> None:
        """Set the state "boxes" after a reset."""
        raise UsageError(f"{self.name} is not compared with boxes.", allowed="--against onnxruntime,openvino")

    @abstractmethod
    def step(self, frame: Floats) -> Floats:
        """Take one preprocessed frame, float32 NCHW; return the scores. This is what is timed."""

    @abstractmethod
    def states(self) -> list[Floats]:
        """Return a copy of every state after the last step, in the signature's order."""

    @abstractmethod
    def close(self) -> None:
        """Free the runtime's memory and threads."""


def frames(spec: TensorSpec, count: int = FRAMES, seed: int = 0) -> list[Floats]:
    """Return ``count`` different inputs with values as a normalised picture has them: none beyond 2.

    What is beyond the range that 8 bits were calibrated on would saturate, and be compared with what does not.
    """
    rng = np.random.default_rng(seed)
    return [np.clip(rng.standard_normal(spec.shape), -2, 2).astype(np.float32) for _ in range(count)]
