"""Files that are no checkpoint are named for what they are, with the cure; limits on size hold before reading."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from tsm_edge import models
from tsm_edge.errors import CheckpointError
from tsm_edge.models import make_net
from tsm_edge.weights import checkpoints, stand_ins
from tsm_edge.weights.meta import WeightsMeta, read_meta

torch = pytest.importorskip("torch")

MODEL = models.load("tsm-mobilenetv2", width=0.25, size=32, classes=4)


@pytest.fixture
def refusal(tmp_path):
    """Return refusal(bytes, name) -> the text of the error that a file of these bytes gives; None keeps the file."""

    def run(data, name="w.pth"):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(CheckpointError) as caught:
            checkpoints.load_into(make_net(MODEL.layers), tmp_path / name, MODEL)
        return str(caught.value)

    return run


class Doubled(torch.nn.Module):
    def forward(self, x):
        return 2 * x


def torchscript():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(Doubled(), torch.ones(1)), buffer)
    return buffer.getvalue()


def exported():
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(Doubled(), (torch.ones(1),)), buffer)
    return buffer.getvalue()


def archive(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, data in files.items():
            made.writestr(name, data)
    return buffer.getvalue()


def npz():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.ones(3))
    return buffer.getvalue()


def tar():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        made.addfile(tarfile.TarInfo("model.pth"), io.BytesIO())
    return buffer.getvalue()


def onnx_bytes():
    onnx = pytest.importorskip("onnx")
    graph = onnx.helper.make_graph([], "g", [], [])
    return onnx.helper.make_model(graph, ir_version=8).SerializeToString()


@pytest.mark.parametrize(
    ("make", "name", "cure"),
    [
        (torchscript, "a TorchScript archive", "torch.jit.load(FILE"),
        (exported, "a program of torch.export", "torch.export.load(FILE)"),
        (npz, "a NumPy archive", "numpy.load(FILE)"),
        (onnx_bytes, "an ONNX file", "tsm-edge compile FILE.onnx"),
        (lambda: archive(**{"run/model.pth": b"1", "notes.txt": b"2"}), "holds run/model.pth, notes.txt", "unpack"),
        (lambda: archive(**{"config.json": b"1", "model.weights.h5": b"2"}), "a Keras model", "no reader"),
        (lambda: gzip.compress(b"x" * 99), "a gzip file", "gunzip"),
        (lambda: lzma.compress(b"x" * 99), "an xz file", "xz -dk"),
        (tar, "a tar archive", "tar -xf"),
        (lambda: b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file", "Keras"),
        (lambda: pickle.dumps({"a": 1}), "a pickle that torch.save did not write", "torch.save"),
        (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer", "git lfs pull"),
        (lambda: b"\xef\xbb\xbf \n<!DOCTYPE html><html>", "a web page", "download failed"),
        (lambda: b"<?xml version='1.0'?><Error>AccessDenied</Error>", "a web page", "download failed"),
        (lambda: json.dumps({"a": 1}).encode(), "a JSON text", None),
    ],
)
def test_other_files_are_named_with_the_cure(refusal, make, name, cure):
    text = refusal(make())
    assert "is no checkpoint" in text and name in text and "a file of torch.save or safetensors" in text
    assert cure is None or cure in text.partition("hint:")[2]


def test_folders_are_named(refusal, tmp_path):
    (tmp_path / "w.pth").mkdir()
    (tmp_path / "w.pth" / "model.safetensors").write_bytes(b"")
    assert "name the file: " in refusal(None) and "model.safetensors" in refusal(None)
    (tmp_path / "w.pth" / ".metadata").write_bytes(b"")
    assert "dcp_to_torch" in refusal(None)


def test_a_safetensors_file_by_another_name_is_read_with_its_metadata(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    meta = WeightsMeta(MODEL.name, dict(MODEL.parameters), MODEL.labels, 12.0, "made for a test")
    weights = MODEL.build(1).state_dict()
    safetensors.save_file(weights, tmp_path / "w.pth", metadata=meta.to_text())
    net = make_net(MODEL.layers)
    checkpoints.load_into(net, tmp_path / "w.pth", MODEL)
    assert torch.equal(net.state_dict()["features.0.0.weight"], weights["features.0.0.weight"])
    assert read_meta(tmp_path / "w.pth") == meta
    torch.save(weights, tmp_path / "w.safetensors")
    checkpoints.load_into(net, tmp_path / "w.safetensors", MODEL)
    assert read_meta(tmp_path / "w.safetensors") is None


def compressed(path, zeros):
    """Write a checkpoint whose one storage of ``zeros`` bytes is compressed, which torch.save never does."""
    buffer = io.BytesIO()
    torch.save({"conv1.weight": torch.zeros(4)}, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for entry in source.infolist():
            with made.open(entry.filename, "w") as file:
                if entry.filename.endswith("/data/0"):
                    for _ in range(zeros >> 20):
                        file.write(bytes(1 << 20))
                else:
                    file.write(source.read(entry))


def test_a_small_file_that_unpacks_to_a_large_one(refusal, tmp_path, monkeypatch):
    compressed(tmp_path / "w.pth", 100 << 20)
    assert (tmp_path / "w.pth").stat().st_size < 1 << 20
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was opened"))
    text = refusal(None)
    assert "too large" in text and "bytes unpacked" in text


def test_the_limit_on_the_file_itself(refusal, tmp_path, monkeypatch):
    torch.save({"a": torch.zeros(9)}, tmp_path / "w.pth")
    with (tmp_path / "w.pth").open("ab") as file:
        file.truncate(stand_ins.MAX_FILE + 1)  # sparse
    assert f"allowed: {stand_ins.MAX_FILE}" in refusal(None)
    (tmp_path / "old.pth").write_bytes(b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.")
    with (tmp_path / "old.pth").open("ab") as file:
        file.truncate(stand_ins.MAX_FILE + 1)
    assert "too large" in refusal(None, "old.pth")


class Takes:
    """Unpickled, a call of ``function`` with ``arguments``."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_asks_for_memory(refusal, tmp_path, legacy):
    trap = {"state_dict": {"a": torch.zeros(1)}, "pad": Takes(bytearray, 1 << 40)}
    torch.save(trap, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    assert "builtins.bytearray" in refusal(None)


@pytest.mark.parametrize("name", ["os.system", "posix.system", "builtins.eval", "subprocess.Popen", "runpy.run_path"])
def test_names_of_what_runs_code_are_refused(refusal, tmp_path, name):
    buffer = io.BytesIO()
    torch.save({"a": Takes(complex, 1, 2)}, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(tmp_path / "w.pth", "w") as made:
        for entry in source.infolist():
            data = source.read(entry)
            module, _, function = name.rpartition(".")
            made.writestr(entry, data.replace(b"c__builtin__\ncomplex\n", f"c{module}\n{function}\n".encode()))
    text = refusal(None)
    assert "could run code" in text and f"found: {name}" in text


def test_tensors_without_values(refusal, tmp_path):
    weights = {key: value.to("meta") for key, value in MODEL.build(1).state_dict().items()}
    torch.save({"state_dict": weights}, tmp_path / "w.pth")
    assert "no values" in refusal(None) and "on the device 'meta'" in refusal(None)
    some = dict(MODEL.build(1).state_dict()) | {"classifier.weight": torch.zeros(4, 1280, device="meta")}
    torch.save(some, tmp_path / "w.pth")
    assert "1 on the device 'meta': classifier.weight" in refusal(None)


def test_numpy_arrays_in_place_of_tensors(refusal, tmp_path):
    torch.save({"a.weight": np.zeros(3)}, tmp_path / "w.pth")
    assert "NumPy arrays" in refusal(None) and "torch.from_numpy" in refusal(None)


def test_views_that_claim_to_be_large_are_not_filled(refusal, tmp_path):
    """A few bytes as a tensor of terabytes, in two sets of weights that have to be compared."""
    weights = {key: torch.zeros(1).expand(1 << 20, 1 << 20) for key in MODEL.build(1).state_dict()}
    torch.save({"a": weights, "b": dict(weights) | {"classifier.bias": torch.ones(1)}}, tmp_path / "w.pth")
    assert "several sets of weights" in refusal(None)
    torch.save(weights, tmp_path / "w.pth")
    assert "classes" in refusal(None)


def test_names_of_any_length(refusal, tmp_path):
    torch.save({"layer" + "9" * 5000 + ".0.conv.0.conv.weight": torch.zeros(1)}, tmp_path / "w.pth")
    assert "does not fit" in refusal(None)
