"""Regions of a clip: RoIAlign and the graphs over boxes against plain loops, and the network that is made of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import volume_nets
from region_oracles import aligned_max, grid_box, overlap_mean

from tsm_edge.bundle.manifest import WeightsInfo
from tsm_edge.errors import ModelError
from tsm_edge.models import clips
from tsm_edge.models.clips import regions
from tsm_edge.onnx.file import onnx_model
from tsm_edge.onnx.meta import OnnxMeta

torch = pytest.importorskip("torch")


def drawn(seed, frames, count):
    """Boxes of every kind: usual ones, ends in any order, ones that reach out of the picture, and absent ones."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-0.3, 1.3, (frames, count, 4))
    usual = corners.copy()
    usual[..., 2:] = usual[..., :2] + rng.uniform(0.05, 0.8, (frames, count, 2))
    boxes = np.where(rng.random((frames, count, 1)) < 0.8, usual, corners)
    boxes[rng.random((frames, count)) < 0.2] = 0
    return boxes


def test_the_grid_covers_the_picture_and_holds_it_whole():
    boxes = regions.grid(50)
    assert len(boxes) == 50 and boxes[49] == (0, 0, 1, 1)
    assert boxes[0] == (0, 0, 0.25, 0.25) and boxes[48] == (0.75, 0.75, 1, 1)
    assert np.allclose(boxes, [grid_box(index, 50) for index in range(50)])
    assert regions.grid(1) == [(0, 0, 1, 1)] and len(regions.grid(7)) == 7


@pytest.mark.parametrize(("height", "width"), [(5, 7), (2, 3), (1, 1)])
def test_region_features_equal_plain_loops(height, width):
    x = np.random.default_rng(1).standard_normal((3, 4, height, width))
    boxes = drawn(2, 3, 6)
    got = regions.region_max(torch.tensor(x.swapaxes(0, 1)[None]), torch.tensor(boxes[None]))
    wanted = [[aligned_max(x[t], boxes[t][i], i, 6) for i in range(6)] for t in range(3)]
    np.testing.assert_allclose(got[0, :, :, 0].numpy(), np.array(wanted).transpose(2, 0, 1), atol=1e-12)


@pytest.mark.parametrize("by", [1, -1])
def test_space_time_graphs_equal_plain_loops(by):
    x, boxes = np.random.default_rng(3).standard_normal((4, 9, 5)), drawn(4, 4, 9)
    got = regions.overlap_mean(torch.tensor(x.transpose(2, 0, 1)[None, :, :, None]), torch.tensor(boxes[None]), by)
    np.testing.assert_allclose(got[0, :, :, 0].numpy().transpose(1, 2, 0), overlap_mean(x, boxes, by), atol=1e-12)


def test_the_network_equals_plain_code_behind_its_features():
    """From the reduced features on, with loops over regions; two clips of a batch with boxes of their own."""
    model = clips.load("i3d-nonlocal-gcn", size=32, classes=5, frames=4)
    net = model.build(0).double()
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(2, 4, 3, 32, 32, generator=generator, dtype=torch.float64)
    boxes = np.stack([drawn(seed, 2, 50) for seed in (5, 6)])
    kept = {}
    reduce = net.get_submodule("gcn.reduce")
    hook = reduce.register_forward_hook(lambda _m, given, out: kept.update(whole=given[0], regions=out))
    with torch.no_grad():
        scores = net(batch, torch.tensor(boxes))
        hook.remove()
        assert not torch.allclose(scores, net(batch))
    w = {key: value.numpy() for key, value in net.state_dict().items()}
    for clip in range(2):
        features = kept["regions"][clip].numpy().swapaxes(0, 1)
        x = np.array([[aligned_max(features[t], boxes[clip][t][i], i, 50) for i in range(50)] for t in range(2)])
        whole = np.concatenate([kept["whole"][clip].numpy().mean((1, 2, 3)), graphs(w, x, boxes[clip])])
        np.testing.assert_allclose(scores[clip].numpy(), w["fc.weight"] @ whole + w["fc.bias"], atol=1e-9)


