"""`tsm-edge convert`: every documented form there and back, what is found out, what is asked for, what is refused."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from pathlib import Path

import checkpoint_forms as forms
import pytest
from click.testing import CliRunner

from tsm_edge import models
from tsm_edge.cli import cli
from tsm_edge.commands.model_options import check_direction, model_from
from tsm_edge.models import JESTER, JESTER_OFFICIAL, OFFLINE, ONLINE, TemporalShift
from tsm_edge.weights.meta import read_meta

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch", reason="the package safetensors is optional")

OUT = "out.safetensors"
PROJECTS = {
    "ours, and MIT online": ("MIT temporal-shift-module, online demo", "uni"),
    "MIT offline, trained by a user": ("MIT temporal-shift-module", None),
    "MIT offline, published": ("MIT temporal-shift-module", None),
    "MIT offline": ("MIT temporal-shift-module", None),
    "mmaction2": ("mmaction2 (0.x or 1.x)", None),
    "torchvision": ("torchvision", None),
    "ours, and torchvision": ("torchvision, or keys like its own", None),
}
#: ResNet-101 takes long and differs in its shifts only, which tests/models/test_checkpoints.py has
FORMS = [form for form in forms.FORMS if form[0] != "tsm-resnet101"]


@pytest.fixture
def convert(tmp_path, monkeypatch):
    """Return convert(content, *words, name="w.pth") -> the result of the command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(content, *words, name="w.pth"):
        torch.save(content, name)
        return CliRunner().invoke(cli, ["convert", name, "-o", OUT, *map(str, words)])

    return run


def renamed(net, rename):
    return {rename(key): value for key, value in net.state_dict().items() if "num_batches" not in key}


def holds(net, tolerance=0.0):
    found = safetensors.load_file(OUT)
    wanted = {key: value for key, value in net.state_dict().items() if "num_batches" not in key}
    return found.keys() == wanted.keys() and all(
        torch.allclose(found[key], wanted[key], rtol=0, atol=tolerance) for key in wanted
    )


@pytest.mark.parametrize(("name", "form", "rename", "_"), FORMS, ids=[f"{f[0]} {f[1]}" for f in FORMS])
def test_there_and_back(convert, built, name, form, rename, _):
    net = built(name)[1]
    project, direction = PROJECTS[form]
    if direction is None:
        asked = convert(renamed(net, rename))
        assert asked.exit_code == 2 and "--direction bi" in asked.stderr and not Path(OUT).exists()
    done = convert(renamed(net, rename), *(() if direction else ("--direction", "bi")), "--json")
    assert done.exit_code == 0, done.output
    document, meta = json.loads(done.stdout), read_meta(OUT)
    assert holds(net)
    assert document["source"]["project"] == project
    assert (document["model"], meta.model) == (name, name)
    assert meta.shift == (None if direction else asdict(OFFLINE))
    assert meta.labels == tuple(f"class {index}" for index in range(5))
    assert document["preprocess"]["resize"] == [256, 256] and document["parameters"]["size"] == 224


def test_the_written_file_needs_nothing_more(convert, built):
    """It says its network, labels and shift; a bi-directional one runs as a lagged stream."""
    net = built("tsm-resnet18")[1]
    Path("l.txt").write_text("a\nb\nc\nd\ne\n")
    options = {"width": None, "size": None, "classes": None, "labels": None}
    for direction, words in (("uni", ()), ("bi", ("--as-online",))):
        done = convert(net.state_dict(), "--direction", direction, "--labels", "l.txt", "--size", 64, *words)
        assert done.exit_code == 0, done.output
        model = model_from("tsm-resnet18", weights=Path(OUT), **options)
        assert (model.labels, model.size) == (tuple("abcde"), 64)
        assert check_direction(model, Path(OUT), None, None, False) == (model, False)
    assert convert(net.state_dict(), "--direction", "bi", "--labels", "l.txt").exit_code == 0
    done = CliRunner().invoke(cli, ["export", "tsm-resnet18", "--weights", OUT])
    assert done.exit_code == 0 and "8 frames" in done.stderr and "its metadata" in done.stderr


def test_half_precision_and_an_old_file(convert, built):
    net = built("tsm-mobilenetv2")[1]
    half = {f"module.{key}": value.half() for key, value in renamed(net, forms.same).items()}
    torch.save(half, "old.pth", _use_new_zipfile_serialization=False)
    done = CliRunner().invoke(cli, ["convert", "old.pth", "-o", OUT, "--direction", "uni"])
    assert done.exit_code == 0, done.output
    assert holds(net, 0.05)
    assert CliRunner().invoke(cli, ["convert", OUT, "-o", OUT, "--half"]).exit_code == 0
    assert {value.dtype for value in safetensors.load_file(OUT).values()} == {torch.float16}


