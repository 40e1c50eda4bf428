"""Checkpoints of the family's networks: every documented form is mapped, what is left over or missing is refused."""

from __future__ import annotations

import functools
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
from tsm_edge.weights import convert, convert_clips
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


def eco(key):
    """The authors' port of ECO: the Caffe layers' names behind TSN's wrapper, whose head replaces theirs."""
    return f"module.new_fc.{key[4:]}" if key.startswith("fc8.") else f"module.base_model.{key}"


def eco_bare(key):
    """The same trained without a dropout, which leaves the head in its place."""
    return "module.base_model." + key.replace("fc8.", "fc_final.")


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
    ("i3d-nonlocal-resnet50", mmaction, Asked(model="i3d-nonlocal-resnet50")),
    ("eco-lite", eco, Asked()),
    ("eco-lite", eco_bare, Asked()),
    ("eco-full", eco, Asked()),
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
    theirs = (rename is mit and "bninception" in name) or name.startswith("eco-")
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


def configured(words, key="cfg"):
    """What mmaction2 saves beside the weights: the text of a configuration (0.x: "config", 1.x: "cfg")."""
    norm = "norm_cfg=dict(type='BN3d', requires_grad=True)"
    return {"meta": {key: f"model = dict(test_mode=True, backbone=dict(non_local_cfg=dict({norm}, {words})))"}}


NON_LOCAL_STATE = functools.cache(lambda: state_of(clips.load("i3d-nonlocal-resnet50", classes=5), mmaction))


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        ("use_scale=False, mode='embedded_gaussian'", None),
        ("use_scale=False", None),
        ("use_scale=False, mode='dot_product'", "found: mode dot_product, by"),
        ("mode='embedded_gaussian'", "found: mode embedded_gaussian, scaled"),
    ],
)
@pytest.mark.parametrize("key", ["cfg", "config"])
def test_the_kind_of_non_local_blocks_is_in_the_configuration(tmp_path, words, refused, key):
    file = tmp_path / "w.pth"
    file.write_bytes(b"its hash")
    content = {"state_dict": NON_LOCAL_STATE(), **configured(words, key)}
    fit = convert_clips.fit_of(content, None, None)
    assert fit.model.name == "i3d-nonlocal-resnet50"
    if refused is None:
        done = convert_clips.convert_clips(file, content, fit, Asked())
        assert len(done.tensors) == len(clips.shapes_of(fit.model.network))
    else:
        with pytest.raises(CheckpointError, match=refused):
            convert_clips.convert_clips(file, content, fit, Asked())


def test_the_same_tensors_of_another_network_are_refused(tmp_path):
    state = NON_LOCAL_STATE()
    with pytest.raises(UsageError, match="of which kind its non-local blocks are"):
        convert_clips.convert_clips(tmp_path / "w.pth", state, convert_clips.fit_of(state, None, None), Asked())
    fairs = convert_clips.fit_of(state, "i3d-nonlocal", None)
    with pytest.raises(CheckpointError, match="pool in another place"):
        convert_clips.convert_clips(tmp_path / "w.pth", state, fairs, Asked(model="i3d-nonlocal"))


def test_a_port_of_eco_that_is_another_network_is_refused():
    """One in use has a further convolution at the start of the 3-D part, and no strided ones beside the branches."""
    state = state_of(clips.load("eco-lite", classes=5), eco)
    del state["module.base_model.res4a_down.weight"]
    state["module.base_model.res3a_1.weight"] = torch.zeros(128, 96, 3, 3, 3)
    assert convert_clips.fit_of(state, None, None) is None
    text = str(convert_clips.misfit(Path("w.pth"), convert_clips.nearest(state, None)))
    assert "does not fit eco-lite" in text and "res4a_down.weight" in text and "res3a_1.weight" in text


def torchvision_video(halves, depth):
    """The keys of torchvision's video ResNets and their kernels; depth: of those behind the first stage."""
    one, state = torch.full((1,), 0.5), {"stem.0.weight": torch.zeros(1), "fc.weight": torch.zeros(400, 512)}
    for stage, channels in enumerate((64, 128, 256, 512), 1):
        for conv in ("conv1", "conv2"):
            kernel = (3 if stage == 1 else depth, 3, 3)
            if halves:
                state[f"layer{stage}.0.{conv}.0.0.weight"] = one.expand(144, channels, 1, 3, 3)
                state[f"layer{stage}.0.{conv}.0.3.weight"] = one.expand(channels, 144, 3, 1, 1)
            else:
                state[f"layer{stage}.0.{conv}.0.weight"] = one.expand(channels, channels, *kernel)
    return state


@pytest.mark.parametrize(
    ("name", "halves", "depth"), [("r3d_18", False, 3), ("mc3_18", False, 1), ("r2plus1d_18", True, 3)]
)
def test_torchvisions_video_networks_are_refused_by_name(tmp_path, name, halves, depth):
    file = tmp_path / "w.pth"
    torch.save({f"module.{key}": value.clone() for key, value in torchvision_video(halves, depth).items()}, file)
    with pytest.raises(CheckpointError, match=rf"of torchvision.models.video.{name}, a network") as caught:
        convert.convert(file, Asked())
    assert "eco-lite" in str(caught.value.allowed)


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
