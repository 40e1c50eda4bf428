"""A network in the clip form: compiled, a window of frames gives what PyTorch gives, here and on AArch64."""

from __future__ import annotations

import json
import math
import shutil
import subprocess

import numpy as np
import pytest
from click.testing import CliRunner

import tsm_edge
from tsm_edge import frames as pixels
from tsm_edge import models, target
from tsm_edge.cli import cli
from tsm_edge.compile import passes, pipeline
from tsm_edge.compile.frontend import networks
from tsm_edge.compile.ir.ops import Concat, Conv, FrameShift, Opaque, Slice
from tsm_edge.compile.verification.reference import moving_pictures
from tsm_edge.errors import ModelError, UsageError
from tsm_edge.models import OFFLINE, ONLINE, TemporalShift, Window

torch = pytest.importorskip("torch")
WINDOW = Window(4, 3)


def small(name="tsm-mobilenetv2", **more):
    width = {"width": 0.25} if name == "tsm-mobilenetv2" else {}
    return models.load(name, size=32, classes=3, **{**width, **more})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Return bundle(target, model) -> the compiled clip; each once."""
    made = {}

    def build(name, model):
        key = (name, model.name, repr(model.parameters))
        if key not in made:
            folder = tmp_path_factory.mktemp("clip") / "bundle"
            made[key] = pipeline.compile(networks.zoo(model, seed=1), target.load(name), folder)
        return made[key]

    return build


def verified(folder):
    done = CliRunner().invoke(cli, ["verify", str(folder), "--frames", "2", "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["ok"] and [each["name"] for each in document["differences"]] == [
        "logits",
        "logits, of pictures",
    ]


def test_it_computes_what_pytorch_does(bundle):
    built = bundle("local", small().clips(OFFLINE, WINDOW))
    assert not built.generic_layers()
    verified(built.folder)
    info = built.manifest.model
    assert (info.form, info.clip_frames, info.window_stride, info.delay_frames) == ("clip", 4, 3, 3)
    assert built.manifest.signature.inputs[0].shape == (4, 3, 32, 32) and not built.manifest.signature.states


@pytest.mark.skipif(shutil.which("qemu-aarch64") is None, reason="qemu-aarch64 is not installed")
def test_it_does_on_a_board(bundle):
    verified(bundle("raspberry-pi-4", small().clips(OFFLINE, WINDOW)).folder)


@pytest.mark.parametrize(
    ("shift", "found"),
    [
        (ONLINE, (0, 8, "zero", False)),
        (TemporalShift("bi", 0.25, padding="circulant"), (8, 8, "circulant", False)),
        (TemporalShift("bi", 1.0, "inplace", "hold"), (32, 32, "hold", True)),
    ],
    ids=str,
)
def test_every_kind_of_shift_is_recognised(shift, found):
    """The first of eight shifts, of 64 channels; the rest of a residual one's channels is read where it lies."""
    graph = networks.zoo(small("tsm-resnet18").clips(shift, WINDOW), seed=1).load()
    passes.run(graph)
    ops = [node.op for node in graph.nodes]
    shifts = [op for op in ops if isinstance(op, FrameShift)]
    first = shifts[0]
    assert (first.future, first.past, first.padding, first.whole) == found and first.channels == 64
    assert len(shifts) == 8 and not any(isinstance(op, (Opaque, Concat, Slice)) for op in ops)
    reads = [op.fold_in for op in ops if isinstance(op, Conv) and op.fold_in]
    assert len(reads) == (0 if first.whole else 8)


def test_frames_can_be_pooled(bundle):
    around = TemporalShift("bi", 0.25, "inplace", "circulant")  # and what else no stream can do
    model = small("tsm-resnet18", temporal_pool=True).clips(around, Window(5, 5))
    built = bundle("local", model)
    assert [op.schedule for op in built.planned.plan.ops if "frame_max" in op.schedule] == ["frame_max_cpu"]
    assert model.macs == built.manifest.plan.macs
    verified(built.folder)
    with pytest.raises(ModelError, match="pool"):
        small("tsm-resnet18", temporal_pool=True).streaming(OFFLINE)
    with pytest.raises(ModelError, match="ResNet"):
        small(temporal_pool=True)


