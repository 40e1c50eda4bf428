"""float16 and float32, bit by bit against numpy."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
EVERY = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)


@pytest.fixture(scope="module")
def half(build, runtime):
    sources = [HERE / "half_arrays.c", runtime / "half.c"]
    library = ctypes.CDLL(str(build("half.so", sources, "-shared", "-fPIC", "-fsanitize=undefined")))

    def convert(name: str, values: np.ndarray, dtype: type) -> np.ndarray:
        out = np.empty(values.shape, dtype)
        values = np.ascontiguousarray(values)
        getattr(library, name)(
            ctypes.c_void_p(values.ctypes.data), ctypes.c_void_p(out.ctypes.data), ctypes.c_size_t(out.size)
        )
        return out

    return convert


def same_halves(half, floats: np.ndarray) -> None:
    with np.errstate(over="ignore"):
        expected = floats.astype(np.float16).view(np.uint16)
    found = half("halves_of", floats, np.uint16)
    numbers = ~np.isnan(floats)
    assert np.array_equal(found[numbers], expected[numbers])
    assert np.isnan(found.view(np.float16)[~numbers]).all()
    assert np.array_equal(found[~numbers] >> 15, floats.view(np.uint32)[~numbers] >> 31)


def test_every_half_is_a_float(half):
    expected = EVERY.view(np.float16).astype(np.float32)
    found = half("floats_of", EVERY, np.float32)
    numbers = ~np.isnan(expected)
    assert numbers.sum() == (1 << 16) - 2 * 1023
    assert np.array_equal(found.view(np.uint32)[numbers], expected.view(np.uint32)[numbers])
    assert np.isnan(found[~numbers]).all()


def test_every_half_comes_back(half):
    found = half("halves_of", half("floats_of", EVERY, np.float32), np.uint16)
    numbers = ~np.isnan(EVERY.view(np.float16))
    assert np.array_equal(found[numbers], EVERY[numbers])
    quiet = EVERY[~numbers] | 0x200
    assert np.array_equal(found[~numbers], quiet)


def test_every_tie_and_its_neighbours(half):
    """Halfway between two halves, and one float beside it on either side; the last tie is that to infinity."""
    positive = np.append(EVERY[:0x7C00].view(np.float16).astype(np.float64), 65536.0)
    ties = ((positive[:-1] + positive[1:]) / 2).astype(np.float32)
    for floats in (ties, np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(np.inf))):
        same_halves(half, floats)
        same_halves(half, -floats)


def test_floats_of_every_exponent(half):
    bits = np.random.default_rng(0).integers(0, 1 << 32, 1 << 20, dtype=np.uint32)
    special = np.array([0, 1, 0x7FFFFF, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FFFFFFF], np.uint32)
    same_halves(half, np.concatenate([bits, special, special | 0x80000000]).view(np.float32))
