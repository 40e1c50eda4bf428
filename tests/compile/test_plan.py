"""The plan as data: its text, its checker, and the placement of values in the arena."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tsm_edge.compile.ir.dtype import FLOAT32
from tsm_edge.compile.ir.plan import (
    ARENA,
    STATE_IN,
    STATE_OUT,
    WEIGHTS,
    Plan,
    PlanOp,
    PlanTensor,
    allocate,
    lifetimes,
    overlap,
)
from tsm_edge.errors import CompileError

TENSORS = (
    PlanTensor("frame", FLOAT32, (1, 4, 4, 3), ARENA, 0),
    PlanTensor("cache", FLOAT32, (16,), STATE_IN, 0),
    PlanTensor("cache_out", FLOAT32, (16,), STATE_OUT, 0),
    PlanTensor("w", FLOAT32, (8,), WEIGHTS, 0),
    PlanTensor("a", FLOAT32, (16,), ARENA, 192),
    PlanTensor("logits", FLOAT32, (4,), ARENA, 0),
)
OPS = (
    PlanOp(
        "k0",
        "stem",
        "conv_cpu:6x16",
        4,
        100,
        ("frame", "w"),
        ("a", "cache_out"),
        ("frame", "w", "a", "cache_out"),
    ),
    PlanOp(
        "k1", "head", "pointwise_cpu", 1, 20, ("a", "cache", "w"), ("logits",), ("a", "cache", "w", "logits")
    ),
)
PLAN = Plan("frame", "logits", TENSORS, OPS, arena_bytes=256, state_bytes=64, weights_bytes=64)


def test_text_round_trips() -> None:
    assert Plan.parse(PLAN.text()) == PLAN
    assert (
        PLAN.text().splitlines()[0]
        == "plan 1 input frame output logits arena 256 state 64 weights 64 scratch 0"
    )
    assert PLAN.macs == 120
    assert PLAN.traffic(OPS[1]) == 64 + 64 + 32 + 16


@pytest.mark.parametrize(
    "text", ["", "plan 2 arena 0", PLAN.text() + "noise 1\n", PLAN.text().replace("float32", "float31")]
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(CompileError):
        Plan.parse(text)


def changed(which: str, **fields: object) -> tuple[PlanTensor, ...]:
    return tuple(replace(tensor, **fields) if tensor.name == which else tensor for tensor in TENSORS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tensors", "ops", "message"),
    [
        (changed("a", offset=224), OPS, "outside its memory"),
        (changed("a", offset=200), OPS, "not aligned"),
        (changed("a", offset=128), OPS, "overlap"),
        (changed("logits", name="a"), OPS, "twice"),
        (changed("a", memory=WEIGHTS, offset=0), OPS, "lies in weights"),
        (TENSORS, OPS[::-1], "before it is written"),
        (TENSORS, (replace(OPS[0], writes=("a",)), OPS[1]), "never written"),
        (TENSORS, (*OPS, replace(OPS[0], symbol="k2")), "written twice"),
    ],
)
def test_the_checker_names_the_broken_rule(
    tensors: tuple[PlanTensor, ...], ops: tuple[PlanOp, ...], message: str
) -> None:
    with pytest.raises(CompileError, match=message):
        Plan("frame", "logits", tensors, ops, arena_bytes=256, state_bytes=64, weights_bytes=64)


def test_lifetimes_of_inputs_and_results() -> None:
    spans = lifetimes([(("frame",), ("a",)), (("a",), ("b", "out")), (("b", "frame"), ("rest",))], "out")
    assert spans == {"frame": (-1, 2), "a": (0, 1), "b": (1, 2), "out": (1, 3), "rest": (2, 2)}


@pytest.mark.parametrize("seed", range(20))
def test_allocation_never_overlaps_and_reuses(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [f"t{i}" for i in range(30)]
    sizes = {name: int(rng.integers(1, 5000)) for name in names}
    starts = {name: int(rng.integers(0, 30)) for name in names}
    spans = {name: (starts[name], starts[name] + int(rng.integers(0, 6))) for name in names}
    offsets, total = allocate(sizes, spans)
    for i, a in enumerate(names):
        assert offsets[a] % 64 == 0
        assert offsets[a] + sizes[a] <= total
        for b in names[:i]:
            if overlap(spans[a], spans[b]):
                assert offsets[a] + sizes[a] <= offsets[b] or offsets[b] + sizes[b] <= offsets[a]
    assert total < sum(sizes.values())
