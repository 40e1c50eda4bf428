"""Forms of ONNX operators that TVM's frontend misreads or does not read: equal to ONNX Runtime."""

from __future__ import annotations

from functools import partial
from math import inf
from pathlib import Path

import numpy as np
import onnx
import plan_lab
import pytest
from onnx import TensorProto, helper
from onnx_cases import RNG, STATE, Case, floats, integers, node, one, resize

from tsm_edge.compile import passes
from tsm_edge.compile.frontend import networks
from tsm_edge.compile.verification import reference


def blocks(x: np.ndarray) -> np.ndarray:
    """SpaceToDepth of 2 with the channels outside."""
    _, c, h, w = x.shape
    return x.reshape(1, c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 5, 2, 4)


HALVES = {mode: resize(1, 1, 0.5, 0.3, mode=mode) for mode in ("nearest", "linear", "cubic")}
SYMMETRIC = {"coordinate_transformation_mode": "half_pixel_symmetric"}
CROP = {"coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 7.0, "mode": "linear"}
DEEP = floats(w=RNG.standard_normal((4, 3, 3, 3)))
HARD = (node("Mul", ["x", "three"], ["m"]), node("Round", ["m"], ["n"]), node("Div", ["n", "by"], ["q"]))
STEPS = floats(three=3, by=np.arange(4).reshape(1, 4, 1, 1))
CASES = {
    **{f"Resize {mode} by scales that leave a rest": case for mode, case in HALVES.items()},
    "Resize 45 by .5": resize(1, 1, 0.5, 0.5, frame=(1, 1, 45, 20), mode="linear"),
    "Resize asymmetric": resize(
        1, 1, 1.7, 0.7, mode="linear", coordinate_transformation_mode="asymmetric"
    ),
    "Resize nearest, ceil": resize(1, 1, 1.7, 0.7, nearest_mode="ceil"),
    "Resize align_corners to one pixel": resize(
        sizes=[1, 2, 1, 1], mode="linear", coordinate_transformation_mode="align_corners"
    ),
    "Resize pytorch_half_pixel to one row": resize(
        sizes=[1, 2, 1, 8], mode="linear", coordinate_transformation_mode="pytorch_half_pixel"
    ),
    "Resize half_pixel_symmetric": resize(1, 1, 0.6, 1.3, mode="linear", **SYMMETRIC),
    "Resize linear antialias": resize(1, 1, 0.4, 0.6, mode="linear", antialias=1),
    "Resize cubic antialias": resize(1, 1, 0.4, 0.6, mode="cubic", antialias=1),
    "Resize cubic exclude_outside": resize(
        1, 1, 1.5, 0.7, mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5
    ),
    "Resize of two axes": Case(
        (node("Resize", ["x", "", "scales"], ["z"], axes=[2, 3], mode="linear"),), floats(scales=[0.5, 2.5])
    ),
    "Resize keeps the ratio": Case(
        (node("Resize", ["x", "", "", "s"], ["z"], axes=[2, 3], keep_aspect_ratio_policy="not_larger"),),
        integers(s=[8, 9]),
    ),
    "Resize of channels": resize(1, 0.5, 1, 2, frame=(1, 4, 3, 3), right=lambda x: np.repeat(x[:, [0, 2]], 2, 3)),
    "Resize with a crop": Case(
        (node("Resize", ["x", "roi", "", "s"], ["z"], **CROP),),
        {**floats(roi=[0, 0, 0.2, -0.3, 1, 1, 0.9, 1.2]), **integers(s=[1, 4, 4, 6])},
    ),
    "Resize of a whole scale": resize(1, 1, 2, 2, mode="linear"),
    "Resize nearest of a whole scale": resize(
        1, 1, 2, 2, nearest_mode="floor", coordinate_transformation_mode="asymmetric"
    ),
    "Upsample of opset 9": one("Upsample", "s", constants=floats(s=[1, 1, 2.5, 2]), opset=9),
    "MaxPool SAME_LOWER": one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER"),
    "MaxPool SAME_LOWER, an even kernel": one("MaxPool", kernel_shape=[2, 2], auto_pad="SAME_LOWER"),
    "AveragePool SAME_LOWER": one(
        "AveragePool", kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_LOWER"
    ),
    "AveragePool SAME_UPPER with pads counted": one(
        "AveragePool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER", count_include_pad=1
    ),
    "Conv SAME_LOWER": one(
        "Conv", "w", constants=floats(w=RNG.standard_normal((3, 4, 2, 2))), strides=[2, 1], auto_pad="SAME_LOWER"
    ),
    "ConvTranspose output_shape": one("ConvTranspose", "w", constants=DEEP, strides=[2, 2], output_shape=[10, 14]),
    "ConvTranspose output_shape, one more": one(
        "ConvTranspose", "w", constants=DEEP, strides=[3, 2], output_shape=[16, 13], frame=(1, 4, 5, 7)
    ),
    "ConvTranspose SAME_UPPER": one("ConvTranspose", "w", constants=DEEP, strides=[2, 2], auto_pad="SAME_UPPER"),
    "ConvTranspose SAME_LOWER": one("ConvTranspose", "w", constants=DEEP, strides=[2, 2], auto_pad="SAME_LOWER"),
    "LayerNormalization, its deviation": Case(
        (
            node("LayerNormalization", ["x", "s"], ["n", "mean", "deviation"], axis=2),
            node("Mul", ["n", "deviation"], ["p"]),
            node("Add", ["p", "mean"], ["z"]),
        ),
        floats(s=RNG.standard_normal((5, 7))),
    ),
    "SpaceToDepth CRD": one(
        "SpaceToDepth", blocksize=2, mode="CRD", frame=(1, 3, 4, 6), right=blocks, opset=28
    ),
    "DepthToSpace CRD": one("DepthToSpace", blocksize=2, mode="CRD"),
    "IsInf of one sign": Case(
        (*HARD, node("IsInf", ["q"], ["i"], detect_negative=0), node("Cast", ["i"], ["z"], to=1)), STEPS
    ),
    "Pow with an integer exponent": one("Pow", "e", constants=integers(e=[2])),
    "Cast chain": Case(
        (
            node("Cast", ["x"], ["i"], to=TensorProto.INT64),
            node("Cast", ["i"], ["d"], to=TensorProto.DOUBLE),
            node("Cast", ["d"], ["j"], to=TensorProto.INT32),
            node("Cast", ["j"], ["z"], to=TensorProto.FLOAT),
        )
    ),
    "Celu": one("Celu", alpha=0.7),
    "Swish": one("Swish", alpha=1.5, opset=24, right=lambda x: x / (1 + np.exp(-1.5 * x))),
    "LpNormalization 1": one("LpNormalization", p=1, axis=1),
    "LpNormalization 2": one("LpNormalization", p=2, axis=-1),
    "CumSum, reversed and exclusive": one("CumSum", "n", constants=integers(n=2), reverse=1, exclusive=1),
    "GroupNormalization": one(
        "GroupNormalization", "s", "t", num_groups=2, opset=21, constants=floats(s=[1, 2, 3, 4], t=[4, 3, 2, 1])
    ),
    "shapes that the network computes": Case(
        (
            node("Shape", ["x"], ["shape"]),
            node("Gather", ["shape", "first"], ["n"]),
            node("Gather", ["shape", "second"], ["c"]),
            node("Unsqueeze", ["n", "zero"], ["n1"]),
            node("Unsqueeze", ["c", "zero"], ["c1"]),
            node("Concat", ["n1", "c1", "rest"], ["to"], axis=0),
            node("Reshape", ["x", "to"], ["flat"]),
            node("ConstantOfShape", ["to0"], ["ones"], value=onnx.numpy_helper.from_array(np.ones(1, np.float32))),
            node("Cast", ["c"], ["cf"], to=TensorProto.FLOAT),
            node("Sqrt", ["cf"], ["root"]),
            node("Div", ["flat", "root"], ["scaled"]),
            node("Mul", ["scaled", "ones"], ["z"]),
        ),
        integers(first=0, second=1, zero=[0], rest=[-1], to0=[1, 4, 35]),
    ),
    "a symbolic batch": one("Sigmoid", frame=("batch", 4, 5, 7)),
    "OneHot of ArgMax": Case(
        (node("ArgMax", ["x"], ["i"], axis=1), node("OneHot", ["i", "depth", "pair"], ["z"], axis=1)),
        {**integers(depth=4), **floats(pair=[-1, 2])},
    ),
    "an If of a constant": Case(
        (
            node("Shape", ["x"], ["shape"]),
            node("Size", ["shape"], ["rank"]),
            node("Equal", ["rank", "four"], ["is"]),
            node(
                "If", ["is"], ["z"],
                then_branch=helper.make_graph(
                    [node("Tanh", ["x"], ["t"])], "t", [], [helper.make_empty_tensor_value_info("t")]
                ),
                else_branch=helper.make_graph(
                    [node("Neg", ["x"], ["e"])], "e", [], [helper.make_empty_tensor_value_info("e")]
                ),
            ),
        ),
        integers(four=4),
    ),
}  # fmt: skip
def planned_of(path: Path, case: Case) -> plan_lab.Planned:
    case.save(path)
    return plan_lab.plan_graph(case.step(path), networks.onnx_file(path, STATE).load())


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> plan_lab.Laboratory:
    """All files in one library."""
    folder = tmp_path_factory.mktemp("forms")
    plans = {
        name: partial(planned_of, folder / f"n{index}.onnx", case) for index, (name, case) in enumerate(CASES.items())
    }
    return plan_lab.laboratory(plans, folder)


@pytest.mark.parametrize("name", CASES)
def test_equal_to_onnx_runtime(name: str, laboratory: plan_lab.Laboratory) -> None:
    laboratory.right_or_refused(name, CASES[name].tolerance)


def bound(value: float, *shape: int) -> dict[str, np.ndarray]:
    return floats(**{f"b{value:g}": np.full(shape, value)})


CONV = node("Conv", ["x", "w"], ["y"], "conv")
CLAMPS = {
    "Clip": ((node("Clip", ["y", "b0", "b6"], ["z"]),), {**bound(0), **bound(6)}, 18),
    "Clip with attributes": ((node("Clip", ["y"], ["z"], min=0.0, max=6.0),), {}, 9),
    "Clip with bounds of one extent": ((node("Clip", ["y", "b0", "b6"], ["z"]),), {**bound(0, 1), **bound(6, 1)}, 18),
    "Max, then Min": (
        (node("Max", ["y", "b0"], ["q"]), node("Min", ["q", "b6"], ["z"])), {**bound(0), **bound(6)}, 18,
    ),
    "Min, then Max, constants first": (
        (node("Min", ["b6", "y"], ["q"]), node("Max", ["b0", "q"], ["z"])), {**bound(0, 1), **bound(6, 1)}, 18,
    ),
    "bounds of four extents": (
        (node("Max", ["b0", "y"], ["q"]), node("Min", ["q", "b6"], ["z"])),
        {**bound(0, 1, 1, 1, 1), **bound(6, 1, 1, 1, 1)}, 13,
    ),
    "a bound as large as the activation": (
        (node("Max", ["y", "b0"], ["q"]), node("Min", ["q", "b6"], ["z"])),
        {**bound(0, 1, 4, 5, 7), **bound(6, 4, 1, 1)}, 18,
    ),
    "Relu, then Min": ((node("Relu", ["y"], ["q"]), node("Min", ["q", "b6"], ["z"])), bound(6), 18),
    "Min, then Relu": ((node("Min", ["y", "b6"], ["q"]), node("Relu", ["q"], ["z"])), bound(6), 18),
    "Max of three": (
        (node("Max", ["b-1", "y", "b0"], ["q"]), node("Min", ["q", "b6"], ["z"])),
        {**bound(-1), **bound(0), **bound(6)}, 18,
    ),
    "bounds that nodes compute": (
        (
            node("Constant", [], ["b0"], value_float=0.0),
            node("Cast", ["six"], ["b6"], to=TensorProto.FLOAT),
            node("Clip", ["y", "b0", "b6"], ["z"]),
        ),
        integers(six=6), 18,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CLAMPS)
def test_a_clamp_is_one_epilogue_however_it_is_written(name: str, tmp_path: Path) -> None:
    nodes, constants, opset = CLAMPS[name]
    weights = floats(w=RNG.standard_normal((4, 4, 1, 1)))
    case = Case((CONV, *nodes), {**weights, **constants}, opset=opset)
    graph = networks.onnx_file(case.save(tmp_path / "net.onnx"), STATE).load()
    passes.run(graph)
    (conv,) = (part for part in graph.nodes if part.kind == "conv")
    assert (conv.op.low, conv.op.high) == (0.0, 6.0)
    assert {part.operator for part in graph.nodes if part.kind == "opaque"} <= {
        "relax.reshape",
        "relax.negative",
    }
    read = {value for part in graph.nodes for value in part.inputs}
    sizes = [array.size for key, array in graph.constants.items() if key in read]
    assert max(sizes) == 16  # the weights: no bound is spread to an activation of 140


def test_an_infinite_bound_is_none(tmp_path: Path) -> None:
    constants = floats(w=RNG.standard_normal((4, 4, 1, 1)), low=-inf, high=2)
    case = Case((CONV, node("Clip", ["y", "low", "high"], ["z"])), constants)
    graph = networks.onnx_file(case.save(tmp_path / "net.onnx"), STATE).load()
    passes.run(graph)
    assert [(part.op.low, part.op.high) for part in graph.nodes if part.kind == "conv"] == [(None, 2.0)]


def test_functions_of_the_file_are_put_in_place(tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    body = [node("Sigmoid", ["i"], ["m"]), node("Mul", ["i", "m"], ["o"])]
    swish = helper.make_function("own", "Swish", ["i"], ["o"], body, opsets)
    path = Case((node("Swish", ["x"], ["z"], domain="own"),)).save(tmp_path / "net.onnx", [swish], opsets)
    graph = networks.onnx_file(path, STATE).load()
    assert {"relax.sigmoid", "relax.multiply"} <= {part.operator for part in graph.nodes}


def test_an_onnx_file_is_judged_by_onnx_runtime(tmp_path: Path) -> None:
    """ONNX's own evaluator has 4 x 6 maxima where the operator's definition has 5 x 7."""
    path = CASES["MaxPool SAME_LOWER, an even kernel"].save(tmp_path / "net.onnx")
    judge, run = reference._onnx_runner(path, rounds=False)
    feeds = {"x": np.ones((1, 4, 5, 7), np.float32), "before": np.ones((1, 2), np.float32)}
    scores, after = run(["scores", "after"], feeds)
    assert judge == "ONNX Runtime"
    assert scores.shape == (1, 140)
    np.testing.assert_array_equal(after, -1)
