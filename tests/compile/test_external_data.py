"""Weights beside an ONNX file: hashed with it, and never read from elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import onnx_lab
import pytest
from onnx import helper, numpy_helper

from tsm_edge import bundle, target
from tsm_edge.compile import pipeline
from tsm_edge.compile.frontend import networks
from tsm_edge.errors import ImportFailed, UsageError
from tsm_edge.onnx import external_data
from tsm_edge.weights import checkpoints, origin


def write(folder: Path, value: float, location: str = "net.data") -> Path:
    """net.onnx with a convolution whose weights, all `value`, lie in another file; its own bytes never differ."""
    folder.mkdir(exist_ok=True)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["maps"], "conv"),
        helper.make_node("Add", ["maps", "past"], ["now"]),
        helper.make_node("GlobalAveragePool", ["now"], ["scores"]),
    ]
    maps = (1, 5, 4, 4)
    path = onnx_lab.save(
        folder / "net.onnx",
        nodes,
        {"x": (1, 3, 4, 4), "past": maps},
        {"scores": (1, 5, 1, 1), "now": maps},
        {"w": np.full((5, 3, 1, 1), value, np.float32)},
    )
    model = onnx.load(str(path))
    onnx.save(model, str(path), save_as_external_data=True, location="net.data", size_threshold=0)
    if location != "net.data":
        relocate(path, location)
    return path


def relocate(path: Path, location: str) -> None:
    model = onnx.load(str(path), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = location if entry.key == "location" else entry.value
    path.write_bytes(model.SerializeToString())


STATES = [("past", "now")]


def test_the_hash_covers_the_weights(tmp_path: Path) -> None:
    one, other, moved = write(tmp_path / "a", 1), write(tmp_path / "b", 2), write(tmp_path / "c", 1)
    assert one.read_bytes() == other.read_bytes()
    assert external_data.digest(one) == external_data.digest(moved) != external_data.digest(other)
    assert external_data.digest(one) != checkpoints.sha256(one)
    assert networks.onnx_file(one, STATES).info.weights.sha256 == external_data.digest(one)


def test_a_file_that_holds_its_weights_has_the_hash_of_its_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, 1)
    onnx.save(onnx.load(str(path)), str(tmp_path / "whole.onnx"))
    assert external_data.digest(tmp_path / "whole.onnx") == checkpoints.sha256(tmp_path / "whole.onnx")


def test_a_bundle_knows_its_weights(tmp_path: Path) -> None:
    path, other = write(tmp_path / "a", 1), write(tmp_path / "b", 2)
    folder = pipeline.compile(
        networks.onnx_file(path, STATES), target.load("local"), tmp_path / "bundle"
    ).folder
    manifest = bundle.read(folder)
    origin.check_file(manifest, path, "verify")
    with pytest.raises(UsageError, match=r"net.data beside it, is not what"):
        origin.check_file(manifest, other, "verify")


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "", "deep/../../secret", "link"])
def test_weights_outside_the_folder_are_refused(location: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(60))
    path = write(tmp_path / "a", 1, location)
    os.symlink(tmp_path / "secret", tmp_path / "a" / "link")
    with pytest.raises(ImportFailed, match="outside its folder"):
        networks.onnx_file(path, STATES)


def test_weights_that_are_missing_or_cut_short(tmp_path: Path) -> None:
    path = write(tmp_path, 1)
    (tmp_path / "net.data").write_bytes(bytes(20))
    with pytest.raises(ImportFailed, match="too short") as cut:
        networks.onnx_file(path, STATES)
    assert (cut.value.found, cut.value.allowed) == ("20 bytes", "60 bytes and more")
    (tmp_path / "net.data").unlink()
    with pytest.raises(ImportFailed, match="in another file, which is not there") as missing:
        networks.onnx_file(path, STATES)
    assert "copy 'net.data' beside it" in str(missing.value)


def test_a_tensor_inside_a_branch_counts(tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(np.ones(4, np.float32), "t")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="inner.data")
    value = helper.make_tensor_value_info("t", 1, [4])
    branch = helper.make_graph([], "branch", [], [value], [tensor])
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    path = tmp_path / "net.onnx"
    path.write_bytes(helper.make_model(helper.make_graph([node], "g", [], [])).SerializeToString())
    with pytest.raises(ImportFailed, match="not there"):
        external_data.files(path)
    (tmp_path / "inner.data").write_bytes(bytes(16))
    assert list(external_data.files(path)) == ["inner.data"]
