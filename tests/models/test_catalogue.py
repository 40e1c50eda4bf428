"""The list of models and their parameters, counts and labels: all without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tsm_edge import models
from tsm_edge.errors import ModelError, UnknownName

# reference counts: parameters, MACs a frame, states, floats in them (parameters as derived from the papers' networks)
FACTS = [
    ("tsm-mobilenetv2", {}, 2_258_459, 299_528_832, 10, 27_048),
    ("tsm-mobilenetv2", {"classes": 400}, 2_736_272, 300_006_272, 10, 27_048),
    ("tsm-mobilenetv2", {"classes": 174}, 2_446_766, 299_716_992, 10, 27_048),
    ("tsm-efficientnet-lite0", {"classes": 1000}, 4_652_008, 385_187_552, 9, 26_264),
    ("tsm-resnet50", {"classes": 400}, 24_327_632, 4_087_955_456, 16, 702_464),
    ("tsm-resnet50", {"classes": 174}, 23_864_558, 4_087_492_608, 16, 702_464),
    ("tsm-resnet101", {"classes": 174}, 42_856_686, 7_799_713_792, 18, 639_744),
    ("tsm-resnet18", {"classes": 1000}, 11_689_512, 1_814_073_344, 8, 116_032),
]


@pytest.mark.parametrize(("name", "parameters", "count", "macs", "states", "floats"), FACTS)
def test_counts_are_the_known_ones(name, parameters, count, macs, states, floats):
    model = models.load(name, **parameters)
    assert model.parameters_count == count
    assert model.macs == macs
    assert len(model.signature.states) == states
    assert model.signature.state_bytes == 4 * floats


def test_states_of_the_online_demo():
    shapes = [pair.input.shape for pair in models.load("tsm-mobilenetv2").signature.states]
    sides = [(3, 56)] + [(4, 28)] * 2 + [(8, 14)] * 3 + [(12, 14)] * 2 + [(20, 7)] * 2
    assert shapes == [(1, channels, side, side) for channels, side in sides]


def test_signature_names(name):
    signature = models.load(name, size=96, classes=5).signature
    assert [(spec.name, spec.shape) for spec in signature.inputs] == [("frame", (1, 3, 96, 96))]
    assert [(spec.name, spec.shape) for spec in signature.outputs] == [("logits", (1, 5))]
    for index, pair in enumerate(signature.states):
        assert (pair.input.name, pair.output_name) == (f"cache{index}", f"cache{index}_out")


def test_the_files_are_the_list():
    files = {path.stem.replace("_", "-") for path in Path(models.__file__).parent.glob("[!_]*.py")}
    assert models.names() == sorted(files) == [
        "tsm-efficientnet-lite0",
        "tsm-mobilenetv2",
        "tsm-resnet101",
        "tsm-resnet18",
        "tsm-resnet50",
    ]


def test_nothing_of_this_needs_torch():
    code = (
        "import sys, json\nfrom tsm_edge import models\n"
        "[models.load(name).macs for name in models.names()]\nprint(json.dumps('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) is False


@pytest.mark.parametrize("width", [0.25, 0.35, 0.5, 0.75, 1.0, 1.4, 2.0])
def test_width_keeps_the_blocks_and_multiples_of_8(width):
    model = models.load("tsm-mobilenetv2", width=width)
    assert len(model.signature.states) == 10
    stem, *_, last, _ = model.layers
    assert stem.outputs == 32
    assert last.outputs == (1280 if width <= 1 else {1.4: 1792, 2.0: 2560}[width])
    assert all(layer.outputs % 8 == 0 for layer in model.layers[:-1])


def test_width_rounds_up():
    model = models.load("tsm-mobilenetv2", width=1.4)
    # 24 * 1.4 = 33.6 -> 40 by MIT's rule; rounding to the nearest, as others do, gives 32
    assert model.layers[2].outputs == 40


@pytest.mark.parametrize(
    ("parameters", "part"),
    [
        ({"size": 100}, "a multiple of 16 of 32..512"),
        ({"size": 0}, "a multiple of 16 of 32..512"),
        ({"size": 544}, "a multiple of 16 of 32..512"),
        ({"size": 224.0}, "found: 224.0"),
        ({"size": True}, "found: True"),
        ({"classes": 1}, "an integer of 2..10000"),
        ({"classes": 10_001}, "an integer of 2..10000"),
        ({"width": 0.2}, "a number of 0.25..2.0"),
        ({"width": 2.1}, "a number of 0.25..2.0"),
        ({"width": float("nan")}, "found: nan"),
        ({"width": "1"}, "found: '1'"),
        ({"classes": 3, "labels": ["a", "b"]}, "3 labels, one for every class"),
        ({"labels": ["a"]}, "an integer of 2..10000"),
        ({"labels": ["a", " "]}, "Label 2 cannot be shown"),
        ({"labels": ["a", "b\nc"]}, "Label 2 cannot be shown"),
        ({"labels": ["a", "b\x9b2J"]}, "Label 2 cannot be shown"),
        ({"labels": ["a", "b\u202e"]}, "Label 2 cannot be shown"),
        ({"labels": ["\ud800", "b"]}, "Label 1 cannot be shown"),
        ({"labels": ["a", "b", "a "]}, "Labels 1 and 3 are the same"),
        ({"labels": ["a", 2]}, "a list of texts"),
        ({"labels": "ab"}, "a list of texts"),
    ],
)
def test_bad_parameters_are_refused(parameters, part):
    with pytest.raises(ModelError) as caught:
        models.load("tsm-mobilenetv2", **parameters)
    assert part in str(caught.value)


def test_a_network_without_width_says_so():
    with pytest.raises(ModelError, match="tsm-resnet50 has no width"):
        models.load("tsm-resnet50", width=1.0)


def test_unknown_model_suggests_its_neighbour():
    with pytest.raises(UnknownName, match="Did you mean 'tsm-resnet50'"):
        models.load("tsm-resnet5")


def test_default_labels():
    jester = models.load("tsm-mobilenetv2").labels
    assert jester == models.JESTER and len(jester) == 27 and list(jester) == sorted(jester)
    assert models.load("tsm-resnet18", classes=3).labels == ("class 0", "class 1", "class 2")
    own = models.load("tsm-resnet18", labels=["می‌خواهم", "👩‍🚀"])
    assert own.labels == ("می‌خواهم", "👩‍🚀")  # joiners are part of the words
    own = models.load("tsm-resnet18", labels=["wave", "clap"])
    assert own.labels == ("wave", "clap") and own.parameters["classes"] == 2


def test_preprocess_follows_the_size():
    full = models.load("tsm-resnet18").preprocess
    assert (full.resize, full.crop) == ((256, 256), (224, 224))
    assert models.load("tsm-resnet18", size=64).preprocess.resize == (73, 73)  # 64 * 256 / 224 = 73.1


def test_read_labels(tmp_path):
    file = tmp_path / "labels.txt"
    file.write_text("\ufeffwave \nclap\n\n", encoding="utf-8")
    assert models.read_labels(file) == ("wave", "clap")
    file.write_text("\n")
    with pytest.raises(ModelError, match="is empty"):
        models.read_labels(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="cannot be read"):
        models.read_labels(file)
    with pytest.raises(ModelError, match="cannot be read"):
        models.read_labels(tmp_path / "none.txt")
