"""T steps from zero states are the clip form, for every model; and the states matter."""

from __future__ import annotations

import pytest

from tsm_edge import models

torch = pytest.importorskip("torch")

TOLERANCE = 1e-5  # of the largest logit


def run_steps(model, net, clip):
    """Step through clip [1, T, 3, S, S] from zero states; return logits [1, T, classes] and the last states."""
    states, logits = model.zero_states(), []
    with torch.no_grad():
        for frame in clip.unbind(1):
            scores, states = net.step(frame, states)
            logits.append(scores)
    return torch.stack(logits, 1), states


def random_clip(size: int, frames: int, count: int = 1):
    return torch.randn(count, frames, 3, size, size, generator=torch.Generator().manual_seed(frames))


def assert_close(got, wanted):
    assert got.shape == wanted.shape
    assert (got - wanted).abs().max() <= TOLERANCE * wanted.abs().max()


@pytest.mark.parametrize("frames", [1, 2, 8, 17])
def test_steps_equal_the_clip(built, name, frames):
    model, net = built(name)
    clip = random_clip(model.size, frames)
    with torch.no_grad():
        wanted = net(clip)
    logits, states = run_steps(model, net, clip)
    assert_close(logits, wanted)
    assert [tuple(state.shape) for state in states] == [pair.input.shape for pair in model.signature.states]


@pytest.mark.parametrize("size", [32, 160])
def test_steps_equal_the_clip_at_other_sizes(built, name, size):
    model, net = built(name, size)
    clip = random_clip(size, 3)
    with torch.no_grad():
        assert_close(run_steps(model, net, clip)[0], net(clip))


def test_steps_equal_the_clip_at_full_size():
    model = models.load("tsm-mobilenetv2")
    net = model.build()
    clip = random_clip(224, 4)
    with torch.no_grad():
        assert_close(run_steps(model, net, clip)[0], net(clip))


def test_narrow_and_wide_networks_step():
    for width in (0.35, 1.4):
        model = models.load("tsm-mobilenetv2", width=width, size=32, classes=3)
        net, clip = model.build(), random_clip(32, 3)
        with torch.no_grad():
            assert_close(run_steps(model, net, clip)[0], net(clip))


def test_clips_of_a_batch_do_not_mix(built, name):
    _, net = built(name)
    clips = random_clip(64, 4, count=2)
    with torch.no_grad():
        both = net(clips)
        for index in range(2):
            assert_close(both[index : index + 1], net(clips[index : index + 1]))


def test_the_past_counts_and_the_future_does_not(built, name):
    _, net = built(name)
    clip = random_clip(64, 6)
    changed = clip.clone()
    changed[:, 3] = random_clip(64, 7)[:, 0]
    with torch.no_grad():
        before, after = net(clip), net(changed)
    difference = (before - after).abs().amax((0, 2)) / before.abs().max()
    assert difference[:3].max() < TOLERANCE, "a frame changed what was said before it"
    assert difference[4:].min() > 0.01, "a frame did not change what is said after it"


def test_states_matter(built, name):
    model, net = built(name)
    clip = random_clip(64, 4)
    with torch.no_grad():
        forgetful = torch.stack([net.step(frame, model.zero_states())[0] for frame in clip.unbind(1)], 1)
    logits, _ = run_steps(model, net, clip)
    assert_close(forgetful[:, :1], logits[:, :1])
    assert (forgetful - logits)[:, 1:].abs().amax(2).min() > 0.05 * logits.abs().max()


def test_a_step_leaves_its_states_alone(built, name):
    model, net = built(name)
    _, states = run_steps(model, net, random_clip(64, 1))
    copies = [state.clone() for state in states]
    with torch.no_grad():
        net.step(random_clip(64, 2)[:, 0], states)
    assert all(torch.equal(state, copy) for state, copy in zip(states, copies))


def test_a_state_is_the_raw_block_input():
    """cache0 of MobileNetV2 is the first 3 channels of what features.2 gives, before any shift."""
    model = models.load("tsm-mobilenetv2", size=64)
    net, frame = model.build(), random_clip(64, 1)[:, 0]
    seen = []
    hook = net.get_submodule("features.2.conv.7").register_forward_hook(lambda *args: seen.append(args[-1]))
    with torch.no_grad():
        _, states = net.step(frame, tuple(torch.ones_like(state) for state in model.zero_states()))
    hook.remove()
    assert torch.equal(states[0], seen[0][:, :3])


def test_bidirectional_weights_are_another_network(built, name):
    """The trap of the docs: the offline shift puts the future where the online step keeps the past."""
    model, net = built(name)
    clip = random_clip(64, 8)
    logits, _ = run_steps(model, net, clip)
    with torch.no_grad():
        offline = models.run_clip(net, model.layers, clip, models.OFFLINE)
    assert (offline - logits).abs().max() > 0.05 * logits.abs().max()
