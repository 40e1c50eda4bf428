"""Clip networks of the family's operators: compiled, two clips give what PyTorch gives, here and elsewhere."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import volume_nets

from tsm_edge import boxes, target
from tsm_edge.bench import session
from tsm_edge.bench.network import own_network
from tsm_edge.bench.stop import StopRule
from tsm_edge.compile import passes
from tsm_edge.compile.backends import cpu
from tsm_edge.compile.frontend import importer
from tsm_edge.compile.lowering import lower
from tsm_edge.compile.verification import verify
from tsm_edge.errors import ImportFailed, UsageError

torch = pytest.importorskip("torch")

#: scores of two clips, relative to the largest: both sum in float32, in other orders
TOLERANCE = 1e-4


@pytest.mark.parametrize("name", volume_nets.NETS)
def test_a_bundle_computes_what_pytorch_does(name, tmp_path):
    built = volume_nets.compiled(name, "local", tmp_path / name)
    assert not built.generic_layers()
    assert built.manifest.model.form == "clip"
    assert volume_nets.difference(name, built) <= TOLERANCE


@pytest.mark.skipif(shutil.which("qemu-aarch64") is None, reason="qemu-aarch64 is not installed")
@pytest.mark.parametrize("name", ["volumes", "attention", "regions"])
def test_it_does_on_a_board(name, tmp_path):
    built = volume_nets.compiled(name, "raspberry-pi-4", tmp_path / name)
    assert volume_nets.difference(name, built) <= TOLERANCE


@pytest.fixture(scope="module")
def with_boxes(tmp_path_factory):
    """A bundle of the network of regions."""
    return volume_nets.compiled("regions", "local", tmp_path_factory.mktemp("regions") / "bundle")


def test_boxes_are_an_input_that_a_stream_keeps(with_boxes):
    """Two clips with boxes of their own, some absent, some outside; then what no detector gives, and the grid again."""
    import tsm_edge

    model = volume_nets.model("regions")
    step, rng = volume_nets.stepped(model.build(0)), np.random.default_rng(0)
    with tsm_edge.open(with_boxes.folder) as bundle, bundle.stream(2) as stream:
        for _ in range(2):
            boxes = rng.uniform(-0.2, 0.8, (3, volume_nets.REGIONS, 4)).astype(np.float32)
            boxes[..., 2:] = boxes[..., :2] + rng.uniform(0.05, 0.6, (3, volume_nets.REGIONS, 2))
            boxes[0, 2] = 0
            clip = rng.standard_normal(model.clip).astype(np.float32)
            stream.set_states({"boxes": boxes})
            wanted = step(clip, [boxes])[0]
            assert np.abs(wanted - step(clip, [0 * boxes])[0]).max() > 100 * TOLERANCE * np.abs(wanted).max()
            for _ in range(2):  # they stay
                assert np.abs(stream.step_tensor(clip) - wanted).max() <= TOLERANCE * np.abs(wanted).max()
            assert np.array_equal(stream.states()["boxes"], boxes)
        for odd in (np.nan, np.inf, 1e30, -1e30):  # read nothing outside the features
            stream.set_states({"boxes": np.full_like(boxes, odd)})
            assert np.isfinite(stream.step_tensor(clip)).all()
        boxes[1, 3, 2] = np.nan  # one among others
        stream.set_states({"boxes": boxes})
        assert np.isfinite(stream.step_tensor(clip)).all()
        stream.reset()
        grid = step(clip, [np.zeros_like(boxes)])[0]
        assert np.abs(stream.step_tensor(clip) - grid).max() <= TOLERANCE * np.abs(grid).max()


def given(count=volume_nets.REGIONS, **odd):
    """Boxes as JSON's lists; odd: a last number of the first box that is none, or another number of frames."""
    boxes = np.random.default_rng(1).uniform(0, 1, (odd.get("frames", 3), count, 4)).tolist()
    boxes[0][0][3] = odd.get("last", 0.5)
    return boxes


def test_a_file_of_boxes_goes_to_the_bundle_and_to_its_reference(with_boxes, tmp_path, monkeypatch):
    path, model = tmp_path / "boxes.json", volume_nets.model("regions")
    step = volume_nets.stepped(model.build(0))
    path.write_text(json.dumps(given()))
    outcome = verify.compare(with_boxes.folder, with_boxes.manifest, step, 2, path)
    assert [found.name for found in outcome.differences] == ["logits", "boxes_out", "logits, of pictures"]
    assert all(found.relative <= TOLERANCE for found in outcome.differences)
    assert outcome.differences[1].absolute == 0
    pytest.importorskip("onnxruntime", reason="onnxruntime is a peer")
    monkeypatch.setattr(session, "network_of", lambda *_: own_network(model))  # it is in no zoo
    timed = session.measure(with_boxes.folder, StopRule(1, 0, 1), against=["onnxruntime"], boxes=path)
    assert timed.entries[1].agreement.compared > 0


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[1, 2", "byte"),
        (json.dumps(given(frames=2)), "found: 2"),
        (json.dumps(given(count=8)), "of boxes in frame 0"),
        (json.dumps(given(last=113)), "found: 113"),
        (json.dumps(given(last="wide")), "bad value of box 0 in frame 0"),
        (json.dumps(given(last=[])), "bad value of box 0 in frame 0"),
        (json.dumps(given()).replace("0.5]", "NaN]", 1), "NaN"),
    ],
)
def test_a_bad_file_of_boxes_is_refused_by_both_readers(text, found, with_boxes, tmp_path):
    path = tmp_path / "boxes.json"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        boxes.read(path, with_boxes.manifest.signature)
    words = [with_boxes.folder / "tsm-edge-run", "--bench", "--frames", "1", "--boxes", path]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    if found not in ("byte", "NaN"):  # the readers of JSON name a place in other words
        assert found in refused.value.report() and found in done.stderr


