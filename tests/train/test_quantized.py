"""`train --quantize`: scores in 8 bits come nearer to float32's, what is written compiles, bad asks are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from tsm_edge import cli, models
from tsm_edge.compile import passes, quantize
from tsm_edge.compile.frontend import calibration_data, networks
from tsm_edge.train import checkpoint
from tsm_edge.train.store import open_store
from tsm_edge.weights.meta import read_meta

TINY = ["--width", "0.25", "--size", "32", "--frames", "6", "--batch", "8", "--threads", "1", "--device", "cpu"]
#: rates that a network which has seen 48 clips can take
ROUNDED = ["--quantize", "--epochs", "4", "--frames", "6", "--batch", "8", "--threads", "1", "--lr", "2e-3", "--json"]


def invoke(*words):
    return CliRunner().invoke(cli.cli, [str(word) for word in words])


@pytest.fixture(scope="module")
def floats(small_store, tmp_path_factory):
    """Weights of a short training in float32."""
    out = tmp_path_factory.mktemp("floats")
    result = invoke("train", "--data", small_store, "--out", out, *TINY, "--epochs", 6, "--lr", "3e-3")
    assert result.exit_code == 0, result.output
    return out / checkpoint.WEIGHTS


@pytest.fixture(scope="module")
def rounded(small_store, floats, tmp_path_factory):
    """The folder and the report of a training in 8 bits."""
    out = tmp_path_factory.mktemp("rounded")
    result = invoke("train", "--data", small_store, "--held-out", small_store, "--out", out, "--init", floats, *ROUNDED)
    assert result.exit_code == 0, result.output
    return out, json.loads(result.stdout)


def test_the_scores_come_nearer_to_float32s_than_by_calibration(rounded):
    _, document = rounded
    first, *later = document["history"]
    assert first["epoch"] == 0 and len(later) == 4
    assert document["best"]["decibels"] > first["decibels"] + 1
    assert document["best"]["same_answer"] >= first["same_answer"]


def test_what_is_written_is_what_the_compiler_quantises(rounded, floats, small_store):
    """The integer reference of the files is nearer to the float network than calibration's own."""
    out, document = rounded
    meta = read_meta(out / checkpoint.WEIGHTS)
    assert meta is not None and "trained in 8 bits" in meta.note
    model = models.load_from(meta.model, meta.parameters, meta.labels)
    graphs = [networks.zoo(model, path).load() for path in (floats, out / checkpoint.WEIGHTS)]
    for graph in graphs:
        passes.run(graph)
    store = open_store(small_store)
    clips = [calibration_data.frames_of(store.clip(index)[::2], model.preprocess) for index in range(0, 48, 12)]
    ranges = quantize.Ranges.load(out / "ranges.json")
    trained = quantize.quantise(graphs[1], ranges)
    plain = quantize.calibrate(graphs[0], clips, method=ranges.method)
    exact = np.concatenate([calibration_data.exact_scores(graphs[0], clip) for clip in clips])
    found = np.concatenate([calibration_data.rounded_scores(trained, clip) for clip in clips])
    figure = quantize.calibration.decibels(exact, found)
    assert figure > plain.decibels[ranges.method]
    assert figure == pytest.approx(document["best"]["decibels"], abs=4)


def test_the_next_command_takes_both_files(small_store, floats, tmp_path):
    words = ["--data", small_store, "--out", tmp_path, "--init", floats, *ROUNDED[:-1], "--epochs", 1]
    result = invoke("train", *words)
    assert result.exit_code == 0, result.output
    assert "--precision int8" in result.stdout and "ranges.json" in result.stdout
    again = invoke("train", *words)
    assert again.exit_code == 1 and "--overwrite" in again.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--quantize trains what 8 bits lose"),
        (("--resume",), "--quantize trains what 8 bits lose"),
        (("--init", "gestures", "--freeze", 2), "--freeze says nothing of --quantize"),
        (("--init", "gestures", "--device", "cuda"), "--device cuda says nothing of --quantize"),
        (("--init", "gestures", "--tsn"), "Only an online network is trained in 8 bits"),
        (("--init", "gestures"), "so its classes stay"),
    ],
)
def test_what_it_cannot_do_is_refused(small_store, tmp_path, words, said):
    result = invoke("train", "--data", small_store, "--out", tmp_path / "run", "--quantize", *words)
    assert result.exit_code == 2 and said in result.stderr
    assert not (tmp_path / "run" / "weights.safetensors").exists()
