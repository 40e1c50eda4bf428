"""Checkpoints in every form that other projects write load to the same outputs.

The forms are made from our own networks by writing the keys as those projects do; tests/models/test_foreign_keys.py
holds the names one by one.
"""

from __future__ import annotations

import hashlib
import re

import pytest

from tsm_edge import models
from tsm_edge.errors import DirectionUnknown
from tsm_edge.models import make_net
from tsm_edge.weights import checkpoints

torch = pytest.importorskip("torch")

MOBILENET, RESNETS = "tsm-mobilenetv2", ("tsm-resnet18", "tsm-resnet50")
SHIFTED = (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)
# mmaction2's stages of MobileNetV2, by the index in `features`
STAGE = {1: "1.0", 2: "2.0", 3: "2.1", 4: "3.0", 5: "3.1", 6: "3.2", 7: "4.0", 8: "4.1", 9: "4.2", 10: "4.3"}
STAGE |= {11: "5.0", 12: "5.1", 13: "5.2", 14: "6.0", 15: "6.1", 16: "6.2", 17: "7.0"}


def mit_shift(key: str) -> str:
    """The key of MIT's offline training: the first convolution of a shifted block is wrapped."""
    key = re.sub(r"^(layer\d\.\d+\.conv1)\.", r"\1.net.", key)
    block = re.match(r"features\.(\d+)\.conv\.0\.", key)
    return key.replace("conv.0.", "conv.0.net.") if block and int(block[1]) in SHIFTED else key


def mit_offline(key: str) -> str:
    head = re.match(r"(classifier|fc)\.(\w+)$", key)
    return f"module.new_fc.{head[2]}" if head else f"module.base_model.{mit_shift(key)}"


def mit_published(key: str) -> str:
    """The published Kinetics MobileNetV2 keeps its head inside base_model."""
    return f"module.base_model.{mit_shift(key)}"


def mit_offline_deep(key: str) -> str:
    """ResNet-101 has its shifts in every second block."""
    found = re.match(r"layer\d\.(\d+)\.conv1\.", key)
    return f"module.base_model.{key}" if found and int(found[1]) % 2 else mit_offline(key)


def mmaction_mobilenet(key: str) -> str:
    if key.startswith("classifier."):
        return f"cls_head.fc_cls.{key.partition('.')[2]}"
    if found := re.match(r"features\.(0|18)\.([01])\.(\w+)", key):
        return f"backbone.conv{1 if found[1] == '0' else 2}.{('conv', 'bn')[int(found[2])]}.{found[3]}"
    block, at, rest = re.match(r"features\.(\d+)\.conv\.(\d+)\.(\w+)", key).groups()
    net = ".net" if int(block) in SHIFTED and int(at) < 3 else ""
    return f"backbone.layer{STAGE[int(block)]}.conv.{int(at) // 3}{net}.{('conv', 'bn')[int(at) % 3]}.{rest}"


def mmaction_resnet(key: str) -> str:
    if key.startswith("fc."):
        return f"cls_head.fc_cls.{key[3:]}"
    key = key.replace("downsample.0", "downsample.conv").replace("downsample.1", "downsample.bn")
    key = re.sub(r"\bconv(\d)\.weight", r"conv\1.conv.weight", key)
    key = re.sub(r"(layer.*conv1\.conv)\.", r"\1.net.", key)
    return "backbone." + re.sub(r"\bbn(\d)\.", r"conv\1.bn.", key)


def torchvision_mobilenet(key: str) -> str:
    if key.startswith("classifier."):
        return key.replace("classifier.", "classifier.1.")
    found = re.match(r"features\.(\d+)\.conv\.(\d+)\.(\w+)", key)
    if not found:
        return key
    conv, part = divmod(int(found[2]), 3)
    last = 1 if found[1] == "1" else 2
    place = f"{last + part}" if conv == last else f"{conv}.{part}"
    return f"features.{found[1]}.conv.{place}.{found[3]}"


def same(key: str) -> str:
    return key


FORMS = [
    (MOBILENET, "ours, and MIT online", same, "uni"),
    (MOBILENET, "MIT offline, trained by a user", mit_offline, None),
    (MOBILENET, "MIT offline, published", mit_published, None),
    (MOBILENET, "mmaction2", mmaction_mobilenet, None),
    (MOBILENET, "torchvision", torchvision_mobilenet, None),
    *((name, "ours, and torchvision", same, None) for name in RESNETS),
    *((name, "MIT offline", mit_offline, None) for name in RESNETS),
    *((name, "mmaction2", mmaction_resnet, None) for name in RESNETS),
    ("tsm-resnet101", "MIT offline", mit_offline_deep, None),
]


