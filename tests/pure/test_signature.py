"""Signature and preprocessing: what they refuse, and that they survive JSON."""

from __future__ import annotations

import json
import math

import pytest

from tsm_edge.errors import ModelError
from tsm_edge.signature import Preprocess, Signature, StatePair, TensorSpec

GOOD = {
    "resize": (256, 340),
    "crop": (224, 300),
    "mean": (0.4, 0.5, 0.6),
    "std": (0.2, 0.2, 0.2),
    "color": "rgb",
    "rate_fps": 12,
}


def signature():
    return Signature(
        inputs=(TensorSpec("frame", (1, 3, 224, 224)),),
        states=(StatePair(TensorSpec("cache0", (1, 3, 56, 56)), "cache0_out"),),
        outputs=(TensorSpec("logits", (1, 27)),),
    )


def test_sizes():
    spec = TensorSpec("cache0", (1, 3, 56, 56))
    assert (spec.size, spec.nbytes) == (9408, 37632)
    assert signature().state_bytes == 37632


def test_lists_become_tuples():
    assert TensorSpec("a", [1, 2]).shape == (1, 2)
    assert Signature([TensorSpec("a", (1,))], [], [TensorSpec("b", (1,))]).states == ()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("", (1,)), "name"),
        ((None, (1,)), "name"),
        (("a", ()), "shape"),
        (("a", (1, 0)), "shape"),
        (("a", (1, -3)), "shape"),
        (("a", (1.0, 2)), "integers"),
        (("a", (True,)), "integers"),
        (("a", "12"), "integers"),
        (("a", (1,), "float64"), "dtype"),
    ],
)
def test_bad_tensors(arguments, word):
    with pytest.raises(ModelError, match=word):
        TensorSpec(*arguments)


def test_state_must_have_an_output_of_another_name():
    cache = TensorSpec("cache0", (1, 2))
    for name in ("", None, "cache0"):
        with pytest.raises(ModelError):
            StatePair(cache, name)


def test_tensor_names_must_differ():
    frame, logits = TensorSpec("frame", (1,)), TensorSpec("logits", (1,))
    with pytest.raises(ModelError, match="twice: frame"):
        Signature((frame,), (), (frame,))
    with pytest.raises(ModelError, match="twice: logits"):
        Signature((frame,), (StatePair(TensorSpec("cache", (1,)), "logits"),), (logits,))


def test_input_and_output_are_needed():
    with pytest.raises(ModelError, match="at least one"):
        Signature((), (), (TensorSpec("logits", (1,)),))


def test_json_round_trip():
    text = json.dumps(signature().to_json())
    assert Signature.from_json(json.loads(text)) == signature()
    how = Preprocess(**GOOD)
    assert Preprocess.from_json(json.loads(json.dumps(how.to_json()))) == how


@pytest.mark.parametrize("damage", ["drop", "add", "list", "type"])
def test_json_that_is_not_ours(damage):
    data = signature().to_json()
    if damage == "drop":
        del data["states"]
    elif damage == "add":
        data["more"] = 1
    elif damage == "list":
        data["inputs"] = {"frame": 1}
    else:
        data["inputs"] = ["frame"]
    with pytest.raises(ModelError):
        Signature.from_json(data)


@pytest.mark.parametrize(
    "change",
    [
        {"crop": (257, 300)},
        {"crop": (224, 341)},
        {"crop": (0, 300)},
        {"crop": 224},
        {"crop": (224, 300, 1)},
        {"resize": (256.0, 340)},
        {"fit": "letterbox"},
        {"scale": 0},
        {"scale": math.inf},
        {"color": "grey"},  # with three means
        {"mean": (0.1, 0.2)},
        {"mean": (0.1, 0.2, math.nan)},
        {"mean": 0.5},
        {"std": (0.1, 0.1, 0)},
        {"color": "gray"},
        {"rate_fps": 0},
        {"rate_fps": math.inf},
        {"rate_fps": 10**400},
        {"resize": (2**53, 340)},
        {"rate_fps": "12"},
    ],
)
def test_bad_preprocessing(change):
    with pytest.raises(ModelError):
        Preprocess(**{**GOOD, **change})
