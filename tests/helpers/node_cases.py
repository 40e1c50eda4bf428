"""The node test cases that the ONNX package generates, as networks that tsm-edge takes.

A case is an operator with inputs and outputs; a step has a frame, states and a list of scores. The first float32 input
becomes the frame. The other inputs become constants, as they are in exported networks, or, in a second form of the case
("moving"), states that stay as they are. Inputs that no step takes (five dimensions, several images) and all outputs
pass through a Reshape; outputs of another dtype are cast.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from foreign_lab import Step
from onnx import TensorProto, helper, numpy_helper

MOVING = "/moving"  # ends the name of a case whose float32 inputs are all fed


def steps() -> list[Step]:
    """All float32 cases of the operators of ONNX's own domain, sorted by name."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # overflows that the cases are about
        cases = {case.name: case for case in collect_testcases(None)}
    found = []
    for name, case in sorted(cases.items()):
        if case.model is None or any(part.domain for part in case.model.opset_import):
            continue
        origin = cases.get(name.partition("_expanded")[0])
        nodes = (origin or case).model.graph.node
        operator = nodes[0].op_type if len(nodes) == 1 else "several"
        found += forms(name, operator + (" as a function" if "_expanded" in name else ""), case)
    return found


def forms(name: str, operator: str, case: Any) -> Iterator[Step]:
    """The case with constants, and with every float32 input fed where there are several."""
    graph = case.model.graph
    inputs, outputs = case.data_sets[0]
    tensors = all(
        isinstance(array, np.ndarray) and array.dtype.kind in "fiub" for array in (*inputs, *outputs)
    )
    if not tensors or len(inputs) != len(graph.input) or sum(array.size for array in outputs) == 0:
        return
    floats = [v.name for v, a in zip(graph.input, inputs) if a.dtype == np.float32 and a.size]
    if floats:
        yield step(name, operator, case, floats[:1])
    if len(floats) > 1:
        yield step(name + MOVING, operator, case, floats)


def step(name: str, operator: str, case: Any, fed: list[str]) -> Step:
    """The case as a step whose inputs are `fed`, the first of them the frame."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph = model.graph
    inputs, outputs = case.data_sets[0]
    before, after, feed, states = [], [], {}, []
    values = {value.name: np.asarray(array) for value, array in zip(graph.input, inputs)}
    ends = list(zip(graph.output, outputs))
    shapes: dict[str, tuple[int, ...]] = {}
    del graph.input[:]
    for source, array in values.items():
        if source not in fed:
            graph.initializer.append(numpy_helper.from_array(array, source))
            continue
        entry = source if takes(array.shape) else f"{source}.flat"
        feed[entry] = array if takes(array.shape) else array.reshape(1, -1)
        if entry != source:
            before += reshape(graph, entry, source, array.shape)
        graph.input.append(helper.make_tensor_value_info(entry, TensorProto.FLOAT, feed[entry].shape))
        if source != fed[0]:
            after.append(helper.make_node("Identity", [entry], [f"{source}.next"]))
            states.append((entry, f"{source}.next"))
            shapes[f"{source}.next"] = feed[entry].shape
    del graph.output[:]
    lists = []
    for value, array in ends:
        if value.name in values:  # an output that is an input
            after.append(helper.make_node("Identity", [value.name], [f"{value.name}.same"]))
        named = f"{value.name}.same" if value.name in values else value.name
        if array.dtype != np.float32:
            after.append(helper.make_node("Cast", [named], [f"{named}.float"], to=TensorProto.FLOAT))
            named += ".float"
        after += reshape(graph, named, f"{named}.list", (1, array.size))
        lists.append(f"{named}.list")
    after.append(helper.make_node("Concat" if len(lists) > 1 else "Identity", lists, ["scores"]))
    if len(lists) > 1:
        after[-1].attribute.append(helper.make_attribute("axis", 1))
    shapes = {"scores": (1, sum(array.size for _, array in ends)), **shapes}
    graph.output.extend(helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items())
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)
    wanted = np.concatenate([np.asarray(array).ravel().astype(np.float32) for array in outputs])
    turned = {
        key: np.ascontiguousarray(array.ravel()[::-1].reshape(array.shape)) for key, array in feed.items()
    }
    return Step(name, operator, model, tuple(states), (feed, turned), wanted)


def takes(shape: tuple[int, ...]) -> bool:
    """Whether a step takes an input of this shape."""
    return 0 < len(shape) <= 4 and (len(shape) < 4 or shape[0] == 1)


def reshape(graph: Any, source: str, result: str, shape: tuple[int, ...]) -> list[Any]:
    """A Reshape node; its shape becomes a constant of the graph."""
    graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), f"{result}.shape"))
    # Reshape had its shape as an attribute before opset 5; no case is that old
    return [helper.make_node("Reshape", [source, f"{result}.shape"], [result])]