def test_boxes_mean_nothing_to_other_networks():
    with pytest.raises(UsageError, match="means nothing to this bundle"):
        boxes.read(Path("boxes.json"), volume_nets.model("volumes").signature)


def test_the_native_command_refuses_boxes_without_the_state(tmp_path):
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(given()))
    folder = volume_nets.compiled("relations", "local", tmp_path / "bundle").folder
    words = [folder / "tsm-edge-run", "--bench", "--frames", "1", "--boxes", path]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "") and "means nothing to this bundle" in done.stderr


def imported(step, shape):
    from tsm_edge.signature import Signature, TensorSpec

    signature = Signature((TensorSpec("frame", shape),), (), (TensorSpec("logits", (1, 5)),))
    graph = importer.from_torch(step, (torch.zeros(shape),), signature)
    passes.run(graph)
    machine = cpu.machine(target.load("local"), "fp32")
    lower.prepare(graph, "cpu", machine, 64)
    return lower.lower(graph, "cpu", machine)


class Odd(torch.nn.Module):
    """Reads a volume in an order that has no kernel: height and time change places."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv3d(3, 5, 3, padding=1)

    def forward(self, clip):
        volume = clip.transpose(0, 1)[None].transpose(2, 3)
        return (self.conv(volume).mean((2, 3, 4)),)


def test_a_volume_in_another_order_is_refused():
    with pytest.raises(ImportFailed, match="in an order that has no kernel") as caught:
        imported(Odd().eval(), (4, 3, 8, 8))
    assert "1 x c x h x t x w" in str(caught.value.found)


def test_views_follow_axes():
    from tsm_edge.compile.frontend.volumes import View, permuted, reshaped, sizes_of

    sizes = sizes_of((4, 6, 5, 7))
    frames = View("x", ("t", "c", "h", "w"))
    volume = permuted(reshaped(frames, sizes, (1, 4, 6, 5, 7)), (0, 2, 1, 3, 4))
    assert volume.axes == ("1", "c", "t", "h", "w")
    columns = reshaped(volume, sizes, (1, 6, 140))
    assert columns.axes == ("1", "c", "thw")
    assert reshaped(permuted(columns, (0, 2, 1)), sizes, (1, 4, 5, 7, 6)).axes == ("1", "t", "h", "w", "c")
    assert reshaped(volume, sizes, (1, 3, 8, 5, 7)) is None  # cuts an axis
    regions = reshaped(View("y", ("1", "c", "thw")), sizes_of((4, 6, 1, 7)), (1, 6, 4, 1, 7))
    assert regions is not None and regions.axes == ("1", "c", "t", "h", "w")


def test_an_axis_of_extent_one_may_stand_anywhere():
    from tsm_edge.compile.frontend.volumes import alike, sizes_of

    one = sizes_of((1, 6, 5, 7))
    assert alike(("1", "ct", "hw"), ("1", "c", "thw"), one) and alike(("1", "hw", "c"), ("1", "thw", "c"), one)
    assert not alike(("1", "ct", "hw"), ("1", "thw", "c"), one)
    assert not alike(("1", "ct", "hw"), ("1", "c", "thw"), sizes_of((2, 6, 5, 7)))


def test_exponentials_are_exact(tmp_path):
    """The kernel's own exp against numpy, from 0 down to where float32 ends."""
    import kernel_lab

    from tsm_edge.compile.ir.dtype import Pointer
    from tsm_edge.compile.ir.ops import Copy
    from tsm_edge.compile.kernels.cpu import builder as tir
    from tsm_edge.compile.kernels.cpu.exponential import exp
    from tsm_edge.compile.schedules.cpu import Kernel

    x = np.concatenate([-np.logspace(-6, 1.9, 4095), [0.0]]).astype(np.float32)

    def body(source, y, begin, end):
        with tir.loop(begin, end) as i:
            tir.store(y, i * 8, exp(tir.load(source, i * 8, 8), 8), 8)

    pointers = {"x": Pointer(x.size), "y": Pointer(x.size)}
    kernel = Kernel(Copy(1, x.size, x.size), "copy_cpu", pointers, x.size // 8, body)
    values = {"x": x, "y": np.full(x.size, np.nan, np.float32)}
    kernel_lab.run([(kernel, values)], target.load("local"), tmp_path, [])
    wanted = np.exp(x.astype(np.float64))
    assert np.abs(values["y"] / wanted - 1).max() < 3e-7
