"""Networks at the edge of what the passes may fuse: right, or refused in words; never wrong numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import plan_lab
import pytest
import torch
from networks_lab import Net
from torch import nn
from torch.nn import Conv2d

from tsm_edge.errors import ImportFailed

Tensor = torch.Tensor
PLAIN, SHIFT = ((1, 3, 6, 5), ((1, 2, 6, 5),)), ((1, 3, 6, 5), ((1, 2, 6, 5), (1, 2, 6, 5)))
VECTOR = ((1, 3, 6, 5), ((1, 4),))


@dataclass(frozen=True)
class Case:
    """A network and the shapes of its frame and states.

    tolerance: of the relative difference. may_refuse: ImportFailed is an answer too. schedules: some that must be used.
    kinds: all nodes after the passes, where given.
    """

    rule: Callable[..., tuple[Tensor, ...]]
    shapes: tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]
    layers: dict[str, nn.Module]
    tolerance: float = 1e-5
    may_refuse: bool = False
    schedules: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


def depthwise(channels: int) -> Conv2d:
    return Conv2d(channels, channels, 3, 1, 1, groups=channels)


def scores(x: Tensor) -> Tensor:
    return x.mean([2, 3])


def cat(state: Tensor, x: Tensor) -> Tensor:
    """The temporal shift of the first channels."""
    return torch.cat([state, x[:, state.shape[1] :]], 1)


def shifted_is_residual(net: Any, frame: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    x = net.p(frame)
    z = cat(a, x)
    return scores(net.c(z) + z), x[:, :2]


def shifted_twice(net: Any, frame: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    x = net.p(frame)
    y = net.c(cat(a, x))
    return scores(torch.relu(net.c(cat(b, x))) + y), x[:, :2], x[:, :2]


def around_depthwise(net: Any, frame: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    x = net.p(frame)
    return scores(net.q(net.d(x) + x)), a + 1


def expanded_is_residual(net: Any, frame: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    x = net.p(frame)
    return scores(net.q(net.d(x)) + x), a + 1


def depthwise_writes_state(net: Any, frame: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    z = net.d(torch.clamp(torch.relu(net.p(frame)), -1, 0.5))
    y = net.q(cat(a, z))
    return scores(y), z[:, :3], y[:, :5] + b


def whole_block(net: Any, frame: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    x = net.stem(frame)
    y = torch.clamp(net.e(cat(a, x)), 0.1, 2)
    y = torch.clamp(x + net.p(torch.clamp(net.d(y), -0.2, 0.4)), -0.3, 0.3)
    return scores(y), x[:, :1], y[:, :2] + b


def stem_block(net: Any, frame: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    y = net.p(torch.relu(net.d(torch.relu(net.stem(frame)))))
    return scores(torch.sigmoid(y)), y[:, :2]


def output_read_later(net: Any, frame: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    y = net.first(scores(frame))
    return y, net.d(torch.relu(net.c(torch.relu(net.b(torch.relu(net.a(y))))))) + a


def slice_is_output(net: Any, frame: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    x = net.p(frame)
    return x[:, :2], net.q(torch.relu(net.c(torch.relu(net.c(x))))) + a


def constant_map(net: Any, frame: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    x = net.p(frame) + net.map.weight
    return scores(torch.relu(net.p(frame) * net.map.weight + x)), x[:, :2]


def piecewise(net: Any, frame: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    x = net.p(frame)
    return scores(torch.where(x > 0, x, 0.1 * x) + torch.sigmoid(x)), a + 1


def other_precision(net: Any, frame: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    x = torch.relu(net.p(frame.to(net.p.weight.dtype)))
    return scores(torch.clamp(x, 0.25, 0.75).float()), a + 1


def batch_inside(net: Any, frame: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    x = net.p(frame).reshape(2, 4, *frame.shape[2:])
    x = torch.sigmoid(x) + torch.relu(x)
    return scores(x).mean(0, keepdim=True), a + 1


def normalised(net: Any, frame: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    return scores(torch.relu(net.norm(net.p(frame)))), a + 1


def normalised_late(net: Any, frame: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    x = net.norm(torch.relu(net.p(frame)))
    return scores(x + net.norm(net.c(x) + x)), a + 1


def clamps(net: Any, frame: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    x = torch.clamp(torch.clamp(net.p(frame), 0, 6), -5, -1)  # -1 everywhere
    y = torch.clamp(net.c(frame) + x, -0.1, 0.3) + x  # the second add is outside of the clamp
    return scores(torch.clamp(torch.relu(y + 0.9), 0.05, 0.1)), y[:, :2]


def pools(net: Any, frame: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    """Clamps of values that no convolution computed."""
    x = torch.clamp(nn.functional.max_pool2d(net.p(frame), 3, 1, 1), -0.2, 0.3)
    return torch.clamp(
        scores(torch.clamp(torch.clamp(torch.sigmoid(x), 0.5, 2), 0.1, 0.55)), 0.51, 0.54
    ), a + 1


def averages(net: Any, frame: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    return nn.functional.avg_pool2d(torch.relu(net.p(frame)), (6, 5)).flatten(1), a + 1


def head(first: int = 3, last: int = 8) -> dict[str, nn.Module]:
    return {"p": Conv2d(first, last, 1)}


def block(side: int, expand: int, last: int) -> tuple[Any, dict[str, nn.Module]]:
    shapes = (1, 3, side, side), ((1, 4),)
    return shapes, {**head(3, expand), "d": depthwise(expand), "q": Conv2d(expand, last, 1)}


def normed() -> dict[str, nn.Module]:
    norm = nn.BatchNorm2d(8)
    for tensor in (norm.weight, norm.running_var):
        nn.init.uniform_(tensor, 0.5, 2)
    for tensor in (norm.bias, norm.running_mean):
        nn.init.normal_(tensor)
    return {**head(), "c": Conv2d(8, 8, 3, 1, 1), "norm": norm}


class Map(nn.Module):
    """A constant as large as an activation."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, 8, 6, 5))


