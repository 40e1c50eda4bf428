"""Every peer computes what the network computes, and is refused by name where it cannot."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from tsm_edge import models
from tsm_edge.bench import peers
from tsm_edge.bench.agreement import difference
from tsm_edge.bench.network import Network, network_of, own_network
from tsm_edge.bench.runner import frames
from tsm_edge.errors import DeviceError, ExtraMissing, ModelError, UnknownName, UsageError

pytest.importorskip("torch")
pytest.importorskip("onnx")

SMALL = {
    "tsm-mobilenetv2": {"width": 0.5, "size": 64},
    "tsm-resnet18": {"size": 32},
    "tsm-resnet50": {"size": 32},
}


@pytest.fixture(scope="module", params=SMALL)
def network(request, one_thread):
    return own_network(models.load(request.param, classes=5, **SMALL[request.param]), seed=3)


@pytest.fixture(scope="module")
def plain(network):
    """Frames, and the scores and states of each step by the net itself, seeded as the network is."""
    import torch

    inputs, outputs = frames(network.signature.inputs[0], 4), []
    net, states = network.model.build(3), network.model.zero_states()
    for frame in inputs:
        with torch.no_grad():
            scores, states = net.step(torch.from_numpy(frame), states)
        outputs.append([scores.numpy(), *(state.numpy() for state in states)])
    return inputs, outputs


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "ncnn", "torch"])
def test_a_peer_computes_the_network_with_its_states(network, plain, name):
    pytest.importorskip(name)
    runner = peers.load(name, network, 1)
    for attempt in range(2):  # the second time after a reset
        runner.reset()
        for step, (frame, wanted) in enumerate(zip(*plain)):
            kept = frame.copy()
            found = [runner.step(frame), *runner.states()]
            assert [array.size for array in found] == [array.size for array in wanted]
            worst = max(difference(mine, other) for mine, other in zip(found, wanted))
            assert worst < 2e-5, f"attempt {attempt}, step {step}"
            assert np.array_equal(frame, kept)
    runner.close()
    assert runner.version[0].isdigit() and runner.settings


class _SignalStack(ctypes.Structure):
    """stack_t of sigaltstack(2)."""

    _fields_ = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


def test_openvino_leaves_no_stack_for_signals_that_is_gone(network):
    """After two that were open at a time; the next signal with a handler would end this process."""
    pytest.importorskip("openvino")
    first, second = (peers.load("openvino", network, 1) for _ in range(2))
    first.close()
    del first
    second.close()
    del second
    gc.collect()
    stack = _SignalStack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0
    disabled = stack.flags & 2
    areas = [line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines()]
    assert disabled or any(int(low, 16) <= stack.start < int(high, 16) for low, high in areas)


def test_the_peers_are_the_files():
    assert peers.names() == ["ncnn", "onnxruntime", "openvino", "torch"]
    assert runner_tolerances() == {"ncnn": 1e-3, "onnxruntime": 1e-4, "openvino": 1e-4, "torch": 1e-4}


def runner_tolerances():
    from tsm_edge.bench.peers import ncnn, onnxruntime, openvino, torch

    kinds = {
        "ncnn": ncnn.Ncnn,
        "onnxruntime": onnxruntime.OnnxRuntime,
        "openvino": openvino.OpenVino,
        "torch": torch.Torch,
    }
    return {name: kind.tolerance for name, kind in kinds.items()}


def test_an_unknown_peer():
    with pytest.raises(UnknownName, match="no peer named 'onnx-runtime'. Did you mean 'onnxruntime'"):
        peers.check(["onnx-runtime"])


@pytest.mark.parametrize("absent", ["onnxruntime", "torch"])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, absent):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == absent else real(name))
    with pytest.raises(ExtraMissing, match=f"with onnxruntime needs the Python package '{absent}'") as caught:
        peers.check(["onnxruntime"])
    assert '".[bench]"' in str(caught.value)
    assert caught.value.exit_code == 5


def test_a_foreign_network_is_for_those_who_read_onnx(network):
    foreign = Network(network.signature, network.onnx, None, {})
    for name in ("torch", "ncnn"):
        pytest.importorskip(name)
        with pytest.raises(UsageError, match=f"{name} takes models of tsm-edge only"):
            peers.load(name, foreign, 1)


def manifest_like(source, note, digest="", kind="zoo", parameters=None, family="cpu", precision="float32"):
    from types import SimpleNamespace

    model = models.load("tsm-mobilenetv2", width=0.5, size=32, classes=3)
    weights = SimpleNamespace(source=source, note=note, sha256=digest)
    info = SimpleNamespace(
        name=model.name, parameters=parameters or dict(model.parameters), weights=weights, source=kind
    )
    return SimpleNamespace(
        model=info,
        labels=model.labels,
        signature=model.signature,
        preprocess=model.preprocess,
        target=SimpleNamespace(family=family),
        precision=precision,
    )


@pytest.mark.parametrize(
    ("family", "device", "precision"), [("cuda", "cuda", "float16"), ("opencl", "cpu", "float32")]
)
def test_peers_run_where_the_bundle_runs_if_they_can(family, device, precision):
    network = network_of(
        manifest_like("seeded", "untrained, seed 1", family=family, precision="float16"), None
    )
    assert (network.device, network.precision) == (device, precision)
    assert network.tolerance == 4e-2


@pytest.mark.parametrize("name", ["onnxruntime", "torch"])
def test_a_cuda_peer_without_a_gpu_says_what_is_missing(name):
    import onnxruntime
    import torch

    if torch.cuda.is_available() or "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has an NVIDIA GPU and packages that use it")
    network = network_of(
        manifest_like("seeded", "untrained, seed 1", family="cuda", precision="float16"), None
    )
    with pytest.raises(DeviceError, match="run beside the bundle") as caught:
        peers.load(name, network, 1)
    assert caught.value.exit_code == 4 and "--against" in str(caught.value)


def test_onnx_runtime_gets_the_network_in_the_bundles_precision():
    """States are float16 from step to step; frame and scores stay float32, so the times include no conversion."""
    import onnxruntime

    from tsm_edge.bench import onnxruntime_cuda

    network = network_of(
        manifest_like("seeded", "untrained, seed 1", family="cuda", precision="float16"), None
    )
    half = onnxruntime_cuda.half_model(network)
    session = onnxruntime.InferenceSession(half, providers=["CPUExecutionProvider"])
    kinds = {tensor.name: tensor.type for tensor in (*session.get_inputs(), *session.get_outputs())}
    pair = network.signature.states[0]
    assert kinds[pair.input.name] == kinds[pair.output_name] == "tensor(float16)"
    outside = (network.signature.inputs[0].name, network.signature.outputs[0].name)
    assert [kinds[name] for name in outside] == ["tensor(float)"] * 2


def test_the_seed_comes_from_the_manifest():
    seeded = network_of(manifest_like("seeded", "untrained, seed 7: the scores mean nothing"), None)
    other = own_network(seeded.model, seed=7)
    assert seeded.onnx == other.onnx != own_network(seeded.model, seed=0).onnx


@pytest.mark.parametrize(("source", "kind"), [("file", "a checkpoint"), ("onnx", "an ONNX file")])
def test_the_file_behind_the_bundle_is_asked_for(source, kind):
    zoo = "zoo" if source == "file" else "onnx"
    with pytest.raises(UsageError, match=f"compiled from {kind}") as caught:
        network_of(manifest_like(source, "from net.bin", "0" * 64, zoo), None)
    assert "--weights FILE" in str(caught.value)


def test_another_file_is_refused(tmp_path):
    other = tmp_path / "other.onnx"
    other.write_bytes(network_of(manifest_like("seeded", "untrained, seed 7: the scores mean nothing"), None).onnx)
    with pytest.raises(UsageError, match="is not the file"):
        network_of(manifest_like("onnx", "from net.onnx", "0" * 64, "onnx"), other)


def test_a_bundle_of_another_version_is_refused():
    manifest = manifest_like("seeded", "seed 0", parameters={"width": 0.5, "size": 64, "classes": 3})
    with pytest.raises(ModelError, match="not the one of this tsm-edge"):
        network_of(manifest, None)
