"""`tsm-edge bench` on a real bundle: what it prints, and that it prints no time when something is wrong."""

from __future__ import annotations

import importlib.util
import json
import re

import cv2
import numpy as np
import pytest

from tsm_edge.bench import ceiling, peers
from tsm_edge.bench.turns import PROOF_STEPS
from tsm_edge.train import store as stores

QUICK = ("--threads", "1", "--min-runs", "5", "--min-secs", "0")
FIGURES = ("median_ms", "p5_ms", "p95_ms", "min_ms", "stddev_ms", "open_ms", "first_ms", "warm_ms")
#: a number with a decimal point, as every printed time is
TIME = re.compile(r"\d\.\d")


@pytest.fixture(autouse=True)
def quiet_roofs(monkeypatch):
    """The roofs have tests of their own; three seconds for each test here would be too many."""
    monkeypatch.setattr(
        ceiling, "measure", lambda threads: ceiling.Ceiling(threads, 50.0, 5.0, "loop", "fixed")
    )


def test_alone(bundle, invoke):
    result = invoke("bench", bundle, *QUICK, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    (ours,) = document["runners"]
    assert ours["name"] == "tsm-edge" and ours["runs"] == 5
    assert all(ours[key] > 0 for key in FIGURES if key != "stddev_ms")
    assert ours["min_ms"] <= ours["p5_ms"] <= ours["median_ms"] <= ours["p95_ms"]
    assert document["schema"] == 1 and document["threads"] == 1 and document["method"]["ended_by"] == "enough"
    assert {"cpu", "arch", "cores", "load_1min"} <= set(document["machine"])
    (check,) = document["checked"]
    assert check["name"] == "a second run" and check["worst_relative"] == 0
    assert "ops" not in document and "ceiling" not in document


def test_the_text_names_the_next_command(bundle, invoke):
    result = invoke("bench", bundle, *QUICK)
    assert result.exit_code == 0, result.stderr
    assert "equal those of a second run" in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last == f"next: tsm-edge bench {bundle} --against ncnn,onnxruntime,openvino,torch"


def test_beside_onnxruntime(bundle, invoke):
    pytest.importorskip("onnxruntime")
    result = invoke("bench", bundle, *QUICK, "--against", "onnxruntime", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    ours, peer = document["runners"]
    assert peer["name"] == "onnxruntime" and peer["runs"] == ours["runs"] == 5
    assert peer["tsm_edge_over_this_ratio"] == pytest.approx(ours["median_ms"] / peer["median_ms"], rel=0.02)
    (check,) = document["checked"]
    assert 0 < check["worst_relative"] < 1e-4 == check["tolerance_relative"]
    assert check["steps"] == PROOF_STEPS + 6


def test_operations(bundle, invoke):
    result = invoke("bench", bundle, *QUICK, "--per-op", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    manifest = json.loads((bundle / "manifest.json").read_text())
    ops = document["ops"]
    assert len(ops) == manifest["plan"]["steps"]
    assert sum(op["macs"] for op in ops) == manifest["plan"]["macs"]
    assert sum(op["share_percent"] for op in ops) == pytest.approx(100, abs=0.5)
    busiest = max(ops, key=lambda op: op["macs"])
    assert busiest["peak_percent"] == pytest.approx(2 * busiest["gflop_per_s"], rel=0.05)
    assert document["ceiling"]["gflop_per_s"] == 50.0


def test_operations_as_a_table(bundle, invoke):
    result = invoke("bench", bundle, *QUICK, "--per-op")
    assert result.exit_code == 0, result.stderr
    assert re.search(r"kernel +layer +schedule +ms +share % +GFLOP/s +% of peak", result.stdout)
    assert "peak: 50.0 GFLOP/s, 5.0 GB/s with 1 thread; fixed" in result.stdout


def test_the_plot(bundle, invoke, tmp_path):
    path = tmp_path / "roof.png"
    result = invoke("bench", bundle, *QUICK, "--plot", path)
    assert result.exit_code == 0, result.stderr
    assert cv2.imread(str(path)).shape == (900, 1600, 3)
    assert "% of peak" not in result.stdout


@pytest.mark.parametrize(("name", "code"), [("roof.jpg", 2), ("nowhere/roof.png", 1)])
def test_a_plot_that_cannot_be(bundle, invoke, tmp_path, name, code):
    result = invoke("bench", bundle, "--plot", tmp_path / name)
    assert result.exit_code == code
    assert "measuring" not in result.stderr and result.stdout == ""


class Wrong:
    """A peer that is right until its n-th step, then a little off."""

    def __init__(self, runner, from_step):
        self._runner, self._left = runner, from_step

    def __getattr__(self, name):
        return getattr(self._runner, name)

    def step(self, frame):
        self._left -= 1
        return self._runner.step(frame) * (1.01 if self._left < 0 else 1)


@pytest.mark.parametrize("from_step", [0, PROOF_STEPS + 2])
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_a_wrong_peer_means_exit_3_and_no_time(bundle, invoke, monkeypatch, from_step, as_json):
    pytest.importorskip("onnxruntime")
    load = peers.load
    monkeypatch.setattr(peers, "load", lambda *arguments: Wrong(load(*arguments), from_step))
    result = invoke("bench", bundle, *QUICK, "--against", "onnxruntime", *as_json)
    assert result.exit_code == 3
    if as_json:
        assert list(json.loads(result.stdout)) == ["schema", "error"]
    else:
        assert result.stdout == ""
    assert "onnxruntime does not compute what tsm-edge computes; no time is reported" in result.stderr
    assert not TIME.search(re.sub(r"load \S+", "", result.stderr.partition("error[")[0]))


def test_a_bundle_that_does_not_repeat_itself_means_exit_3(bundle, invoke, monkeypatch):
    from tsm_edge.bench import session

    witness = session.SelfCheck
    monkeypatch.setattr(session, "SelfCheck", lambda runner: Wrong(witness(runner), PROOF_STEPS + 1))
    result = invoke("bench", bundle, *QUICK)
    assert result.exit_code == 3 and result.stdout == ""
    assert "equal numbers" in result.stderr


def test_a_missing_peer(bundle, invoke, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ncnn" else real(name))
    result = invoke("bench", bundle, "--against", "onnxruntime,ncnn")
    assert result.exit_code == 5 and result.stdout == ""
    assert "'ncnn'" in result.stderr and '".[bench]"' in result.stderr


@pytest.fixture
def noise(bundle, tmp_path):
    """A function that writes four clips of noise, of labels that are the bundle's or given."""
    manifest = json.loads((bundle / "manifest.json").read_text())

    def write(labels=tuple(manifest["labels"]), cues=()):
        rng = np.random.default_rng(5)
        writer = stores.Writer(tmp_path / "store", 4 * 3, 40)
        for number in range(4):
            writer.add(f"{number}", number, rng.integers(0, 256, (3, 40, 40, 3), np.uint8), cues)
        writer.close(labels, 12.0, "noise")
        return tmp_path / "store"

    return write


def test_top1_is_that_of_eval(bundle, invoke, noise):
    pytest.importorskip("onnxruntime")
    store = noise()
    found = invoke("bench", bundle, *QUICK, "--against", "onnxruntime", "--data", store, "--json")
    assert found.exit_code == 0, found.stderr
    document = json.loads(found.stdout)
    expected = json.loads(invoke("eval", bundle, "--data", store, "--json").stdout)
    assert {one["top1"] for one in document["runners"]} == {expected["forms"]["bundle"]["top1"]}
    assert document["data"]["clips"] == 4 and document["data"]["classes_shown"] == 4
    alone = invoke("bench", bundle, *QUICK, "--data", store, "--clips", "2")
    assert alone.exit_code == 0 and "top-1 of 2 clips of 2 of" in alone.stdout


def test_clips_that_do_not_fit_are_refused_before_anything_is_measured(bundle, invoke, noise):
    labels = tuple(json.loads((bundle / "manifest.json").read_text())["labels"])
    for arguments, words in (
        ({"labels": labels[::-1]}, "The labels of the data are not those of the network"),
        ({"cues": ((3, 0, 2),)}, "clips of one class each"),
    ):
        result = invoke("bench", bundle, *QUICK, "--data", noise(**arguments))
        assert result.exit_code != 0 and result.stdout == "" and words in result.stderr
        assert "measuring" not in result.stderr


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--clips", "3"], 2, "how many clips of --data"),
        (["--data", "nowhere"], 2, "'nowhere' does not exist"),
        (["--against", "onnx"], 2, "no peer named 'onnx'. Did you mean 'onnxruntime'"),
        (["--min-runs", "0"], 2, "Bad --min-runs"),
        (["--min-secs", "5", "--max-secs", "1"], 2, "do not fit"),
        (["--threads", "65"], 2, "65"),
    ],
)
def test_bad_options(bundle, invoke, options, code, message):
    result = invoke("bench", bundle, *options)
    assert result.exit_code == code and message in result.stderr


def test_a_weights_file_that_is_not_the_bundles(bundle, invoke, tmp_path):
    other = tmp_path / "other.pt"
    other.write_bytes(b"x")
    result = invoke("bench", bundle, "--against", "torch", "--weights", other)
    assert result.exit_code == 2 and "is not the file" in result.stderr


def test_no_bundle(invoke, tmp_path):
    result = invoke("bench", tmp_path)
    assert result.exit_code == 3 and "not-a-bundle" in result.stderr


def test_the_cap_is_mentioned(bundle, invoke):
    result = invoke(
        "bench", bundle, "--threads", "1", "--min-secs", "0", "--max-secs", "0", "--min-runs", "50"
    )
    assert result.exit_code == 0, result.stderr
    assert "5 steps of each" in result.stdout
    assert "stopped by --max-secs 0 before" in result.stdout
