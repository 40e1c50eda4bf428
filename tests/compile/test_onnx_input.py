"""Foreign ONNX files: what compiles, and what bad ones are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import TensorProto, helper, numpy_helper

import tsm_edge
from tsm_edge import target
from tsm_edge.compile import pipeline
from tsm_edge.compile.frontend import networks
from tsm_edge.errors import EdgeError, ImportFailed, UsageError
from tsm_edge.signature import StatePair, TensorSpec


def write(path: Path, operator: str = "Relu", state_out: tuple[int, ...] = (1, 2, 4, 4)) -> Path:
    """A file with one convolution, a shift of two channels, `operator`, a pool and a head of three classes."""
    rng = np.random.default_rng(0)
    conv = numpy_helper.from_array(rng.standard_normal((8, 8, 1, 1)).astype(np.float32), "w")
    head = numpy_helper.from_array(rng.standard_normal((8, 3)).astype(np.float32), "head")
    bounds = {"zero": [0], "two": [2], "end": [2**63 - 1], "one": [1], "pool_axes": [2, 3]}
    constants = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in bounds.items()]
    nodes = [
        helper.make_node("Slice", ["x", "zero", "two", "one"], ["keep"], "keep"),
        helper.make_node("Slice", ["x", "two", "end", "one"], ["rest"], "rest"),
        helper.make_node("Concat", ["past", "rest"], ["shifted"], "join", axis=1),
        helper.make_node("Conv", ["shifted", "w"], ["y"], "conv"),
        helper.make_node(operator, ["y"], ["z"], "bend"),
        helper.make_node("ReduceMean", ["z", "pool_axes"], ["flat"], "pool", keepdims=0),
        helper.make_node("MatMul", ["flat", "head"], ["scores"], "classify"),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "net",
        [info("x", TensorProto.FLOAT, [1, 8, 4, 4]), info("past", TensorProto.FLOAT, [1, 2, 4, 4])],
        [info("scores", TensorProto.FLOAT, [1, 3]), info("keep", TensorProto.FLOAT, list(state_out))],
        [conv, head, *constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, str(path))
    return path


def test_a_foreign_file_compiles_and_agrees(tmp_path: Path) -> None:
    path = write(tmp_path / "net.onnx")
    network = networks.onnx_file(path, [("past", "keep")], ["a", "b", "c"])
    compiled = pipeline.compile(network, target.load("local"), tmp_path / "bundle")
    used = sorted(op.schedule.partition(":")[0] for op in compiled.planned.plan.ops)
    assert used == ["copy_cpu", "global_pool_cpu", "pointwise_cpu", "pointwise_cpu"]
    assert [op.layer for op in compiled.planned.plan.ops if op.macs] == ["conv", "classify"]
    model = tsm_edge.open(compiled.folder, threads=2)
    assert model.labels == ("a", "b", "c")
    stream = model.stream()
    evaluator = onnx.reference.ReferenceEvaluator(onnx.load(str(path)))
    past, rng = np.zeros((1, 2, 4, 4), np.float32), np.random.default_rng(1)
    for _ in range(4):
        x = rng.standard_normal((1, 8, 4, 4)).astype(np.float32)
        scores, past = evaluator.run(None, {"x": x, "past": past})
        np.testing.assert_allclose(stream.step_tensor(x), scores[0], rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(stream.states()["past"], past)


def load(path: Path, *states: tuple[str, str], labels: tuple[str, ...] | None = None) -> None:
    networks.onnx_file(path, states, labels).load()


def test_an_operator_without_a_kernel_is_named_with_its_node(tmp_path: Path) -> None:
    path = write(tmp_path / "net.onnx")
    model = onnx.load(str(path))
    model.graph.node[4].op_type = "Bend"
    model.graph.node[4].domain = "ai.own"
    model.opset_import.append(helper.make_opsetid("ai.own", 1))
    onnx.save(model, str(path))
    with pytest.raises(ImportFailed, match="Operator 'Bend' of node 'bend'"):
        load(path, ("past", "keep"))


@pytest.mark.parametrize(
    ("states", "kind", "message"),
    [
        ((("past", "scores"),), ImportFailed, "does not match in shape"),
        ((("gone", "keep"),), ImportFailed, "names no input 'gone'"),
        ((("past", "gone"),), ImportFailed, "names no output 'gone'"),
        ((), ImportFailed, "One input must be left"),
    ],
)
def test_bad_state_pairs(
    states: tuple[tuple[str, str], ...], kind: type[EdgeError], message: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=message):
        load(write(tmp_path / "net.onnx"), *states)


def test_wrong_number_of_labels(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="number of labels"):
        load(write(tmp_path / "net.onnx"), ("past", "keep"), labels=("one",))


@pytest.mark.parametrize("label", ["\x1b]0;owned\x07", "a\x85b", "\u202egpj", " "])
def test_a_label_that_a_terminal_would_obey(tmp_path: Path, label: str) -> None:
    with pytest.raises(UsageError, match="Label 2 cannot be shown"):
        load(write(tmp_path / "net.onnx"), ("past", "keep"), labels=("a", label, "c"))


@pytest.mark.parametrize("content", [b"", b"no protobuf at all", b"\x08\x08\x12\x04abcd"])
def test_a_file_that_is_no_onnx(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(ImportFailed, match="not a valid ONNX file"):
        load(path)
    with pytest.raises(ImportFailed, match="does not exist"):
        load(tmp_path / "none.onnx")


def test_dynamic_extents_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "net.onnx")
    model = onnx.load(str(path))
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "rows"
    onnx.save(model, str(path))
    with pytest.raises(ImportFailed, match=r"no static shape(.|\n)*1, 8, rows, 4"):
        load(path, ("past", "keep"))


@pytest.mark.parametrize(("index", "declared"), [(0, (1, 4)), (1, (1, 3, 4, 4))], ids=["scores", "state"])
def test_a_result_of_another_shape_than_declared_is_refused(
    index: int, declared: tuple[int, ...], tmp_path: Path
) -> None:
    """As when an operator's attribute is misread: what is declared, and so allotted, is not what is computed."""
    path = write(tmp_path / "net.onnx")
    file = networks.read_onnx(path)
    found = networks.onnx_signature(file.model, [("past", "keep")])
    if index:
        changed = replace(found, states=(StatePair(TensorSpec("past", declared), "keep"),))
    else:
        changed = replace(found, outputs=(TensorSpec("scores", declared),))
    with pytest.raises(ImportFailed, match="otherwise than it declares") as caught:
        networks.load_onnx(file, changed)
    assert str(list(declared)) in str(caught.value)
