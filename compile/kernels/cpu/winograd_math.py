"""Winograd's minimal filtering as matrices: F(m, r) computes m outputs of an r-tap filter with m + r - 1 products.

Toom-Cook construction over m + r - 2 finite points and infinity (Winograd, "Arithmetic Complexity of Computations",
1980; Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016). In one dimension
``y = AT @ ((G @ g) * (BT @ d))`` for an input ``d`` of m + r - 1 values and a filter ``g``; two dimensions nest it.

The points decide the rounding error. Pairs +p, -p keep the transforms cheap (a pair shares its even and odd sums), and
p and 1/p keep their numbers near one: for F(4, 3) the points 0, +-1/sqrt(2), +-sqrt(2) err about half as much as the
textbook's 0, +-1, +-2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import sqrt

import numpy as np

#: finite points of F(m, 3), by m
POINTS = {2: (0.0, 1.0, -1.0), 4: (0.0, sqrt(0.5), -sqrt(0.5), sqrt(2.0), -sqrt(2.0))}
TAPS = 3


@dataclass(frozen=True)
class Transforms:
    """The matrices of F(m, 3), float64. bt: [n, n], g: [n, 3], at: [m, n] with n = m + 2."""

    bt: np.ndarray
    g: np.ndarray
    at: np.ndarray

    def weights(self, weight: np.ndarray) -> np.ndarray:
        """[CO, CI, 3, 3] to [n * n, CI, CO], computed in float64, rounded to float32 once."""
        co, ci = weight.shape[:2]
        plain = np.einsum("ik,ockl,jl->ijco", self.g, weight.astype(np.float64), self.g)
        return np.asarray(plain.reshape(-1, ci, co), np.float32)


@cache
def transforms(m: int) -> Transforms:
    """Matrices of F(m, 3)."""
    points = POINTS[m]
    n = m + TAPS - 1
    bt = np.zeros((n, n))
    for i, point in enumerate(points):
        others = [p for p in points if p != point]
        bt[i, : n - 1] = np.poly(others)[::-1]
    bt[n - 1] = np.poly(points)[::-1]
    scale = [np.prod([p - q for q in points if q != p]) for p in points]
    g = np.array(
        [[p**k / s for k in range(TAPS)] for p, s in zip(points, scale)] + [[0.0] * (TAPS - 1) + [1.0]]
    )
    at = np.array([[p**k for p in points] + [float(k == m - 1)] for k in range(m)])
    return Transforms(_clean(bt), g, _clean(at))


def _clean(matrix: np.ndarray) -> np.ndarray:
    """Remove the rounding of products such as sqrt(2) * sqrt(1/2), so that ones and zeros are exact."""
    near = np.round(matrix * 4) / 4
    return np.where(np.abs(matrix - near) < 1e-12, near, matrix)