def cases() -> dict[str, Case]:
    linear = {name: nn.Linear(64, 64) for name in "abcd"}
    dense, fused = Conv2d(8, 8, 3, 1, 1), ("inverted_residual_cpu",)
    late = ((1, 3, 16, 16), ((1, 3, 16, 16), (1, 5, 16, 16)))
    small = {"stem": Conv2d(3, 8, 3, 1, 1), "e": Conv2d(8, 48, 1), "d": depthwise(48), "p": Conv2d(48, 8, 1)}
    stem = {"stem": Conv2d(3, 32, 3, 2, 1), "d": depthwise(32), "p": Conv2d(32, 16, 1)}
    both = ((1, 3, 20, 18), ((1, 1, 20, 18), (1, 2, 20, 18)))
    half, double = Conv2d(3, 8, 1, bias=False).half(), Conv2d(3, 8, 1, bias=False).double()
    return {
        "shifted is residual": Case(shifted_is_residual, PLAIN, {**head(), "c": Conv2d(8, 8, 1)}),
        "shifted twice": Case(shifted_twice, SHIFT, {**head(), "c": dense}),
        "around depthwise": Case(around_depthwise, *block(16, 64, 16)),
        "expanded is residual": Case(expanded_is_residual, *block(16, 64, 64), schedules=fused),
        "depthwise writes state": Case(depthwise_writes_state, late, block(16, 64, 16)[1]),
        "whole block": Case(whole_block, both, small, schedules=fused),
        "stem block": Case(stem_block, ((1, 3, 40, 39), ((1, 2, 20, 20),)), stem, schedules=fused),
        "output read later": Case(
            output_read_later, ((1, 8, 3, 3), ((1, 64),)), {"first": nn.Linear(8, 64), **linear}
        ),
        "slice is output": Case(slice_is_output, PLAIN, {**head(), "c": dense, "q": Conv2d(8, 2, 3, 1, 1)}),
        "constant map": Case(constant_map, PLAIN, {**head(), "map": Map()}),
        "piecewise": Case(piecewise, VECTOR, head()),
        "float16": Case(other_precision, VECTOR, {"p": half}, 2e-3, may_refuse=True),
        "float64": Case(other_precision, VECTOR, {"p": double}, may_refuse=True),
        "batch inside": Case(batch_inside, VECTOR, head(), may_refuse=True),
        "bias, then batch norm": Case(normalised, VECTOR, normed(), kinds=("conv", "global_pool", "add")),
        "batch norm after the epilogue": Case(normalised_late, VECTOR, normed()),
        "clamps": Case(clamps, PLAIN, {**head(), "c": Conv2d(3, 8, 3, 1, 1)}),
        "clamps beside convolutions": Case(pools, VECTOR, head()),
        "average pool": Case(averages, VECTOR, head()),
    }


torch.manual_seed(0)
CASES = cases()
def planned_of(case: Case) -> plan_lab.Planned:
    return plan_lab.plan_torch(Net(case.rule, **case.layers), *case.shapes)


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> plan_lab.Laboratory:
    """All networks in one library."""
    plans = {name: partial(planned_of, case) for name, case in CASES.items()}
    return plan_lab.laboratory(plans, tmp_path_factory.mktemp("limits"))


@pytest.mark.parametrize("name", CASES)
def test_right_or_refused(name: str, laboratory: plan_lab.Laboratory) -> None:
    case = CASES[name]
    planned = laboratory.right_or_refused(name, case.tolerance, case.may_refuse)
    if planned is None:
        return
    assert set(case.schedules) <= set(planned.schedules)
    assert not case.kinds or case.kinds == tuple(planned.kinds)


@pytest.mark.parametrize(
    ("rule", "frame"),
    [
        (lambda net, frame, a: (a * 2, a + 1), (1, 3)),
        (lambda net, frame, a: (frame.mean([2, 3, 4]), a + 1), (1, 3, 8, 4, 5)),
        (lambda net, frame, a: (frame.mean([2, 3]), a + 1), (2, 3, 4, 4)),
        (lambda net, frame, a: (torch.clamp(frame, 1, 0), a + 1), (1, 3)),
    ],
    ids=["unused frame", "five dimensions", "two frames", "crossed bounds"],
)
def test_what_is_no_step_is_refused(rule: Callable[..., tuple[Tensor, ...]], frame: tuple[int, ...]) -> None:
    with pytest.raises(ImportFailed):
        plan_lab.plan_torch(Net(rule), frame, [(1, 4)])