def scores(net):
    frames = torch.randn(1, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return net(frames)


@pytest.fixture(scope="module")
def blank():
    """Return blank(name) -> a net of 5 classes, all zeros, that a test may load into."""
    nets = {name: make_net(models.load(name, classes=5).layers) for name in models.names()}

    def zeroed(name):
        with torch.no_grad():
            for tensor in nets[name].state_dict().values():
                tensor.zero_()
        return nets[name]

    return zeroed


@pytest.mark.parametrize(("name", "form", "rename", "direction"), FORMS, ids=[f"{f[0]} {f[1]}" for f in FORMS])
@pytest.mark.parametrize("wrapped", [True, False], ids=["wrapped", "bare"])
def test_every_form_loads(built, blank, tmp_path, name, form, rename, direction, wrapped):
    model, source = built(name)
    state = {rename(key): value for key, value in source.state_dict().items() if "num_batches" not in key}
    assert len(state) == sum("num_batches" not in key for key in source.state_dict())
    if wrapped:
        state = {
            "epoch": 50,
            "arch": "x",
            "state_dict": state,
            "optimizer": {"lr": 0.1},
            "best_prec1": torch.ones(1),
        }
    file = tmp_path / "weights.pth.tar"
    torch.save(state, file)
    net = blank(name)
    report = checkpoints.load_into(net, file, model)
    assert torch.equal(scores(net), scores(source))
    assert report.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    beside = ("no weights, left out: best_prec1",) if wrapped else ()
    assert report.notes == beside
    if direction is None or wrapped:  # MIT's online file is a bare state_dict
        with pytest.raises(DirectionUnknown, match="--direction bi"):
            checkpoints.shift_of(file, model)
    else:
        assert checkpoints.shift_of(file, model)[0] == models.ONLINE
    assert checkpoints.shift_of(file, model, asked="bi") == (models.OFFLINE, "--direction")
    assert checkpoints.class_count(file, model) == 5


def test_batch_counters_and_preprocessor_are_ignored(built, blank, tmp_path):
    model, source = built("tsm-resnet18")
    state = dict(source.state_dict()) | {"data_preprocessor.mean": torch.zeros(3, 1, 1)}
    torch.save({"meta": {"epoch": 1}, "state_dict": state}, tmp_path / "w.pth")
    net = blank("tsm-resnet18")
    checkpoints.load_into(net, tmp_path / "w.pth", model)
    assert torch.equal(scores(net), scores(source))


def test_old_file_format_and_half_precision(built, blank, tmp_path):
    model, source = built("tsm-mobilenetv2")
    half = {
        key: value.half() if value.is_floating_point() else value
        for key, value in source.state_dict().items()
    }
    torch.save(half, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    net = blank("tsm-mobilenetv2")
    checkpoints.load_into(net, tmp_path / "w.pth", model)
    assert all(value.dtype == torch.float32 for value in net.parameters())
    wanted = scores(source)
    assert (scores(net) - wanted).abs().max() < 0.05 * wanted.abs().max()


def test_safetensors(built, blank, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch", reason="the package safetensors is optional")
    model, source = built("tsm-resnet18")
    safetensors.save_file(source.state_dict(), tmp_path / "w.safetensors")
    net = blank("tsm-resnet18")
    checkpoints.load_into(net, tmp_path / "w.safetensors", model)
    assert torch.equal(scores(net), scores(source))


def test_mmaction_jester_has_another_order(tmp_path):
    model = models.load(MOBILENET, size=32)
    net = model.build()
    torch.save(
        {mmaction_mobilenet(key): value for key, value in net.state_dict().items()}, tmp_path / "w.pth"
    )
    report = checkpoints.load_into(net, tmp_path / "w.pth", model)
    assert report.notes == (checkpoints.OTHER_ORDER,)
    assert report.weights.source == "file"
    assert report.weights.note == "; ".join(("w.pth", *report.notes))


def test_prepare_says_where_the_weights_are_from(built, tmp_path):
    model, source = built(MOBILENET)
    net, info = checkpoints.prepare(model, seed=3)
    assert (info.source, info.sha256) == ("seeded", "") and "seed 3" in info.note
    torch.save(source.state_dict(), tmp_path / "mine.pth")
    net, info = checkpoints.prepare(model, tmp_path / "mine.pth")
    assert (info.source, info.note, len(info.sha256)) == ("file", "mine.pth", 64)
    assert torch.equal(scores(net), scores(source))
