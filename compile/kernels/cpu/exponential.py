"""The exponential function of a vector, in arithmetic that every instruction set has.

exp(x) = 2^n exp(r) with n the integer nearest x / ln 2 and |r| <= ln 2 / 2; exp(r) is Cephes' polynomial of degree 6
(expf.c), within 2 units in the last place. For x <= 0, which is what a softmax needs; below -87 the result is that of
-87, about 1e-38. NaN stays NaN.
"""

from __future__ import annotations

from tvm import tirx

from ...ir.dtype import FLOAT32, INT32
from . import builder as tir
from .builder import Expr

LEAST = -87.0
LOG2E = 1.44269504088896341
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
COEFFICIENTS = (
    1.9875691500e-4,
    1.3981999507e-3,
    8.3334519073e-3,
    4.1665795894e-2,
    1.6666665459e-1,
    5.0000001201e-1,
)


def exp(x: Expr, lanes: int) -> Expr:
    """exp(x) of float32 numbers that are at most 0."""

    def number(value: float) -> Expr:
        return tir.constant(value, lanes)

    x = tir.bind(tirx.Select(x < number(LEAST), number(LEAST), x))
    whole = tir.vector_type(INT32, lanes)
    n = tir.bind(tirx.Cast(whole, x * number(LOG2E) - number(0.5)))  # towards zero, so the nearest one
    factor = tir.bind(tirx.Cast(tir.vector_type(FLOAT32, lanes), n))
    r = tir.bind(x - factor * number(LN2_HIGH) - factor * number(LN2_LOW))
    total = number(COEFFICIENTS[0])
    for coefficient in COEFFICIENTS[1:]:
        total = tir.bind(total * r + number(coefficient))
    near = tir.bind(total * r * r + r + number(1.0))
    bits = (n + tir.splat(tirx.const(127, "int32"), lanes)) << tir.splat(tirx.const(23, "int32"), lanes)
    return near * tirx.reinterpret(tir.vector_type(FLOAT32, lanes), bits)
