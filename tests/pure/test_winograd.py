"""The matrices of minimal filtering against plain convolution, in float64 and in the float32 of the kernels."""

from __future__ import annotations

import numpy as np
import pytest

winograd = pytest.importorskip("tsm_edge.compile.kernels.cpu.winograd_math")


@pytest.mark.parametrize("m", [2, 4])
def test_one_dimension_is_exact(m: int) -> None:
    matrices = winograd.transforms(m)
    rng = np.random.default_rng(m)
    signal, taps = rng.standard_normal(m + 2), rng.standard_normal(3)
    wanted = [signal[i : i + 3] @ taps for i in range(m)]
    got = matrices.at @ ((matrices.g @ taps) * (matrices.bt @ signal))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-13)


@pytest.mark.parametrize("m", [2, 4])
def test_transformed_weights(m: int) -> None:
    """One tile of a layer with two inputs and three outputs: the sum over inputs is taken between the transforms."""
    matrices, n = winograd.transforms(m), m + 2
    rng = np.random.default_rng(m)
    weight = rng.standard_normal((3, 2, 3, 3)).astype(np.float32)
    window = rng.standard_normal((2, n, n))
    spread = np.einsum("ik,ckl,jl->ijc", matrices.bt, window, matrices.bt).reshape(n * n, 2)
    products = np.einsum("pc,pco->po", spread, matrices.weights(weight)).reshape(n, n, 3)
    got = np.einsum("ik,klo,jl->oij", matrices.at, products, matrices.at)
    wanted = np.zeros((3, m, m))
    for y in range(m):
        for x in range(m):
            wanted[:, y, x] = np.einsum("ockl,ckl->o", weight, window[:, y : y + 3, x : x + 3])
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5)


def test_the_points_err_less_than_the_textbooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """F(4x4) in float32 over many random tiles: the reason for the irrational points."""

    def error() -> float:
        matrices = winograd.transforms.__wrapped__(4)
        bt, at = matrices.bt.astype(np.float32), matrices.at.astype(np.float32)
        rng = np.random.default_rng(0)
        weight = rng.standard_normal((1, 64, 3, 3)).astype(np.float32)
        spread = np.einsum("ik,okcl,jl->oijc", matrices.g, weight.transpose(0, 2, 1, 3), matrices.g)
        worst = []
        for window in rng.standard_normal((200, 6, 6, 64)).astype(np.float32):
            v = np.einsum("ik,klc,jl->ijc", bt, window, bt).astype(np.float32)
            m = np.einsum("ijc,ijc->ij", v, spread[0].astype(np.float32)).astype(np.float32)
            y = (at @ m @ at.T).astype(np.float64)
            plain = np.zeros((4, 4))
            for ky in range(3):
                for kx in range(3):
                    plain += window[ky : ky + 4, kx : kx + 4].astype(np.float64) @ weight[0, :, ky, kx]
            worst.append(np.abs(y - plain).max())
        return float(np.mean(worst))

    ours = error()
    monkeypatch.setitem(winograd.POINTS, 4, (0.0, 1.0, -1.0, 2.0, -2.0))
    assert ours < 0.8 * error()
