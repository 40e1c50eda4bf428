"""A bi-directional network as a lagged stream: compiled, it computes what PyTorch does, here and on AArch64."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from tsm_edge import models, target
from tsm_edge.cli import cli
from tsm_edge.compile import pipeline
from tsm_edge.compile.frontend import networks
from tsm_edge.models import OFFLINE, TemporalShift

torch = pytest.importorskip("torch")


def network_of(shift, seed=1):
    """A small MobileNetV2 with seeded weights, as it is compiled for weights that were trained with a shift."""
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, classes=3).streaming(shift)
    return networks.zoo(model, seed=seed)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Return bundle(target, shift) -> the compiled stream; each once."""
    made = {}

    def build(name, shift):
        key = (name, shift)
        if key not in made:
            folder = tmp_path_factory.mktemp("lagged") / "bundle"
            made[key] = pipeline.compile(network_of(shift), target.load(name), folder)
        return made[key]

    return build


def verified(folder):
    done = CliRunner().invoke(cli, ["verify", str(folder), "--frames", "14", "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["ok"] and document["judge"] == "PyTorch"
    return document


def test_it_computes_what_pytorch_does(bundle):
    built = bundle("local", OFFLINE)
    document = verified(built.folder)
    assert len(document["differences"]) == 22  # scores, and of ten shifts a waiting input and the past; pictures
    assert built.manifest.model.delay_frames == 10
    assert dict(built.manifest.model.parameters)["direction"] == "bi"


@pytest.mark.skipif(shutil.which("qemu-aarch64") is None, reason="qemu-aarch64 is not installed")
def test_it_does_on_a_board(bundle):
    verified(bundle("raspberry-pi-4", OFFLINE).folder)


def test_only_a_quarter_of_the_channels_is_copied(bundle):
    """The first convolution of a block reads the frame where it lies, its shifted channels from a copy of these."""
    built = bundle("local", OFFLINE)
    plan = built.planned.plan
    copies = [op for op in plan.ops if op.schedule.startswith("join_")]
    assert len(copies) == 20 and not built.generic_layers()
    moved = sum(math.prod(plan.tensor(op.writes[0]).shape) for op in copies)
    model = models.load("tsm-mobilenetv2", width=0.25, size=32)
    assert moved == 3 * sum(math.prod(pair.input.shape) for pair in model.signature.states)


def test_the_sum_of_a_shift_in_place_reads_the_shifted_frame(bundle):
    built = bundle("local", TemporalShift("bi", 0.5, "inplace"))
    verified(built.folder)


def test_it_equals_the_clip_form_away_from_the_ends(bundle):
    """The bundle's answer after frame t is that of the clip form for frame t - 10."""
    import tsm_edge

    late, frames = 10, 23
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, classes=3).streaming(OFFLINE)
    net = model.build(1)
    clip = torch.randn(1, frames, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        wanted = net(clip)[0].numpy()
    with tsm_edge.open(bundle("local", OFFLINE).folder) as loaded, loaded.stream() as stream:
        found = np.stack([stream.step_tensor(frame.numpy()[None]) for frame in clip[0]])
    found = found.reshape(frames, -1)
    inside = slice(late, frames - late)
    assert np.abs(found[2 * late :] - wanted[inside]).max() < 1e-4 * np.abs(wanted).max()
    assert np.abs(found[late:-late] - wanted[inside]).max() > 1e-2, "the answers of now are of another frame"


def test_without_a_shift_a_stream_has_no_states(bundle):
    built = bundle("local", TemporalShift("none"))
    assert built.manifest.signature.states == () and built.manifest.model.delay_frames == 0
    verified(built.folder)
