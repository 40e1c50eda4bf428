"""ONNX files of clips that `tsm-edge export` wrote, compiled: they compute what PyTorch does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import volume_nets

from tsm_edge import models, target
from tsm_edge.compile import pipeline
from tsm_edge.compile.frontend import networks
from tsm_edge.compile.verification import verify
from tsm_edge.models import OFFLINE, Window
from tsm_edge.onnx.file import onnx_model, write
from tsm_edge.onnx.meta import OnnxMeta
from tsm_edge.weights import checkpoints

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

#: scores of two clips, relative to the largest: both sum in float32, in other orders
TOLERANCE = 1e-4


def windowed() -> models.Model:
    """A network of the zoo as a window of four frames, which pools them."""
    return models.load("tsm-resnet18", size=32, classes=5, temporal_pool=True).clips(OFFLINE, Window(4, 2))


MODELS = {
    "relations": lambda: volume_nets.model("relations"),
    "attention": lambda: volume_nets.model("attention"),
    "kept": lambda: volume_nets.stream_of(4),
    "window": windowed,
}


@pytest.mark.parametrize("name", MODELS)
def test_there_and_back(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    net, source = checkpoints.prepare(model)
    arrays = {key: value.numpy() for key, value in net.state_dict().items()}
    write(tmp_path / "net.onnx", onnx_model(model, arrays, OnnxMeta.of(model, source)))
    built = pipeline.compile(
        networks.onnx_file(tmp_path / "net.onnx"), target.load("local"), tmp_path / "bundle"
    )
    found = built.manifest.model
    assert found.form == ("stream" if name == "kept" else "clip") and not built.generic_layers()
    assert found.delay_frames == (0 if name == "kept" else model.signature.clip_frames - 1)

    def step(clip: np.ndarray, states: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        with torch.no_grad():
            scores, after = net.step(torch.from_numpy(clip), tuple(map(torch.from_numpy, states)))
        return scores.numpy(), [state.numpy() for state in after]

    outcome = verify.compare(built.folder, built.manifest, step, frames=5 if name == "kept" else 2)
    assert max(each.relative for each in outcome.differences) <= TOLERANCE