def test_the_shift_copies_only_the_channels_that_move(bundle):
    plan = bundle("local", small().clips(OFFLINE, WINDOW)).planned.plan
    copies = [op for op in plan.ops if op.schedule.startswith("frame_shift_")]
    assert len(copies) == 10
    moved = sum(math.prod(plan.tensor(op.writes[0]).shape) for op in copies)
    assert moved == WINDOW.frames * 2 * sum(math.prod(pair.input.shape) for pair in small().signature.states)


def test_frames_fill_a_window_that_slides(bundle):
    """The network runs on the last four frames when there are four, then after every third one."""
    built = bundle("local", small().clips(OFFLINE, WINDOW))
    pictures = list(moving_pictures((40, 50), 11))
    inputs = [pixels.preprocess(picture, built.manifest.preprocess, format="rgb") for picture in pictures]
    with tsm_edge.open(built.folder) as model, model.stream(threads=2) as stream, model.stream() as whole:
        for turn in range(2):
            found, answers = [], []
            for picture in pictures:
                found.append(stream.step(picture, format="rgb"))
                answers.append(stream.answers)
            assert answers == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3]
            if turn == 0:
                assert not found[0].any(), "there is no answer before the first window is full"
            for at in (3, 6, 9):
                wanted = whole.step_tensor(np.concatenate(inputs[at - 3 : at + 1]))
                assert np.array_equal(found[at], wanted)
            assert np.array_equal(found[4], found[3]) and not np.array_equal(found[6], found[3])
            stream.reset()


def test_the_command_answers_when_a_window_is_full(bundle):
    folder = bundle("local", small().clips(OFFLINE, WINDOW)).folder
    pictures = b"".join(picture.tobytes() for picture in moving_pictures((40, 50), 11))
    run = [folder / "tsm-edge-run", "--threads", "1"]
    for mode in ((), ("--decide",)):
        words = ["--raw", "50x40", "--format", "rgb", "--fps", "12", *mode]
        done = subprocess.run([*run, *words], input=pictures, capture_output=True, check=True)
        assert [json.loads(line)["frame"] for line in done.stdout.splitlines()] == [3, 6, 9]
        assert b"looks at 4 frames at once" in done.stderr and b"one every 3" in done.stderr
    info = subprocess.run([*run, "--info"], capture_output=True, check=True).stdout
    assert b"window    4 frames at once" in info and b"delay" not in info


def test_it_equals_the_lagged_stream_away_from_the_ends(bundle):
    """Frames of a clip with ten before and ten after them have the same scores in both forms."""
    model, frames, late = small().streaming(OFFLINE), 23, 10
    net = model.build(1)
    clip = torch.randn(frames, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    states, found = model.zero_states(), []
    with torch.no_grad():
        for frame in clip:
            scores, states = net.step(frame[None], states)
            found.append(scores[0])
        mean = torch.stack(found)[2 * late :].mean(0)
        inside = net(clip[None])[0][late : frames - late].mean(0)
        assert torch.allclose(mean, inside, atol=1e-4)
        whole = small().clips(OFFLINE, Window(frames, 1))
        logits, after = whole.build(1).step(clip, ())
        assert after == () and torch.allclose(logits[0], net(clip[None])[0].mean(0), atol=1e-4)


def test_what_no_clip_can_be():
    for frames, stride in ((1, 1), (65, 1), (8, 0), (8, 9)):
        with pytest.raises(ModelError):
            Window(frames, stride)
    network = networks.zoo(small().clips(OFFLINE, WINDOW))
    with pytest.raises(UsageError, match="8-bit"):
        pipeline.check_clip(network.info, "int8")


def test_a_decision_counts_answers():
    """The rule of a stream is in frames; a window gives one answer for every third of them."""
    stream, clip = (networks.zoo(model).decision for model in (small(), small().clips(OFFLINE, WINDOW)))
    assert (clip.window, clip.agree) == (math.ceil(stream.window / 3), math.ceil(stream.agree / 3))