def graphs(w, x, boxes):
    """The mean region of both branches; x: [T, B, C]."""

    def product(key, rows):
        return rows @ w[f"gcn.{key}.weight"][:, :, 0, 0, 0].T

    def normed(key, rows):
        centred = rows - rows.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return np.maximum(scaled * w[f"gcn.{key}.weight"] + w[f"gcn.{key}.bias"], 0)

    rows = x.reshape(-1, x.shape[-1])
    scores = product("theta", rows) @ product("phi", rows).T
    similar = np.exp(scores - scores.max(1, keepdims=True))
    similar /= similar.sum(1, keepdims=True)
    alike, placed = rows, x
    for layer in range(3):
        alike = normed(f"similar_norm.{layer}", similar @ product(f"similar.{layer}", alike))
        front, back = (overlap_mean(placed, boxes, by) for by in (1, -1))
        total = product(f"front.{layer}", front) + product(f"back.{layer}", back)
        placed = normed(f"space_time_norm.{layer}", total)
    return (alike + placed.reshape(rows.shape)).mean(0)


def test_boxes_are_a_state_of_the_signature():
    model = clips.load("i3d-nonlocal-gcn")
    (pair,) = model.signature.states
    assert (pair.input.name, pair.input.shape) == ("boxes", (16, 50, 4))
    assert clips.load("i3d-nonlocal").signature.states == ()
    net = clips.load("i3d-nonlocal-gcn", size=32, classes=5, frames=2)
    assert net.zero_states()[0].shape == (1, 50, 4)


def test_boxes_of_other_frames_are_refused():
    b = clips.Builder()
    x = b.recast(0, volume=True)
    b.region_max(x, b.boxes(3, 5))
    with pytest.raises(ModelError, match="Boxes are of other frames"):
        b.network().shapes((4, 3, 8, 8))


def test_weighted_sums_of_a_box_are_whole():
    """Inside the picture the samples' weights add up to one: a constant image stays what it is."""
    x = torch.full((1, 2, 1, 6, 6), math.pi)
    boxes = torch.tensor([[[[0.1, 0.2, 0.9, 0.7], [0.0, 0.0, 0.01, 0.01], [0.5, 0.5, 1.0, 1.0]]]])
    assert torch.allclose(regions.region_max(x, boxes), torch.full((1, 2, 1, 1, 3), math.pi))


def test_its_onnx_file_computes_the_same():
    """Boxes of a detector, some absent, some outside; then one that is no number, whose region is zeros."""
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime runs the file")
    model = volume_nets.model("regions")
    net = model.build(0)
    arrays = {key: value.numpy() for key, value in net.state_dict().items()}
    data = onnx_model(model, arrays, OnnxMeta.of(model, WeightsInfo("seeded", "a test's", "")))
    session = runtime.InferenceSession(data.SerializeToString(), providers=["CPUExecutionProvider"])
    clip = np.random.default_rng(3).standard_normal(model.clip).astype(np.float32)
    boxes = drawn(5, 3, volume_nets.REGIONS).astype(np.float32)
    boxes[1, 3] = 7  # outside
    with torch.no_grad():
        wanted = net(torch.tensor(clip[None]), torch.tensor(boxes[None])).numpy()
    got, after = session.run(None, {"frame": clip, "boxes": boxes})
    assert np.abs(got - wanted).max() <= 2e-5 * np.abs(wanted).max()
    assert np.array_equal(after, boxes)
    for odd in (np.nan, np.inf, -np.inf):
        boxes[1, 3, 2] = odd
        got, _ = session.run(None, {"frame": clip, "boxes": boxes})
        assert np.abs(got - wanted).max() <= 2e-5 * np.abs(wanted).max()
