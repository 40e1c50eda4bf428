"""Single passes: which convolutions become one block, and what two clamps are together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from math import inf
from typing import Any

import networks_lab
import numpy as np
import pytest
import torch
from networks_lab import Net
from torch import nn
from torch.nn import Conv2d

from tsm_edge.compile import passes
from tsm_edge.compile.ir.graph import Graph, Node
from tsm_edge.compile.ir.ops import Role
from tsm_edge.compile.passes import fuse_block
from tsm_edge.compile.passes.fuse_epilogue import compose

Tensor = torch.Tensor
Rule = Callable[..., tuple[Tensor, ...]]
relu = torch.relu


def layers() -> dict[str, nn.Module]:
    return {
        "stem": Conv2d(8, 16, 3, 2, 1),
        "grouped": Conv2d(8, 16, 1, groups=2),
        "e": Conv2d(8, 16, 1),
        "d": Conv2d(16, 16, 3, 1, 1, groups=16),
        "p": Conv2d(16, 16, 1),
        "strided": Conv2d(16, 16, 1, 2),
        "dense": Conv2d(16, 16, 3, 1, 1),
    }


def shifted(a: Tensor, x: Tensor) -> Tensor:
    return torch.cat([a, x[:, 2:]], 1)


def done(y: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    return y.mean([2, 3]), state


def plain(n: Any, x: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    return done(n.p(relu(n.d(relu(n.e(x))))), a + 1)


def stem(n: Any, x: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    return done(n.p(n.d(relu(n.stem(x)))), a + 1)


def expand_reads_state(n: Any, x: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    return done(n.p(n.d(n.e(shifted(a, x)))), x[:, :2])


def no_expand(n: Any, x: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    return done(n.p(n.d(torch.cat([x, x], 1))), a + 1)


def expand_read_twice(n: Any, x: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    e = n.e(x)
    return done(n.p(n.d(e)) + e, a + 1)


def expand_writes_next(n: Any, x: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    e = n.e(x)
    return done(n.p(n.d(e)), e[:, :2])


def expand_is_grouped(n: Any, x: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    return done(n.p(n.d(n.grouped(x))), a + 1)


def expand_is_depthwise(n: Any, x: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    return done(n.p(n.d(n.d(n.e(x)))), a + 1)


def stem_reads_state(n: Any, x: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    return done(n.p(n.d(n.stem(shifted(a, x)))), x[:, :2])


def expand_has_residual(n: Any, x: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    return done(n.p(n.d(n.e(x) + torch.cat([x, x], 1))), a + 1)


def depthwise_has_residual(n: Any, x: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    e = n.e(x)
    return done(n.p(n.d(e) + e), a + 1)


def depthwise_read_twice(n: Any, x: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    d = n.d(n.e(x))
    return done(n.p(d) + d, a + 1)


def depthwise_writes_next(n: Any, x: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    d = n.d(n.e(x))
    return done(n.p(d), d[:, :2])


def depthwise_is_state(n: Any, x: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    d = n.d(n.e(x))
    return done(n.p(d) + a.mean(), d)


def project_reads_state(n: Any, x: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    return done(n.p(shifted(a, n.d(n.e(x)))), a + 1)


def project_is_dense(n: Any, x: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    return done(n.dense(n.d(n.e(x))), a + 1)


def project_strides(n: Any, x: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    return done(n.strided(n.d(n.e(x))), a + 1)


JOINED: dict[int, list[Rule]] = {
    3: [plain, stem, expand_reads_state],
    2: [
        no_expand,
        expand_read_twice,
        expand_writes_next,
        expand_is_grouped,
        expand_is_depthwise,
        stem_reads_state,
        expand_has_residual,
    ],
    0: [
        depthwise_has_residual,
        depthwise_read_twice,
        depthwise_writes_next,
        depthwise_is_state,
        project_reads_state,
        project_is_dense,
        project_strides,
    ],
}
RULES = [rule for rules in JOINED.values() for rule in rules]


class Together(nn.Module):
    """All rules side by side, each with layers and a state of its own: one import instead of twenty."""

    def __init__(self) -> None:
        super().__init__()
        for rule in RULES:
            self.add_module(rule.__name__, Net(rule, **layers()))

    def forward(self, frame: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        found = [
            net(torch.relu(frame + index), state)  # a frame of its own, that no convolution computed
            for index, (net, state) in enumerate(zip(self.children(), states))
        ]
        return torch.cat([scores for scores, _ in found], 1), *(state for _, state in found)


@pytest.fixture(scope="module")
def fused() -> Graph:
    """The graph of all rules after the passes, before blocks are joined."""
    torch.manual_seed(0)
    step = Together().eval()
    states = [(1, 16 if rule is depthwise_is_state else 2, 6, 5) for rule in RULES]
    signature = networks_lab.signature_of(step, (1, 8, 6, 5), states)
    graph = networks_lab.loader(step, signature)()
    passes.run(graph)
    return graph


def twin(graph: Graph) -> Graph:
    """A copy that a pass may rewrite; TVM's objects in it are shared."""
    return replace(graph, nodes=[node.copy() for node in graph.nodes])


@pytest.fixture(scope="module")
def joined(fused: Graph) -> Graph:
    """Every block joined that may be."""
    graph = twin(fused)
    fuse_block.run(graph, lambda block: True)
    return graph


def of(graph: Graph, rule: Rule, kind: str) -> list[Node]:
    """The nodes of a kind that come from a rule's layers."""
    return [node for node in graph.nodes if node.kind == kind and node.layer.startswith(f"{rule.__name__}.")]


@pytest.mark.parametrize(
    ("rule", "count"),
    [(rule, count) for count, rules in JOINED.items() for rule in rules],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_which_convolutions_become_one_block(rule: Rule, count: int, fused: Graph, joined: Graph) -> None:
    found = [len(node.op.convs) for node in of(joined, rule, "block")]
    assert found == ([count] if count else [])
    convs = of(fused, rule, "conv")
    assert len(convs) > 1
    assert len(of(joined, rule, "conv")) == len(convs) - count


def test_a_block_keeps_its_state(joined: Graph) -> None:
    (block,) = of(joined, expand_reads_state, "block")
    assert block.roles[Role.STATE] in block.inputs
    assert block.op.expand.fold_in == 2


def test_what_does_not_pay_stays_apart(fused: Graph) -> None:
    graph = twin(fused)
    fuse_block.run(graph, lambda block: False)
    assert graph.text() == fused.text()


def test_a_clamp_made_of_two_is_both() -> None:
    """Every pair of clamps, also those whose ranges do not meet."""
    x = np.linspace(-4, 4, 33)
    sides = (None, -2.0, 0.0, 1.0)
    pairs = [(low, high) for low, high in product(sides, sides) if low is None or high is None or low <= high]

    def clamp(values: np.ndarray, bounds: tuple[float | None, float | None]) -> np.ndarray:
        low, high = bounds
        return np.minimum(np.maximum(values, -inf if low is None else low), inf if high is None else high)

    for first, second in product(pairs, pairs):
        wanted = clamp(clamp(x, first), second)
        np.testing.assert_array_equal(clamp(x, compose(first, second)), wanted, err_msg=f"{first} {second}")
    assert compose((0.0, 6.0), (-5.0, -1.0)) == (-1.0, -1.0)
    assert compose((0.0, None), (None, 6.0)) == (0.0, 6.0)
    assert compose((None, None), (None, None)) == (None, None)
