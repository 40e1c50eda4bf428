"""Every kind of shift against its definition in plain loops, and the lagged stream against the clip form."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tsm_edge import models
from tsm_edge.errors import ModelError
from tsm_edge.models import OFFLINE, TemporalShift, frame_pool, shift_frames, shift_window

torch = pytest.importorskip("torch")


def plain(x, kind):
    """[T, C] shifted, one number after the other."""
    frames, channels = x.shape
    moved = {"none": 0, "uni": round(channels * kind.proportion), "bi": round(channels * kind.proportion)}
    future = moved["bi"] // 2 if kind.direction == "bi" else 0
    out = np.zeros_like(x)
    for t in range(frames):
        for c in range(channels):
            by = 1 if c < future else -1 if c < moved[kind.direction] else 0
            at = t + by
            if kind.padding == "circulant":
                at %= frames
            if kind.padding == "hold":
                at = min(max(at, 0), frames - 1)
            out[t, c] = x[at, c] if 0 <= at < frames else 0
    return out


@pytest.mark.parametrize("frames", [1, 2, 8])
@pytest.mark.parametrize("padding", ["zero", "circulant", "hold"])
def test_against_plain_loops(frames, padding):
    rng = np.random.default_rng(0)
    for direction, share in itertools.product(("uni", "bi", "none"), (0.0, 1 / 8, 1 / 4, 0.5, 1.0)):
        kind = TemporalShift(direction, share, padding=padding)
        x = rng.standard_normal((2, frames, 16)).astype(np.float32)
        found = shift_frames(torch.from_numpy(x).reshape(2 * frames, 16, 1, 1), frames, kind).reshape(x.shape)
        assert np.array_equal(found.numpy(), np.stack([plain(clip, kind) for clip in x])), kind


@pytest.mark.parametrize("frames", [2, 7])
@pytest.mark.parametrize("padding", ["zero", "circulant", "hold"])
def test_a_window_is_shifted_as_plain_loops_do(frames, padding):
    rng = np.random.default_rng(1)
    for direction, share in itertools.product(("uni", "bi", "none"), (0.0, 1 / 8, 0.5, 1.0)):
        kind = TemporalShift(direction, share, padding=padding)
        x = rng.standard_normal((frames, 16)).astype(np.float32)
        found = shift_window(torch.from_numpy(x).reshape(frames, 16, 1, 1), kind).reshape(x.shape)
        assert np.array_equal(found.numpy(), plain(x, kind)), kind


@pytest.mark.parametrize("frames", [1, 2, 5, 8])
def test_frames_are_pooled_as_plain_loops_do(frames):
    x = np.random.default_rng(2).standard_normal((frames, 3, 2, 2)).astype(np.float32)
    wanted = [x[max(t - 1, 0) : t + 2].max(0) for t in range(0, frames, 2)]
    assert np.array_equal(frame_pool(torch.from_numpy(x)).numpy(), np.stack(wanted))


def test_mits_shift_takes_the_future_first():
    x = torch.arange(1.0, 4).view(3, 1, 1, 1).repeat(1, 8, 1, 1)
    found = shift_frames(x, 3, OFFLINE)[:, :, 0, 0].T.tolist()
    assert found == [[2, 3, 0], [0, 1, 2], *[[1, 2, 3]] * 6]


@pytest.mark.parametrize(
    "kind",
    [
        OFFLINE,
        TemporalShift("bi", 0.5),
        TemporalShift("bi", 0.25, "inplace"),
        TemporalShift("uni", 0.25),
        TemporalShift("uni", 0.25, "inplace"),
        TemporalShift("none"),
    ],
)
def test_the_lagged_stream_equals_the_clip_form(kind):
    """Exactly so for every frame that the ends of the clip do not reach; a network without future does not lag."""
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, classes=3).streaming(kind)
    net, late = model.build(2), model.delay
    assert late == (10 if kind.direction == "bi" else 0)
    frames = 2 * late + 4
    clip = torch.randn((1, frames, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    states, found = model.zero_states(), []
    with torch.no_grad():
        for at in range(frames):
            logits, states = net.step(clip[:, at], states)
            found.append(logits[0])
        wanted = net(clip)[0][late : frames - late]
    assert torch.allclose(torch.stack(found)[2 * late :], wanted, atol=1e-4)
    assert len(states) == len(model.signature.states)


def test_a_manifest_cannot_name_another_delay():
    with pytest.raises(ModelError, match="delay"):
        models.load("tsm-resnet18", direction="bi", share=0.25, delay_frames=3)
    with pytest.raises(ModelError, match="no ends"):
        models.load("tsm-resnet18").streaming(TemporalShift("bi", 0.25, padding="circulant"))
