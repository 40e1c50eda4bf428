"""Records of a description refuse what cannot be a network."""

from __future__ import annotations

import pytest

from tsm_edge.errors import ModelError
from tsm_edge.models.description import Block, Conv, Head, head


def conv(inputs: int, outputs: int, **more) -> Conv:
    return Conv("c", "n", inputs, outputs, 1, **more)


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: conv(8, 8, activation="gelu"), "unknown activation"),
        (lambda: conv(8, 9, groups=4), "do not divide"),
        (lambda: Block("b", (conv(8, 16), conv(8, 8))), "16 channels into 8"),
        (lambda: Block("b", (conv(8, 16),), residual=True), "8 + 16 channels"),
        (lambda: Block("b", (conv(8, 16),), residual=True, projection=conv(8, 24)), "24 + 16 channels"),
        (lambda: Block("b", (conv(7, 7),), shifted=True), "too few channels"),
        (lambda: head((conv(8, 8),)), "ends in its only head"),
        (lambda: head((Head("h", 8, 2), Head("h", 8, 2))), "ends in its only head"),
    ],
)
def test_refused(make, part):
    with pytest.raises(ModelError) as caught:
        make()
    assert part in str(caught.value)


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (7, 2)])
@pytest.mark.parametrize("side", [1, 2, 7, 14])
def test_sides_are_those_of_torch(kernel, stride, side):
    torch = pytest.importorskip("torch")
    layer = Conv("c", "n", 1, 1, kernel, stride)
    out = torch.nn.Conv2d(1, 1, kernel, stride, kernel // 2)(torch.zeros(1, 1, side, side))
    assert out.shape[-1] == layer.side(side)
