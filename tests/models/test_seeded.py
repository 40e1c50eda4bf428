"""Seeded weights: the same bytes every time, and networks that behave like trained ones."""

from __future__ import annotations

import hashlib

import pytest

from tsm_edge import models
from tsm_edge.errors import UsageError

torch = pytest.importorskip("torch")


def digest(net) -> str:
    found = hashlib.sha256()
    for key, value in sorted(net.state_dict().items()):
        found.update(key.encode() + value.numpy().tobytes())
    return found.hexdigest()


def test_same_seed_same_bytes(name):
    model = models.load(name, size=32, classes=5)
    threads = torch.get_num_threads()
    try:
        digests = []
        for count in (1, 2):
            torch.set_num_threads(count)
            torch.manual_seed(count)  # the global generator plays no part
            digests.append(digest(model.build(7)))
    finally:
        torch.set_num_threads(threads)
    assert digests[0] == digests[1]
    assert digest(model.build(8)) != digests[0]


def test_measured_numbers_have_few_bits(name):
    """So that float64 sums whose last bits differ between machines round to the same number."""
    state = models.load(name, size=32, classes=5).build().state_dict()
    names = ("running_mean", "running_var", "fc.bias", "classifier.bias")
    measured = [value for key, value in state.items() if key.endswith(names)]
    assert len(measured) > 40
    for values in measured:
        assert not (values.view(torch.int32) & 0xFFF).any()  # float32 has 24 bits, here 12 are used


def test_another_class_count_leaves_the_body_alone():
    few, many = (
        models.load("tsm-mobilenetv2", size=32, classes=count).build().state_dict() for count in (3, 9)
    )
    body = [key for key in few if not key.startswith("classifier")]
    assert body and all(torch.equal(few[key], many[key]) for key in body)


@pytest.mark.parametrize("size", [32, 224])
def test_activations_neither_vanish_nor_explode(name, size):
    model = models.load(name, size=size, classes=20)
    net = model.build()
    deviations = []
    hooks = [
        module.register_forward_hook(lambda _m, _i, output: deviations.append(float(output.std())))
        for module in net.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    ]
    clip = torch.randn(1, 4, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = net(clip)[0]
    for hook in hooks:
        hook.remove()
    assert len(deviations) > 15
    assert min(deviations) > 0.05 and max(deviations) < 5
    assert 1 < logits.std(1).mean() < 10, "the classes must be told apart"
    assert logits.std(0).mean() > 0.2, "the scores must move with the frames"
    assert logits.abs().max() < 30


def test_the_network_is_left_ready(built, name):
    _, net = built(name)
    assert not net.training
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in net.state_dict().values())
    assert all(tensor.isfinite().all() for tensor in net.state_dict().values())
    assert not any(module._forward_pre_hooks for module in net.modules())
    assert all(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, True, "0"])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(UsageError, match="Bad seed"):
        models.load("tsm-mobilenetv2", size=32).build(seed)