def test_the_width_is_found(convert):
    model = models.load("tsm-mobilenetv2", width=0.35, size=32, classes=4)
    done = convert(model.build(2).state_dict(), "--verify", "--json")
    document = json.loads(done.stdout)
    assert document["parameters"]["width"] == 0.35
    assert (
        document["verify"]["forms"] == "clip form and steps" and 0 <= document["verify"]["difference"] < 1e-4
    )


def test_no_width_fits(convert):
    model = models.load("tsm-mobilenetv2", width=0.6, size=32, classes=4)
    done = convert(model.build(2).state_dict())
    assert done.exit_code == 1 and "--width" in done.stderr
    assert convert(model.build(2).state_dict(), "--width", 0.6).exit_code == 0


@pytest.mark.parametrize("name", ["tsm-mobilenetv2", "tsm-resnet18"])
def test_verify_runs_the_lagged_stream(convert, built, name):
    done = convert(built(name)[1].state_dict(), "--direction", "bi", "--verify")
    assert done.exit_code == 0, done.output
    late = {"tsm-mobilenetv2": 10, "tsm-resnet18": 8}[name]
    assert f"clip form and lagged stream, {late} frames late" in done.stdout
    assert f"tsm-edge compile {name}" in done.stdout.splitlines()[-1]


def test_a_shift_around_blocks_is_in_place(convert, built):
    state = built("tsm-resnet18")[1].state_dict()
    around = {key.replace(".conv", ".net.conv").replace(".bn", ".net.bn").replace(".down", ".net.down"): state[key]
              for key in state if "num_batches" not in key}  # fmt: skip
    done = convert(around, "--direction", "bi", "--json")
    assert done.exit_code == 0, done.output
    assert read_meta(OUT).shift == asdict(TemporalShift("bi", 0.25, "inplace")) and holds(
        built("tsm-resnet18")[1]
    )
    refused = convert(around, "--direction", "bi", "--as-online")
    assert refused.exit_code == 2 and "inplace" in refused.stderr


