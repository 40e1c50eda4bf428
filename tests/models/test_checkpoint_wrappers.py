"""What training scripts put around, before and beside the weights; which of two sets is taken, and that it is said."""

from __future__ import annotations

import argparse
import collections
import sys
import types

import numpy as np
import pytest

from tsm_edge import models
from tsm_edge.bundle.manifest import WeightsInfo
from tsm_edge.errors import CheckpointError
from tsm_edge.models import make_net
from tsm_edge.weights import checkpoints

torch = pytest.importorskip("torch")

MODEL = models.load("tsm-mobilenetv2", width=0.25, size=32, classes=4)


@pytest.fixture(scope="module")
def weights():
    """The state_dict of a small network, and the same with every number changed a little."""
    plain = dict(MODEL.build(1).state_dict())
    averaged = {key: value * 1.01 if value.is_floating_point() else value for key, value in plain.items()}
    return plain, averaged


@pytest.fixture
def load(tmp_path):
    """Return load(content, averaged=None) -> (the loaded state_dict, the notes)."""

    def run(content, averaged=None, name="w.pth"):
        torch.save(content, tmp_path / name)
        net = make_net(MODEL.layers)
        return net, checkpoints.load_into(net, tmp_path / name, MODEL, averaged).notes

    return run


def is_loaded(net, wanted) -> bool:
    found = net.state_dict()
    return all(torch.equal(found[key], value) for key, value in wanted.items() if value.dim())


def before(prefix, state):
    return {prefix + key: value for key, value in state.items()}


@pytest.mark.parametrize(
    "keys",
    ["model_state_dict", "model_state", "params", "weights", "network", "net", "any name", "module/inner", "a/b/c"],
)
def test_a_wrapper_may_be_called_anything(load, weights, keys):
    content = weights[0]
    for key in reversed(keys.split("/")):
        content = {"epoch": 3, key: content, "optimizer_state_dict": {"state": {0: {"exp_avg": torch.ones(9)}}}}
    net, notes = load(content)
    assert is_loaded(net, weights[0]) and notes == ()


@pytest.mark.parametrize(
    "prefix",
    ["_orig_mod.", "module.", "model.", "net.", "student.", "module._orig_mod.", "model.module.net.backbone.", "0."],
)
def test_a_prefix_may_be_any(load, weights, prefix):
    net, notes = load({"state_dict": before(prefix, weights[0])})
    assert is_loaded(net, weights[0]) and notes == ()


def test_a_head_outside_of_the_body(load, weights):
    """MIT and mmaction2 keep the head beside the backbone; under a wrapper's prefix both move along."""
    state = {
        f"model.module.new_fc.{key[11:]}" if key.startswith("classifier.") else f"model.module.base_model.{key}": value
        for key, value in weights[0].items()
    }
    assert is_loaded(load(state)[0], weights[0])


def test_a_head_of_another_name(load, weights):
    state = {key.replace("classifier.", "gesture_scores."): value for key, value in weights[0].items()}
    assert is_loaded(load(state)[0], weights[0])
    torch_classes = models.load("tsm-mobilenetv2", width=0.25, size=32)  # 27, which does not matter
    assert load(state) and torch_classes.classes == 27


def test_what_is_no_weight_is_left_out_and_named(load, weights):
    beside = {
        "n_steps": torch.tensor(5),
        "criterion.weight": torch.ones(4),
        "val_acc.tp": torch.zeros(4),
        "data_preprocessor.mean": torch.zeros(3, 1, 1),
    }
    content = {"state_dict": weights[0] | beside, "loss": torch.tensor(0.3), "best": np.float64(0.9)}
    net, notes = load(content)
    assert is_loaded(net, weights[0])
    assert len(notes) == 1 and notes[0].startswith("no weights, left out: ")
    for name in (*beside, "loss", "best (numpy"):
        assert name in notes[0]


def test_another_tensor_beside_is_another_network(load, weights):
    with pytest.raises(CheckpointError, match="1 unexpected: neck.conv.weight"):
        load(weights[0] | {"neck.conv.weight": torch.zeros(8, 8, 3, 3)})


