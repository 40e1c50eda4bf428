"""ONNX files at the edge of what a step may be: right, or refused in words; any name a file may hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_lab
import plan_lab
import pytest
from onnx import NodeProto, TensorProto, helper

from tsm_edge.bundle.manifest import WeightsInfo
from tsm_edge.compile.frontend import networks
from tsm_edge.compile.ir.plan import Plan
from tsm_edge.errors import ImportFailed
from tsm_edge.onnx.meta import OnnxMeta
from tsm_edge.signature import Preprocess

node = helper.make_node
FRAME = (1, 3, 4, 5)
RNG = np.random.default_rng(0)
WEIGHTS = RNG.standard_normal((6, 3, 1, 1)).astype(np.float32)
AXES = np.array([2, 3], np.int64)


@dataclass(frozen=True)
class Case:
    """Nodes from `frame` to the output `y`; beside them a state `a` becomes `b`, its negative."""

    nodes: tuple[NodeProto, ...]
    constants: dict[str, Any] = field(default_factory=dict)
    frame: tuple[int, ...] = FRAME
    output: tuple[int, ...] = (1, 6)
    name: str = "x"  # of the frame
    labels: tuple[str, ...] | None = None
    may_refuse: bool = False
    tolerance: float = 1e-5

    def save(self, path: Path, metadata: dict[str, str] | None = None) -> Path:
        """Write the file."""
        nodes = [*self.nodes, node("Neg", ["a"], ["b"])]
        inputs, outputs = {self.name: self.frame, "a": (1, 2)}, {"y": self.output, "b": (1, 2)}
        used = {value for part in nodes for value in part.input}
        constants = {"w": WEIGHTS, "axes": AXES, **self.constants}
        kept = {name: array for name, array in constants.items() if name in used}
        return onnx_lab.save(path, nodes, inputs, outputs, kept, metadata)


def conv(source: str, result: str, weight: str = "w", name: str = "") -> NodeProto:
    return node("Conv", [source, weight], [result], name)


def mean(source: str) -> NodeProto:
    return mean_of(source, "axes")


def mean_of(source: str, axes: str) -> NodeProto:
    """The output: the mean over the axes of a constant."""
    return node("ReduceMean", [source, axes], ["y"], keepdims=0)


def scalars(**values: float) -> dict[str, np.ndarray]:
    return {name: np.array(value, np.float32) for name, value in values.items()}


def named(name: str, layer: str = "") -> Case:
    """A network whose frame and first layer have odd names."""
    return Case((conv(name, "c", name=layer), node("Relu", ["c"], ["r"]), mean("r")), name=name)


def cast(kind: int, dtype: type) -> Case:
    """A convolution of another precision."""
    nodes = (
        node("Cast", ["x"], ["h"], to=kind),
        conv("h", "c"),
        node("Relu", ["c"], ["r"]),
        node("Cast", ["r"], ["f"], to=TensorProto.FLOAT),
        mean("f"),
    )
    return Case(nodes, {"w": WEIGHTS.astype(dtype)}, may_refuse=True, tolerance=3e-3)


def clip(source: str, result: str, low: str, high: str) -> NodeProto:
    return node("Clip", [source, low, high], [result])


BOUNDS = scalars(low=0.2, high=0.6, zero=0, six=6)
CASES = {
    "clip without a convolution": Case(
        (node("Sigmoid", ["x"], ["s"]), clip("s", "c", "low", "high"), conv("c", "d"), mean("d")), BOUNDS
    ),
    "clip after a convolution": Case((conv("x", "c"), clip("c", "d", "low", "high"), mean("d")), BOUNDS),
    "crossed clip": Case((conv("x", "c"), clip("c", "d", "high", "low"), mean("d")), BOUNDS),
    "crossed clip without a convolution": Case(
        (conv("x", "c"), node("Sigmoid", ["c"], ["s"]), clip("s", "d", "high", "low"), mean("d")), BOUNDS
    ),
    "two clips": Case(
        (conv("x", "c"), clip("c", "d", "zero", "six"), clip("d", "e", "low", "high"), mean("e")), BOUNDS
    ),
    "scores with two extents of 1": Case(
        (node("GlobalAveragePool", ["x"], ["p"]), conv("p", "y")), output=(1, 6, 1, 1), labels=tuple("abcdef")
    ),
    "one score list without a batch": Case(
        (conv("x", "c"), node("ReduceMean", ["c", "all"], ["y"], keepdims=0)),
        {"all": np.array([0, 2, 3], np.int64)},
        output=(6,),
    ),
    "an addend with more dimensions than the product": Case(
        (node("MatMul", ["x", "square"], ["m"]), node("Add", ["m", "tall"], ["s"]), mean_of("s", "last")),
        {
            "square": RNG.standard_normal((8, 4)).astype(np.float32),
            "tall": RNG.standard_normal((1, 4, 1)).astype(np.float32),
            "last": np.array([2], np.int64),
        },
        frame=(1, 8),
        output=(1, 4),
    ),
    "an addend with more dimensions than the map": Case(
        (conv("x", "c"), node("Add", ["c", "deep"], ["s"]), mean_of("s", "far")),
        {
            "deep": RNG.standard_normal((2, 1, 6, 1, 1)).astype(np.float32),
            "far": np.array([0, 3, 4], np.int64),
        },
    ),
    "a residual that broadcasts": Case(
        (conv("x", "c"), node("ReduceMean", ["c", "axes"], ["m"]), node("Add", ["m", "c"], ["s"]), mean("s"))
    ),
    "a bound with more dimensions than the product": Case(
        (node("MatMul", ["x", "square"], ["m"]), node("Max", ["m", "low"], ["s"]), mean_of("s", "front")),
        {
            "square": RNG.standard_normal((8, 4)).astype(np.float32),
            "low": np.full((1, 1, 1, 1), 0.2, np.float32),
            "front": np.array([0, 1], np.int64),
        },
        frame=(1, 8),
        output=(1, 4),
    ),
    "float16": cast(TensorProto.FLOAT16, np.float16),
    "float64": cast(TensorProto.DOUBLE, np.float64),
    "name of a value of ours": named("v2_conv2d"),
    "name of the scratch": named("scratch"),
    "name of a state of ours": named("cache0"),
    "name with spaces": named("my frame", "the conv, of all"),
    "name with a line break": named("x", "first\nop k0 layer"),
}
def planned_of(path: Path, case: Case) -> plan_lab.Planned:
    case.save(path)
    network = networks.onnx_file(path, [("a", "b")], case.labels)
    return plan_lab.plan_graph(onnx_lab.step_of(path), network.load())


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> plan_lab.Laboratory:
    """All files in one library."""
    folder = tmp_path_factory.mktemp("onnx")
    plans = {
        name: partial(planned_of, folder / f"n{index}.onnx", case) for index, (name, case) in enumerate(CASES.items())
    }
    return plan_lab.laboratory(plans, folder)


@pytest.mark.parametrize("name", CASES)
def test_right_or_refused(name: str, laboratory: plan_lab.Laboratory) -> None:
    case = CASES[name]
    planned = laboratory.right_or_refused(name, case.tolerance, case.may_refuse)
    if planned is None:
        return
    plan = planned.planned.plan
    assert Plan.parse(plan.text()) == plan
    assert planned.graph.signature.inputs[0].name == case.name


def branch(name: str, operator: str) -> Any:
    value = helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 6])
    return helper.make_graph([node(operator, ["m"], [name])], name, [], [value])


REFUSED = {
    "two frames": Case((conv("x", "c"), mean("c")), frame=(2, 3, 4, 5), output=(2, 6)),
    "five dimensions": Case(
        (node("ReduceMean", ["x", "axes"], ["y"], keepdims=0),),
        {"axes": np.array([2, 3, 4], np.int64)},
        frame=(1, 6, 8, 4, 5),
    ),
    "unused frame": Case((node("Abs", ["a"], ["y"]),), output=(1, 2)),
    "a map of scores": Case((conv("x", "y"),), output=(1, 6, 4, 5)),
    "control flow": Case(
        (
            conv("x", "c"),
            node("ReduceMean", ["c", "axes"], ["m"], keepdims=0),
            node("ReduceSum", ["m"], ["sum"], keepdims=0),
            node("Greater", ["sum", "zero"], ["is"]),
            node("If", ["is"], ["y"], then_branch=branch("t", "Relu"), else_branch=branch("e", "Neg")),
        ),
        BOUNDS,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_step_is_refused(name: str, tmp_path: Path) -> None:
    path = REFUSED[name].save(tmp_path / "net.onnx")
    with pytest.raises(ImportFailed):
        plan_lab.plan_graph(onnx_lab.step_of(path), networks.onnx_file(path, [("a", "b")]).load())


@pytest.mark.parametrize("model", ["../../tmp/evil", "/tmp/evil", "", ".hidden", "two words", "a\nb"])
def test_a_model_name_that_is_no_folder_name_is_refused(model: str, tmp_path: Path) -> None:
    meta = OnnxMeta(
        model, {}, tuple("abcdef"), Preprocess.imagenet(32), (("a", "b"),), WeightsInfo("seeded", "n", "")
    )
    path = named("x").save(tmp_path / "net.onnx", meta.to_props())
    with pytest.raises(ImportFailed):
        networks.onnx_file(path)
