"""The files for ncnn: the structure that its reader demands, without ncnn."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tsm_edge import models
from tsm_edge.bench.ncnn_file import MAGIC, ncnn_files
from tsm_edge.models.description import convs, head


def weights_of(model):
    """Random arrays by state_dict key; needs no torch."""
    rng, arrays = np.random.default_rng(0), {}
    for conv, _ in convs(model.layers, model.size):
        shape = (conv.outputs, conv.inputs // conv.groups, conv.kernel, conv.kernel)
        arrays[f"{conv.weight}.weight"] = rng.standard_normal(shape).astype(np.float32)
        for part in ("weight", "bias", "running_mean", "running_var"):
            arrays[f"{conv.norm}.{part}"] = rng.uniform(0.5, 1.5, conv.outputs).astype(np.float32)
    last = head(model.layers)
    arrays[f"{last.name}.weight"] = rng.standard_normal((last.classes, last.inputs)).astype(np.float32)
    arrays[f"{last.name}.bias"] = rng.standard_normal(last.classes).astype(np.float32)
    return arrays


@pytest.fixture(params=models.names())
def model(request):
    return models.load(request.param, size=32, classes=3)


def parsed(param):
    """(layers, blobs) of the header, then (type, name, inputs, outputs, parameters) of each line."""
    magic, header, *lines = param.splitlines()
    assert magic == str(MAGIC)
    rows = []
    for line in lines:
        kind, name, inputs, outputs, *rest = line.split()
        reads, writes = rest[: int(inputs)], rest[int(inputs) : int(inputs) + int(outputs)]
        rows.append((kind, name, reads, writes, rest[int(inputs) + int(outputs) :]))
    return tuple(map(int, header.split())), rows


def test_every_blob_is_written_once_before_it_is_read_once(model):
    (layers, blobs), rows = parsed(ncnn_files(model, weights_of(model))[0])
    assert layers == len(rows) == len({row[1] for row in rows})
    written, read = [], []
    for _, _, reads, writes, _ in rows:
        assert set(reads) <= set(written)
        read += reads
        written += writes
    assert blobs == len(written) == len(set(written))
    assert max(Counter(read).values()) == 1
    outputs = {"logits", *(pair.output_name for pair in model.signature.states)}
    assert set(written) - set(read) == outputs
    inputs = {row[1] for row in rows if row[0] == "Input"}
    assert inputs == {"frame", *(pair.input.name for pair in model.signature.states)}


def test_the_weights_are_as_many_as_the_layers_say(model):
    weights = weights_of(model)
    param, data = ncnn_files(model, weights)
    expected = 0
    for kind, _, _, _, parameters in parsed(param)[1]:
        values = dict(part.split("=") for part in parameters)
        if kind.startswith("Convolution"):
            expected += 4 + 4 * int(values["6"]) + 4 * int(values["0"])
        elif kind == "InnerProduct":
            expected += 4 + 4 * int(values["2"]) + 4 * int(values["0"])
    assert len(data) == expected
    bias = weights[f"{head(model.layers).name}.bias"]
    assert data.endswith(bias.tobytes()) and data.startswith(b"\0\0\0\0")


def test_the_bytes_are_the_same_every_time():
    model = models.load("tsm-mobilenetv2", size=32, classes=3)
    assert ncnn_files(model, weights_of(model)) == ncnn_files(model, weights_of(model))