def test_an_averaged_model(load, weights):
    net, notes = load(before("module.", weights[1]) | {"n_averaged": torch.tensor(7)})
    assert is_loaded(net, weights[1])
    assert notes == ("averaged weights in module.", "no weights, left out: n_averaged")


PAIRS = {
    "two wrappers": lambda plain, ema: {"model": plain, "model_ema": ema},
    "a wrapper of its own": lambda plain, ema: {"state_dict": plain, "ema": {"module": ema, "decay": 0.99}},
    "two prefixes": lambda plain, ema: {"state_dict": before("net.", plain) | before("net_ema.module.", ema)},
    "tsm-edge": lambda plain, ema: {"net": plain, "average": ema},
    "mmengine exchanges them": lambda plain, ema: {
        "meta": {"mmengine_version": "0.10"},
        "state_dict": ema,
        "ema_state_dict": before("module.", plain) | {"steps": torch.tensor(4)},
    },
}


@pytest.mark.parametrize("form", PAIRS)
def test_averaged_weights_are_taken_when_asked_for_and_the_choice_is_said(load, weights, form):
    content = PAIRS[form](*weights)
    for averaged, kind in ((None, "plain"), (False, "plain"), (True, "averaged")):
        net, notes = load(content, averaged)
        assert is_loaded(net, weights[averaged is True]), averaged
        assert notes[0].startswith(f"{kind} weights in ") and ("--ema" if kind == "plain" else "--no-ema") in notes[0]
        assert checkpoints.averaged_of(WeightsInfo("file", "w.pth; " + notes[0], "")) is (averaged is True)


def test_asking_for_what_is_not_there(load, weights):
    with pytest.raises(CheckpointError, match="no averaged weights"):
        load({"model": weights[0]}, True)
    with pytest.raises(CheckpointError, match="no plain weights"):
        load({"model_ema": weights[1]}, False)
    assert load({"model_ema": weights[1]})[1] == ("averaged weights in model_ema",)


def test_two_plain_sets_are_refused_unless_they_are_equal(load, weights):
    with pytest.raises(CheckpointError, match="several sets of weights"):
        load({"student": weights[0], "teacher": weights[1]})
    assert is_loaded(load({"last": weights[0], "best": dict(weights[0])})[0], weights[0])


@pytest.fixture
def mmengine(monkeypatch):
    """Classes that stand where mmengine's do, for as long as a file is written."""
    buffer = types.ModuleType("mmengine.logging.history_buffer")

    class HistoryBuffer:
        def __init__(self):
            self._log_history = np.arange(3.0)
            self._statistics_methods = {"mean": getattr}

    class ConfigDict(dict):
        pass

    class Names(list):
        pass

    for each in (HistoryBuffer, ConfigDict, Names):
        each.__module__, each.__qualname__ = buffer.__name__, each.__name__
        setattr(buffer, each.__name__, each)
    for name in ("mmengine", "mmengine.logging"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, buffer.__name__, buffer)
    return buffer


@pytest.mark.parametrize("legacy", [False, True])
def test_objects_of_other_programs_are_left_out_and_nothing_is_imported(
    mmengine, weights, tmp_path, monkeypatch, legacy
):
    content = {
        "meta": mmengine.ConfigDict(lr=0.1, names=mmengine.Names(["a"])),
        "message_hub": {"log_scalars": collections.OrderedDict(loss=mmengine.HistoryBuffer())},
        "args": argparse.Namespace(lr=0.1),
        "counts": collections.defaultdict(int, {"a": 1}),
        "state_dict": weights[0],
    }
    torch.save(content, tmp_path / "epoch_10.pth", _use_new_zipfile_serialization=not legacy)
    for name in ("mmengine", "mmengine.logging", mmengine.__name__):
        monkeypatch.delitem(sys.modules, name)
    net = make_net(MODEL.layers)
    notes = checkpoints.load_into(net, tmp_path / "epoch_10.pth", MODEL).notes
    assert is_loaded(net, weights[0])
    assert notes == ("no weights, left out: args (argparse.Namespace)",)
    assert "mmengine" not in sys.modules
    allowed = torch.serialization.get_safe_globals()
    assert not any("StandIn" in str(each) for each in allowed)
