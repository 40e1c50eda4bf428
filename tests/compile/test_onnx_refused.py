"""Forms of ONNX that are refused, by the name of the node and with a cure, and files made to exhaust memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_lab
import plan_lab
import pytest
from onnx import helper
from onnx_cases import STATE, Case, floats, integers, node, one

from tsm_edge.compile import pipeline
from tsm_edge.compile.frontend import networks
from tsm_edge.errors import CompileError, ImportFailed

REFUSED = {
    "BatchNormalization that trains": (
        one("BatchNormalization", *"sbmv", training_mode=1, constants=floats(**dict.fromkeys("sbmv", np.ones(4)))),
        "'it'.*trains", "model.eval",
    ),
    "scattered writes": (
        one("ScatterElements", "i", "u", constants={"i": np.zeros((1, 1, 1, 1), np.int64), **floats(u=[[[[1]]]])}),
        "'it'.*ScatterElements", "Where",
    ),
    "16-bit quantisation": (
        one("QuantizeLinear", "s", "p", opset=21, constants={**floats(s=1), "p": np.array(0, np.uint16)}),
        "QuantizeLinear", "8 bits",
    ),
    "TopK": (
        Case((node("TopK", ["x", "k"], ["z", "i"], "it"),), integers(k=[2])), "'it'.*TopK", "outside",
    ),
    "a loop over time": (one("LSTM", constants={}, opset=14), "not a valid|LSTM", ""),
    "no kernel for its size": (one("NonZero"), "'it'.*depends on the frame", "outside"),
    "a dilated pool with auto_pad": (
        one("MaxPool", kernel_shape=[2, 2], dilations=[2, 2], auto_pad="SAME_UPPER"), "'it'.*disagree", "pads",
    ),
    "RoiAlign of maxima": (
        one("RoiAlign", "r", "b", mode="max", constants={**floats(r=[[0, 0, 2, 2]]), **integers(b=[0])}),
        "RoiAlign", "avg",
    ),
    "another symbolic extent": (one("Relu", frame=("n", 4, "rows", 7)), "no static shape", "one frame size"),
    "a domain of somebody else": (
        Case((node("Relu", ["x"], ["z"], "it", domain="com.nobody"),)), "not a valid|Relu", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_node_and_cure(name: str, tmp_path: Path) -> None:
    case, what, cure = REFUSED[name]
    with pytest.raises(ImportFailed, match=what) as caught:
        networks.onnx_file(case.save(tmp_path / "net.onnx"), STATE).load()
    assert caught.value.hint and cure in caught.value.hint


def test_the_name_of_an_open_extent_is_shown(tmp_path: Path) -> None:
    path = one("Relu", frame=("n", 4, "rows", 7)).save(tmp_path / "net.onnx")
    with pytest.raises(ImportFailed) as caught:
        networks.onnx_file(path, STATE)
    assert caught.value.found == "[1, 4, rows, 7]"


BOMBS = {
    "ConstantOfShape": (
        (node("ConstantOfShape", ["big"], ["c"]), node("ReduceSum", ["c"], ["s"]), node("Add", ["x", "s"], ["z"])),
        integers(big=[2_500_000_000]),
    ),
    "Expand": (
        (node("Expand", ["x", "big"], ["e"]), node("ReduceMax", ["e"], ["z"])), integers(big=[4_000_000, 4, 5, 7]),
    ),
    "a Concat of itself": (
        (*(node("Concat", [f"c{i}" if i else "x"] * 2, [f"c{i + 1}"], axis=1) for i in range(30)),
         node("ReduceMax", ["c30"], ["z"])), {},
    ),
    "Range": ((node("Range", ["l", "h", "s"], ["r"]), node("ReduceMax", ["r"], ["m"]), node("Add", ["x", "m"], ["z"])),
              floats(l=0, h=1e12, s=1)),
    "many constants": (
        (*(node("ConstantOfShape", ["large"], [f"c{i}"]) for i in range(6)),
         *(node("ReduceMax", [f"c{i}"], [f"m{i}"], keepdims=0) for i in range(6)),
         node("Sum", ["x", *(f"m{i}" for i in range(6))], ["z"])),
        integers(large=[25 << 20]),
    ),
    "Resize": ((node("Resize", ["x", "", "s"], ["r"]), node("ReduceMax", ["r"], ["z"])), floats(s=[1, 1, 4000, 4000])),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_value_that_is_too_large_is_refused_before_it_is_made(name: str, tmp_path: Path) -> None:
    """Each file is below 2 KB; the last but one allots 600 MB in pieces that are allowed one by one."""
    path = Case(*BOMBS[name]).save(tmp_path / "net.onnx")
    assert path.stat().st_size < 4096
    with pytest.raises(ImportFailed, match="too large"):
        networks.onnx_file(path, STATE)


def test_functions_that_call_each_other_are_counted_before_they_are_inlined(tmp_path: Path) -> None:
    """Thirty functions, each of which calls the one before twice: a thousand million nodes in 3 KB."""
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    functions = []
    for index in range(30):
        inner, domain = ("Neg", "") if index == 0 else (f"f{index - 1}", "own")
        body = [node(inner, ["i"], ["m"], domain=domain), node(inner, ["m"], ["o"], domain=domain)]
        functions.append(helper.make_function("own", f"f{index}", ["i"], ["o"], body, opsets))
    path = Case((node("f29", ["x"], ["z"], "it", domain="own"),)).save(
        tmp_path / "net.onnx", functions, opsets
    )
    with pytest.raises(ImportFailed, match="too many nodes"):
        networks.onnx_file(path, STATE)


def test_what_a_code_generator_raises_names_the_layers_without_a_schedule(tmp_path: Path) -> None:
    path = one("Sigmoid").save(tmp_path / "net.onnx")
    planned = plan_lab.plan_graph(onnx_lab.step_of(path), networks.onnx_file(path, STATE).load()).planned

    class Backend:
        @staticmethod
        def build(*arguments: Any) -> Any:
            raise AssertionError("Check failed: a variable is missing")

    with pytest.raises(CompileError, match="a variable is missing") as caught:
        pipeline.generated(planned, Backend, plan_lab.DEVICE, "fp32")  # type: ignore[arg-type]
    assert "relax.sigmoid" in str(caught.value.hint)