@pytest.mark.parametrize("place", ["blockres", "block"])
def test_temporal_pooling_is_told_by_the_keys(convert, built, place):
    """Such a network has no stream: what is compiled of it is a window, and what is written says so."""
    net = built("tsm-resnet18")[1]
    state = renamed(net, forms.mit_pooled)
    if place == "block":
        state = {key.replace(".conv1.net.", ".conv1."): value for key, value in state.items()}
        state = {re.sub(r"(layer\d(\.net)?\.\d)\.", r"\1.net.", key): value for key, value in state.items()}
    done = convert(state, "--direction", "bi", "--verify", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["parameters"]["temporal_pool"] is True and holds(net)
    assert document["verify"]["forms"] == "clip form and window" and document["verify"]["difference"] < 1e-5
    assert document["shift"]["place"] == ("inplace" if place == "block" else "residual")
    for weights in (OUT, "w.pth"):
        words = dict(width=None, size=None, classes=None, labels=None)
        model = model_from("tsm-resnet18", weights=Path(weights), **words)
        asked = "bi" if weights == "w.pth" else None
        formed, reorder = check_direction(model, Path(weights), None, asked, False)
        assert (formed.window, formed.pools, reorder) == (models.Window(8, 4), True, False)
    refused = convert(state, "--direction", "bi", "--as-online")
    assert refused.exit_code == 2 and "--init" in refused.stderr


@pytest.mark.parametrize(
    ("name", "words", "share", "said"),
    [
        ("TSM_x_RGB_resnet18_shift4_blockres_avg.pth", (), 0.5, "the name of the file"),
        ("TSM_x_RGB_resnet18_shift4_blockres_avg.pth", ("--shift-div", 16), 0.125, "--shift-div"),
        ("w.pth", (), 0.25, "--direction"),
    ],
)
def test_the_share_of_the_shift(convert, built, name, words, share, said):
    done = convert(built("tsm-resnet18")[1].state_dict(), "--direction", "bi", *words, "--json", name=name)
    document = json.loads(done.stdout)
    assert document["shift"]["proportion"] == share and said in document["why"]["shift"]


def test_both_orders_of_labels(convert):
    assert sorted(JESTER) == sorted(JESTER_OFFICIAL) == list(JESTER) != list(JESTER_OFFICIAL)
    net = models.load("tsm-mobilenetv2", size=32).build()
    mmaction, mit = renamed(net, forms.mmaction_mobilenet), renamed(net, forms.mit_offline)
    bi = ("--direction", "bi")
    for state, words, wanted in (
        (mmaction, (), JESTER_OFFICIAL),
        (mmaction, ("--label-order", "mit"), JESTER),
        (mit, (), JESTER),
        (mit, ("--label-order", "official"), JESTER_OFFICIAL),
        (renamed(net, forms.torchvision_mobilenet), (), tuple(f"class {index}" for index in range(27))),
    ):
        assert convert(state, *bi, *words).exit_code == 0
        assert read_meta(OUT).labels == wanted


def test_an_order_of_other_classes(convert, built):
    done = convert(built("tsm-resnet18")[1].state_dict(), "--direction", "uni", "--label-order", "mit")
    assert done.exit_code == 2 and "27 classes of Jester" in done.stderr


def test_statistics_of_the_file_reach_the_network(convert, built):
    """mmaction2 1.x keeps mean and std in the files that it saves; they go on into what is compiled."""
    state = renamed(built("tsm-resnet18")[1], forms.mmaction_resnet)
    state |= {
        "data_preprocessor.mean": torch.full((3, 1, 1), 127.5),
        "data_preprocessor.std": torch.full((3, 1, 1), 51.0),
    }
    content = {"meta": {"mmengine_version": "0.10.1"}, "state_dict": state}
    done = convert(content, "--direction", "uni", "--rate", 25, "--json")
    document = json.loads(done.stdout)
    assert document["source"]["project"] == "mmaction2 1.x"
    options = {"width": None, "size": None, "classes": None, "labels": None}
    for size in (None, 96):
        model = model_from("tsm-resnet18", weights=Path(OUT), **{**options, "size": size})
        seen = model.preprocess
        assert (seen.mean, seen.std, seen.rate_fps) == ((0.5,) * 3, (0.2,) * 3, 25)
        assert seen.crop == (model.size, model.size)
    usual = convert({"meta": {"mmcv_version": "1.7"}, "state_dict": state}, "--direction", "uni", "--json")
    assert json.loads(usual.stdout)["source"]["project"] == "mmaction2 0.x"


def test_a_checkpoint_of_our_training(convert, built):
    net = built("tsm-resnet18")[1]
    settings = {"model": "tsm-resnet18", "parameters": {"size": 64, "classes": 5}, "labels": list("abcde"),
                "rate_fps": 12.0, "variant": asdict(ONLINE)}  # fmt: skip
    done = convert({"net": net.state_dict(), "optimizer": {}, "settings": settings}, "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["labels"] == list("abcde") and document["parameters"]["size"] == 64
    assert document["source"]["project"].startswith("tsm-edge") and read_meta(OUT).shift is None


class Evil:
    """A pickle that would run a command."""

    def __reduce__(self):
        return (os.system, ("touch run-by-the-pickle",))


@pytest.mark.parametrize(
    "damage", ["truncated", "malicious", "left over", "missing", "other network", "no file", "folder"]
)
def test_what_is_refused_writes_nothing(convert, built, damage):
    state = dict(built("tsm-resnet18")[1].state_dict())
    Path(OUT).write_bytes(b"what was here before")
    if damage == "malicious":
        done = convert({"state_dict": state, "x": Evil()}, "--direction", "uni")
    elif damage == "left over":
        done = convert(state | {"layer9.0.conv1.weight": torch.zeros(3, 3)}, "--direction", "uni")
        assert "layer9.0.conv1.weight" in done.stderr
    elif damage == "missing":
        del state["layer4.1.conv2.weight"]
        done = convert(state, "--direction", "uni")
        assert (
            "1 missing: layer4.1.conv2.weight" in done.stderr and "does not fit tsm-resnet18" in done.stderr
        )
    elif damage == "other network":
        done = convert(state, "--direction", "uni", "--model", "tsm-resnet50")
        assert "the keys are those of tsm-resnet18" in done.stderr
    else:
        torch.save(state, "cut.pth")
        if damage == "truncated":
            Path("cut.pth").write_bytes(Path("cut.pth").read_bytes()[:100_000])
        elif damage == "no file":
            Path("cut.pth").unlink()
        else:
            Path("cut.pth").unlink()
            Path("cut.pth").mkdir()
        done = CliRunner().invoke(cli, ["convert", "cut.pth", "-o", OUT, "--direction", "uni"])
    assert done.exit_code == 1 and done.stderr.startswith("error[checkpoint]")
    assert not Path("run-by-the-pickle").exists()
    assert Path(OUT).read_bytes() == b"what was here before"


def test_a_place_that_cannot_be_written(convert, built):
    torch.save(built("tsm-resnet18")[1].state_dict(), "w.pth")
    done = CliRunner().invoke(cli, ["convert", "w.pth", "-o", "none/out.safetensors"])
    assert done.exit_code == 1 and "error[output]" in done.stderr
