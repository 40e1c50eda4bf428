"""Networks of other makers from pictures: rectangles, grey, other ranges, and scores that are probabilities already."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import command_lab
import cv2
import numpy as np
import onnx_lab
import onnxruntime
import pytest
from click.testing import CliRunner
from onnx import helper

import tsm_edge
from tsm_edge import bundle, frames, smoothing
from tsm_edge.cli import cli
from tsm_edge.compile.verification.reference import moving_pictures
from tsm_edge.signature import Preprocess
from tsm_edge.train import store

node = helper.make_node


@dataclass(frozen=True)
class Case:
    """A network's input and last operator, options of compile, and what the manifest must say."""

    channels: int
    tail: str
    options: tuple[str, ...]
    scores: str
    preprocess: Preprocess


CASES = {
    "rectangle": Case(
        3, "Softmax", ("--color", "bgr", "--fit", "stretch", "--rate", "8"), "probabilities",
        Preprocess((24, 36), (24, 36), (0.406, 0.456, 0.485), (0.225, 0.224, 0.229), "bgr", 8.0, "stretch"),
    ),
    "grey": Case(
        1, "LogSoftmax", ("--range", "-1..1", "--resize", "30x40"), "log-probabilities",
        Preprocess((30, 40), (24, 36), (1.0,), (1.0,), "grey", 12.0, scale=127.5),
    ),
    "bytes": Case(
        3, "Sigmoid", ("--range", "0..255", "--mean", "127.5", "--std", "60,61,62"), "sigmoid",
        Preprocess((27, 41), (24, 36), (127.5,) * 3, (60.0, 61.0, 62.0), "rgb", 12.0, scale=1.0),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Built:
    path: Path
    folder: Path
    output: str


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    """Every case, compiled by the command."""
    return {name: compiled(case, tmp_path_factory.mktemp(name)) for name, case in CASES.items()}


def compiled(case: Case, folder: Path) -> Built:
    rng = np.random.default_rng(0)
    maps = (1, 8, 24, 36)
    path = onnx_lab.save(
        folder / "net.onnx",
        [
            node("Conv", ["x", "w"], ["maps"], "conv", pads=[1] * 4),
            node("Add", ["maps", "past"], ["now"]),
            node("GlobalAveragePool", ["now"], ["mean"]),
            node("Flatten", ["mean"], ["flat"]),
            node("MatMul", ["flat", "head"], ["logits"], "head"),
            node(case.tail, ["logits"], ["scores"], "tail"),
        ],
        {"x": (1, case.channels, 24, 36), "past": maps},
        {"scores": (1, 5), "now": maps},
        {
            "w": rng.standard_normal((8, case.channels, 3, 3)).astype(np.float32) / 8,
            "head": rng.standard_normal((8, 5)).astype(np.float32) * 3,
        },
    )
    words = ["--state", "past:now", "--target", "local", "--output", str(folder / "bundle")]
    result = CliRunner().invoke(cli, ["compile", str(path), *words, *case.options])
    assert result.exit_code == 0, result.output
    return Built(path, folder / "bundle", result.output)


@pytest.mark.parametrize("name", CASES)
def test_the_manifest_says_how(name: str, built: dict[str, Built]) -> None:
    manifest = bundle.read(built[name].folder)
    assert (manifest.scores, manifest.preprocess) == (CASES[name].scores, CASES[name].preprocess)
    lines = built[name].output.splitlines()
    assert [line.partition(":")[0] for line in lines[:2]] == ["preprocessing", "scores"]
    assert CASES[name].scores in lines[1]


@pytest.mark.parametrize("name", CASES)
def test_pictures_give_the_networks_own_probabilities(name: str, built: dict[str, Built]) -> None:
    case = CASES[name]
    session = onnxruntime.InferenceSession(built[name].path)
    past = np.zeros((1, 8, 24, 36), np.float32)
    with tsm_edge.open(built[name].folder) as model, model.stream() as stream:
        for picture in moving_pictures((50, 61), 3):
            x = frames.preprocess(picture, case.preprocess, format="bgr")
            wanted, past = session.run(None, {"x": x, "past": past})
            got = stream.step(picture)
            np.testing.assert_allclose(got, wanted[0], rtol=1e-4, atol=1e-5)
            own = np.exp(wanted[0]) if case.tail == "LogSoftmax" else wanted[0]
            shown = smoothing.probabilities_of(model.manifest.scores, got)
            np.testing.assert_allclose(shown, own, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_verify_looks_at_pictures_too(
    name: str, built: dict[str, Built], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["verify", str(built[name].folder), "--weights", str(built[name].path), "--frames", "2"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert "scores, of pictures" in result.output
    plain = frames.normalise
    monkeypatch.setattr(frames, "normalise", lambda image, how: plain(image, how) * np.float32(1.01))
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 3, result.output
    assert "differs from its reference in scores, of pictures." in result.stderr


@pytest.mark.parametrize("name", CASES)
def test_demo_and_command_show_the_networks_own_probabilities(
    name: str, built: dict[str, Built], repository: Path
) -> None:
    """Of the first frame of the shipped clip: one frame alone is the mean of its window."""
    case, clip = CASES[name], repository / "demo" / "data" / "gestures.mp4"
    picture = cv2.VideoCapture(str(clip)).read()[1]
    height, width = picture.shape[:2]
    x = frames.preprocess(picture, case.preprocess, format="bgr")
    past = np.zeros((1, 8, 24, 36), np.float32)
    (scores,) = onnxruntime.InferenceSession(built[name].path).run(["scores"], {"x": x, "past": past})
    own = np.exp(scores[0]) if case.tail == "LogSoftmax" else scores[0]
    words = ["demo", "--bundle", str(built[name].folder), "--video", str(clip), "--headless", "--json"]
    result = CliRunner().invoke(cli, [*words, "--max-frames", "1"])
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout.splitlines()[0])
    assert shown["index"] == own.argmax()
    expected = sorted(own, reverse=True)[: len(shown["top"])]
    assert [share for _, share in shown["top"]] == pytest.approx(expected, abs=1e-4)
    rate = str(case.preprocess.rate_fps)
    raw = ("--raw", f"{width}x{height}", "--format", "bgr", "--fps", rate, "--decide")
    done = command_lab.run(built[name].folder, *raw, data=picture.tobytes())
    decided = json.loads(done.stdout.splitlines()[0])
    assert (decided["index"], decided["probability"]) == (own.argmax(), pytest.approx(own.max(), abs=1e-4))


@pytest.mark.parametrize("name", CASES)
def test_eval_asks_the_network_itself(name: str, built: dict[str, Built], tmp_path: Path) -> None:
    """Six clips: the answer to each is the mean of the network's own scores, later ones counting more."""
    case, side = CASES[name], 44
    session = onnxruntime.InferenceSession(built[name].path)
    writer = store.Writer(tmp_path / "store", 6 * 4, side)
    table = np.zeros((5, 5), int)
    for index in range(6):
        clip = np.stack(list(moving_pictures((side, side), 4, seed=index)))
        writer.add(str(index), index % 5, clip)
        past, answer = np.zeros((1, 8, 24, 36), np.float32), np.zeros(5)
        for weight, picture in enumerate(clip, 1):
            x = frames.preprocess(picture, case.preprocess, format="rgb")
            scores, past = session.run(None, {"x": x, "past": past})
            answer += weight * scores[0]
        table[index % 5, answer.argmax()] += 1
    writer.close(tuple(f"class {index}" for index in range(5)), case.preprocess.rate_fps, "made for a test")
    result = CliRunner().invoke(
        cli, ["eval", str(built[name].folder), "--data", str(tmp_path / "store"), "--json"]
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["forms"]["bundle"]["confusion"] == table.tolist()
    assert "the square in the middle" in result.stderr
