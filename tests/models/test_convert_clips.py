"""Checkpoints of the family's networks: every documented form is mapped, what is left over or missing is refused."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import checkpoint_forms as forms
import pytest
from click.testing import CliRunner

from tsm_edge.cli import cli
from tsm_edge.errors import CheckpointError, DirectionUnknown, UsageError
from tsm_edge.models import OFFLINE, TemporalShift, clips
from tsm_edge.weights import convert_clips
from tsm_edge.weights.asked import Asked
from tsm_edge.weights.meta import read_meta

torch = pytest.importorskip("torch")
NON_LOCAL = re.compile(r"^(layer2\.[02]|layer3\.[024])\.(?!nl)")


def mit(key):
    """MIT's training code with non-local blocks, and the authors of TRN: a backbone, a head, perhaps relations."""
    if key.startswith(("new_fc.", "consensus.")):
        return f"module.{key}"
    if key.startswith("fc."):
        return f"module.new_fc.{key[3:]}"
    key = re.sub(r"^(layer\d\.\d\.conv1)\.", r"\1.net.", key) if "inception" not in key else key
    key = NON_LOCAL.sub(r"\1.block.", key)
    return "module.base_model." + re.sub(r"\.nl\.(g|phi)\.", r".nl.\1.0.", key)


def mmaction(key, net=False):
    """mmaction2: convolution and norm beside each other; non-local blocks are mmcv's."""
    if key.startswith("consensus."):
        return f"cls_head.{key}"
    key = key.replace("new_fc.", "fc.")
    if ".nl." in key:
        key = re.sub(r"\.nl\.(g|phi)\.", r".non_local_block.\1.0.conv.", f"backbone.{key}")
        key = key.replace(".nl.theta.", ".non_local_block.theta.conv.")
        return key.replace(".nl.W.0.", ".non_local_block.conv_out.conv.").replace(
            ".nl.W.1.", ".non_local_block.conv_out.bn."
        )
    block = NON_LOCAL.match(key) if net else None
    key = forms.mmaction_resnet(key)
    key = key if net else key.replace(".conv.net.", ".conv.")
    return key.replace(f"{block[1]}.", f"{block[1]}.block.", 1) if block else key


FORMS = [
    ("tsm-nonlocal-resnet50", mit, Asked(direction="bi")),
    ("tsm-nonlocal-resnet50", lambda key: mmaction(key, net=True), Asked(direction="bi")),
    ("tsm-bninception", mit, Asked(direction="bi")),
    ("tsn-bninception", mit, Asked(direction="none")),
    ("trn-multiscale-bninception", mit, Asked()),
    ("trn-multiscale-resnet50", mmaction, Asked()),
    ("trn-resnet50", mmaction, Asked()),
    ("i3d-resnet50", mmaction, Asked(model="i3d-resnet50")),
]


def state_of(model, rename):
    """A state_dict with another project's keys and no values to speak of: a view of one number has any shape."""
    one = torch.full((1,), 0.5)
    shapes = clips.shapes_of(model.network)
    return {
        rename(key): one.expand(shape)
        for key, shape in shapes.items()
        if not (rename(key).endswith("conv_out.conv.bias"))
    }


@pytest.mark.parametrize(("name", "rename", "asked"), FORMS, ids=[f"{f[0]}-{i}" for i, f in enumerate(FORMS)])
def test_there_and_back(tmp_path, name, rename, asked):
    model = clips.load(name, classes=5)
    content = {"state_dict": state_of(model, rename), "epoch": 3}
    fit = convert_clips.fit_of(content, asked.model, asked.direction)
    assert fit is not None and fit.model.name == name
    assert (fit.model.classes, fit.model.frames) == (5, model.frames)
    file = tmp_path / "w.pth"
    file.write_bytes(b"its hash")
    done = convert_clips.convert_clips(file, content, fit, asked)
    assert {key: tuple(value.shape) for key, value in done.tensors.items()} == clips.shapes_of(model.network)
    shift = OFFLINE if name.startswith("tsm-") else TemporalShift("none")
    assert done.shift == shift and done.meta("w.pth").shift == asdict(shift)
    theirs = rename is mit and "bninception" in name
    assert (done.preprocess.color, done.preprocess.scale) == (("bgr", 1.0) if theirs else ("rgb", 255.0))
    assert ("biases" in "".join(done.notes)) == any("conv_out" in key for key in content["state_dict"])


def test_the_keys_of_our_own_are_the_tensors_of_the_network():
    for name in ("trn-resnet50", "tsn-bninception"):
        net = clips.load(name, size=64, classes=3).build()
        shapes = {k: tuple(v.shape) for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
        assert clips.shapes_of(clips.load(name, size=64, classes=3).network) == shapes


def test_left_over_and_missing_keys_are_named():
    model = clips.load("trn-resnet50", classes=5)
    state = state_of(model, mmaction)
    del state["cls_head.consensus.classifier.3.bias"]
    state["backbone.layer9.weight"] = torch.zeros(3)
    assert convert_clips.fit_of(state, None, None) is None
    near = convert_clips.nearest(state, None)
    assert near is not None and near.model.name == "trn-resnet50"
    text = str(convert_clips.misfit(Path("w.pth"), near))
    assert "1 missing: consensus.classifier.3.bias" in text and "1 unexpected: backbone.layer9.weight" in text


def test_what_a_file_does_not_say_is_asked(tmp_path):
    state = state_of(clips.load("tsm-nonlocal-resnet50", classes=5), mit)
    fit = convert_clips.fit_of(state, None, None)
    with pytest.raises(DirectionUnknown, match="does not say"):
        convert_clips.convert_clips(tmp_path / "w.pth", state, fit, Asked())
    with pytest.raises(UsageError, match="both sides"):
        convert_clips.convert_clips(tmp_path / "w.pth", state, fit, Asked(direction="uni"))
    with pytest.raises(UsageError, match="Several networks"):
        convert_clips.fit_of(state_of(clips.load("i3d-resnet50", classes=5), mmaction), None, None)


def test_the_same_tensors_of_another_network_are_refused(tmp_path):
    state = state_of(clips.load("i3d-nonlocal", classes=5), mmaction)
    fit = convert_clips.fit_of(state, None, None)
    assert fit.model.name == "i3d-nonlocal"
    with pytest.raises(CheckpointError, match="pool in another place"):
        convert_clips.convert_clips(tmp_path / "w.pth", state, fit, Asked())


def test_the_command(tmp_path, monkeypatch):
    """A half-precision file of the authors' TSN on BNInception: converted, and refused where it is damaged."""
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("safetensors", reason="the package safetensors is optional")
    state = {key: value.half() for key, value in state_of(clips.load("tsn-bninception", classes=5), mit).items()}
    torch.save({"state_dict": state}, "w.pth")

    def convert(*words):
        return CliRunner().invoke(cli, ["convert", "w.pth", "-o", "out.safetensors", *words])

    done = convert("--direction", "none", "--json")
    assert done.exit_code == 0, done.output
    document, meta = json.loads(done.stdout), read_meta("out.safetensors")
    assert document["model"] == meta.model == "tsn-bninception" and meta.pictures.color == "bgr"
    assert convert("--direction", "none", "--verify").exit_code == 2
    del state["module.base_model.inception_5b_1x1.weight"]
    torch.save({"state_dict": state}, "w.pth")
    refused = convert("--direction", "none")
    assert refused.exit_code == CheckpointError.exit_code and "inception_5b_1x1.weight" in refused.stderr
