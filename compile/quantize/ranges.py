"""Observed values of a calibration run (extremes and histogram), and the ranges estimated from them (ranges.json)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tsm_edge.errors import UsageError
from tsm_edge.files import atomic, strict_json

SCHEMA = 1
BINS = 2048
LEVELS = 255


@dataclass
class Seen:
    """Minimum, maximum and histogram of one value over all frames. ends: minimum and maximum of each channel."""

    low: float = np.inf
    high: float = -np.inf
    ends: NDArray[np.float64] | None = None
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def widen(self, array: NDArray[np.float32]) -> None:
        """Include an array in the extremes."""
        rows = array.reshape(-1, array.shape[-1]).astype(np.float64)
        found = np.stack([rows.min(0), rows.max(0)])
        if self.ends is not None:
            found = np.stack([np.minimum(self.ends[0], found[0]), np.maximum(self.ends[1], found[1])])
        self.ends = found
        self.low, self.high = float(found[0].min()), float(found[1].max())

    @property
    def largest(self) -> NDArray[np.float64]:
        """The largest magnitude of each channel."""
        assert self.ends is not None
        return np.asarray(np.abs(self.ends).max(0))

    def scaled(self, factors: NDArray[np.float64]) -> Seen:
        """What is seen of the value with factors on its channels, still without a histogram."""
        assert self.ends is not None
        ends = self.ends * factors
        return Seen(float(ends[0].min()), float(ends[1].max()), ends)

    def count(self, array: NDArray[np.float32]) -> None:
        """Include an array in the histogram, after `widen` has seen all of them."""
        self.counts += np.histogram(array, BINS, (self.low, max(self.high, self.low + 1e-30)))[0]

    @property
    def edges(self) -> NDArray[np.float64]:
        """The edges of the bins."""
        return np.linspace(self.low, max(self.high, self.low + 1e-30), BINS + 1)

    def percentile(self, share: float) -> tuple[float, float]:
        """The central range that holds this share of the numbers, extended to contain zero."""
        total = np.cumsum(self.counts) / max(1, self.counts.sum())
        low = self.edges[int(np.searchsorted(total, (1 - share) / 2, side="right"))]
        high = self.edges[min(BINS, int(np.searchsorted(total, 1 - (1 - share) / 2)) + 1)]
        return min(0.0, float(low)), max(0.0, float(high))

    def least_squares(self) -> tuple[float, float]:
        """The range with the least mean squared error of rounding and saturation, by search over shrunk extremes."""
        centres = (self.edges[:-1] + self.edges[1:]) / 2
        best, found = np.inf, (min(0.0, self.low), max(0.0, self.high))
        for part in map(float, np.linspace(0.3, 1.0, 36)):
            low, high = min(0.0, self.low * part), max(0.0, self.high * part)
            scale = max(high - low, 1e-30) / LEVELS
            lost = centres - np.clip(centres, low, high)
            # Rounding loses scale^2 / 12 on average; a bin that holds exact zeros loses nothing by it.
            error = float((self.counts * (lost**2 + np.where(lost == 0, scale**2 / 12, 0))).sum())
            if error < best:
                best, found = error, (low, high)
        return found


@dataclass(frozen=True)
class Ranges:
    """The range of every value stored in 8 bits. network: fingerprint of its weights; method: the estimator.

    steps: the weights' scale in each output channel, by the layer's output, where a quantised file gives them.
    factors: those of each channel of a value whose channels are equalised (`equalise.py`); its range is the scaled one.
    """

    network: str
    method: str
    frames: int
    values: dict[str, tuple[float, float]]
    steps: dict[str, tuple[float, ...]] = field(default_factory=dict)
    factors: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the file atomically."""
        atomic.write_text(path, self.text())

    def text(self) -> str:
        """The file's text."""
        document = {
            "schema": SCHEMA,
            "network": self.network,
            "method": self.method,
            "frames": self.frames,
            "ranges": {name: list(pair) for name, pair in self.values.items()},
            **({"steps": {name: list(row) for name, row in self.steps.items()}} if self.steps else {}),
            **({"factors": {name: list(row) for name, row in self.factors.items()}} if self.factors else {}),
        }
        return json.dumps(document, indent=1) + "\n"

    @classmethod
    def load(cls, path: Path) -> Ranges:
        """Read and check a file; UsageError says what is wrong with it."""
        try:
            document = strict_json.read(path)
            if not isinstance(document, dict):
                raise TypeError("no object")
            pairs = {str(name): (float(low), float(high)) for name, (low, high) in document["ranges"].items()}
            steps = {str(name): tuple(map(float, row)) for name, row in document.get("steps", {}).items()}
            factors = {str(name): tuple(map(float, row)) for name, row in document.get("factors", {}).items()}
            about = str(document["network"]), str(document["method"]), int(document["frames"])
            found = cls(*about, pairs, steps, factors)
            schema = document["schema"]
        except OSError as error:
            raise UsageError(f"'{path}' cannot be read.", found=error.strerror or str(error)) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"'{path}' holds no ranges.",
                found=(f"no {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}")[:200],
                allowed="what calibration wrote",
                hint="calibrate again with --calibrate DATA",
            ) from error
        if schema != SCHEMA:
            raise UsageError(f"'{path}' is of another version.", found=str(schema), allowed=str(SCHEMA))
        found.check(path)
        return found

    def check(self, path: Path) -> None:
        """UsageError for numbers that no calibration makes."""
        ends = self.values.items()
        wrong = [n for n, (low, high) in ends if not (np.isfinite((low, high)).all() and low <= 0 <= high)]
        if wrong:
            raise UsageError(
                f"'{path}' holds a range without zero.",
                found=f"{wrong[0]}: {list(self.values[wrong[0]])}",
                allowed="finite, smallest number <= 0 <= largest number",
            )
        wrong = [name for name, row in self.steps.items() if not all(0 <= step < np.inf for step in row)]
        if wrong:
            raise UsageError(f"'{path}' holds a scale of weights that is none.", found=wrong[0], allowed="0 or more")
        wrong = [name for name, row in self.factors.items() if not all(1 <= factor < np.inf for factor in row)]
        if wrong:
            raise UsageError(f"'{path}' holds a factor of a channel that is none.", found=wrong[0], allowed="1 or more")


def fingerprint(arrays: list[NDArray[np.generic]]) -> str:
    """The network's identity: the SHA-256 of its weights in order."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str((array.shape, array.dtype)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
