"""The variants of the shift, against the definition; and the clip form against the steps a device takes."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner

from tsm_edge import cli, models
from tsm_edge.errors import UsageError
from tsm_edge.models import TemporalShift, shift_frames
from tsm_edge.train import network
from tsm_edge.weights.meta import read_meta

LABELS = ("a", "b", "c")


@pytest.fixture(scope="module")
def built():
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, labels=LABELS)
    return model, model.build(1)


@pytest.fixture(scope="module")
def clip():
    return torch.randn((2, 5, 3, 32, 32), generator=torch.Generator().manual_seed(0))


def run(built, clip, **changes):
    model, net = built
    with torch.inference_mode():
        return network.clip_logits(net, model, clip, TemporalShift(**changes))


def test_the_usual_shift_is_the_zoos():
    x = torch.randn(6, 16, 3, 3)
    assert torch.equal(shift_frames(x, 3, TemporalShift()), models.shift_clip(x, 3, 2))


def test_the_online_variant_runs_the_zoos_own_code_and_equals_its_steps(built, clip):
    model, net = built
    found = run(built, clip)
    states = tuple(state.expand(2, -1, -1, -1) for state in model.zero_states())
    with torch.inference_mode():
        assert torch.equal(found, net(clip))
        for at in range(5):
            logits, states = net.step(clip[:, at], states)
            assert torch.allclose(logits, found[:, at], atol=1e-4, rtol=1e-4)


def test_bi_takes_half_from_the_future_and_half_from_the_past():
    x = torch.arange(1.0, 5).view(4, 1, 1, 1).repeat(1, 8, 1, 1)  # one clip of 4 frames, 8 channels
    found = shift_frames(x, 4, TemporalShift("bi", 0.5))[:, :, 0, 0]
    assert found[:, :2].T.tolist() == [[2, 3, 4, 0]] * 2
    assert found[:, 2:4].T.tolist() == [[0, 1, 2, 3]] * 2
    assert found[:, 4:].T.tolist() == [[1, 2, 3, 4]] * 4


def test_circulant_padding_takes_the_other_end():
    x = torch.arange(1.0, 5).view(4, 1, 1, 1).repeat(1, 8, 1, 1)
    found = shift_frames(x, 4, TemporalShift("bi", 0.5, padding="circulant"))[:, :, 0, 0]
    assert found[:, 0].tolist() == [2, 3, 4, 1]
    assert found[:, 2].tolist() == [4, 1, 2, 3]


def test_hold_begins_as_after_a_long_rest(built, clip):
    """As many still frames before the clip as the network has shifts leave the same in every state."""
    model, _ = built
    shifts = len(model.zero_states())
    rest = clip[:, :1].expand(-1, shifts, -1, -1, -1)
    waited = run(built, torch.cat([rest, clip], 1))[:, shifts:]
    assert torch.allclose(run(built, clip, padding="hold"), waited, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(run(built, clip), waited, atol=1e-2)


def test_clips_of_a_batch_do_not_mix():
    x = torch.randn(8, 16, 2, 2)
    both = shift_frames(x, 4, TemporalShift("bi", 1 / 4))
    assert torch.equal(both[:4], shift_frames(x[:4], 4, TemporalShift("bi", 1 / 4)))


@pytest.mark.parametrize("changes", [{"direction": "none"}, {"proportion": 0.0}])
def test_without_shift_a_frame_knows_nothing_of_the_others(built, clip, changes):
    whole = run(built, clip, **changes)
    alone = run(built, clip[:, 3:4], **changes)
    assert torch.allclose(whole[:, 3:4], alone, atol=1e-4)


@pytest.mark.parametrize("direction", ["uni", "bi"])
def test_who_sees_the_future(built, clip, direction):
    changed = clip.clone()
    changed[:, -1] = 0
    same = torch.allclose(
        run(built, clip, direction=direction)[:, :-1], run(built, changed, direction=direction)[:, :-1]
    )
    assert same == (direction == "uni")


def test_inplace_also_shifts_what_the_sum_reads(built, clip):
    assert not torch.allclose(run(built, clip, place="inplace"), run(built, clip))
    assert torch.allclose(
        run(built, clip, place="inplace", proportion=0.0), run(built, clip, direction="none")
    )


@pytest.mark.parametrize(
    "changes", [{"direction": "past"}, {"place": "branch"}, {"padding": "mirror"}, {"proportion": 1.5}]
)
def test_a_variant_that_does_not_exist(changes):
    with pytest.raises(UsageError):
        TemporalShift(**changes)


def test_pooled_clips_have_half_as_many_answers_which_later_frames_reach(clip):
    model = models.load("tsm-resnet18", size=32, labels=LABELS, temporal_pool=True)
    net = model.build(1)
    for kind in (TemporalShift(), TemporalShift("bi", 0.25)):
        with torch.inference_mode():
            found = network.clip_logits(net, model, clip, kind)
            alone = models.run_windowed(net, model.layers, clip[0], kind)
        assert found.shape == (2, 3, 3)
        assert torch.allclose(found[0].mean(0), alone[0], atol=1e-4, rtol=1e-4)


def test_a_training_with_temporal_pooling_is_measured_and_goes_on(make_store, tmp_path):
    """What it writes says that it pools; `eval` and a next training take that from the file."""
    clips = make_store(tmp_path / "clips", ("No gesture", "Swiping Left"), 10)
    words = ("--data", clips, "--held-out", clips, "--no-flip")
    words += ("--size", 32, "--frames", 4, "--batch", 8, "--threads", 1, "--epochs", 1)
    train = ("train", *words, "--out", tmp_path / "one", "--model", "tsm-resnet18", "--temporal-pool")
    done = invoke(*train)
    assert done.exit_code == 0, done.output
    weights = tmp_path / "one" / "weights.safetensors"
    assert read_meta(weights).parameters["temporal_pool"] is True
    document = json.loads(invoke("eval", weights, "--data", clips, "--frames", 4, "--json").stdout)
    assert list(document["forms"]) == ["clip"]
    again = invoke("train", *words, "--out", tmp_path / "two", "--init", weights)
    assert again.exit_code == 0, again.output
    assert read_meta(tmp_path / "two" / "weights.safetensors").parameters["temporal_pool"] is True


def test_takes_and_networks_without_stages_are_refused(small_store, tmp_path):
    words = ("train", "--data", small_store, "--out", tmp_path / "x", "--size", 32, "--temporal-pool")
    refused = invoke(*words, "--width", 0.25)
    assert refused.exit_code == 2 and "Only a ResNet" in refused.stderr
    pooling = models.load("tsm-resnet18", size=32, labels=LABELS, temporal_pool=True)
    with pytest.raises(UsageError, match="answers about clips"):
        network.check_whole_clips(pooling, SimpleNamespace(takes=True))


def invoke(*words):
    return CliRunner().invoke(cli.cli, [str(word) for word in words])
