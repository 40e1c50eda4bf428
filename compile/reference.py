"""What a bundle is compared with: the network it was compiled from, run by PyTorch (zoo) or ONNX's own evaluator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tsm_edge import checkpoints, origin
from tsm_edge.manifest import Manifest
from tsm_edge.signature import TensorSpec

Step = Callable[[np.ndarray, "list[np.ndarray]"], "tuple[np.ndarray, list[np.ndarray]]"]


def step_of(manifest: Manifest, weights: Path | None, averaged: bool | None = None) -> Step:
    """The reference step `(frame, states) -> (scores, next states)` of a bundle.

    weights: the checkpoint or ONNX file the bundle was compiled from; checked against the manifest's sha256.
    averaged: which of the weights in a checkpoint; by default those that the bundle was compiled from.
    """
    origin.check_file(manifest, weights, "verify")
    if manifest.model.source == "onnx":
        assert weights is not None
        return _onnx_step(manifest, weights)
    return _torch_step(manifest, weights, averaged)


def _torch_step(manifest: Manifest, weights: Path | None, averaged: bool | None) -> Step:
    import torch

    info = manifest.model.weights
    averaged = checkpoints.averaged_of(info) if averaged is None else averaged
    net, _ = checkpoints.prepare(origin.model_of(manifest), weights, checkpoints.seed_of(info), averaged)

    def step(frame: np.ndarray, states: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        with torch.no_grad():
            logits, after = net.step(
                torch.from_numpy(frame), tuple(torch.from_numpy(state) for state in states)
            )
        return logits.numpy(), [state.numpy() for state in after]

    return step


def _onnx_step(manifest: Manifest, path: Path) -> Step:
    import onnx
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(onnx.load(str(path)))
    signature = manifest.signature
    outputs = [signature.outputs[0].name, *(pair.output_name for pair in signature.states)]

    def step(frame: np.ndarray, states: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        named = {pair.input.name: state for pair, state in zip(signature.states, states, strict=True)}
        scores, *after = evaluator.run(outputs, {signature.inputs[0].name: frame, **named})
        return scores, after

    return step


def moving_frames(spec: TensorSpec, count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """`count` float32 inputs of a texture that moves by a pixel or two each frame: motion, and no two frames alike."""
    rng = np.random.default_rng(seed)
    if len(spec.shape) != 4:
        for _ in range(count):
            yield rng.standard_normal(spec.shape).astype(np.float32)
        return
    batch, channels, height, width = spec.shape
    texture = rng.standard_normal((batch, channels, height + 2 * count, width + count)).astype(np.float32)
    texture += np.roll(texture, 1, axis=3) + np.roll(texture, 1, axis=2)
    for t in range(count):
        yield np.ascontiguousarray(texture[:, :, 2 * t : 2 * t + height, t : t + width]) * np.float32(0.6)


def moving_pictures(size: tuple[int, int], count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """`count` pictures, uint8 [height, width, 3]: smooth, with all values of a byte, each moved a little further."""
    height, width = size
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    waves = [(rng.uniform(0.02, 0.2, 2), rng.uniform(0, 6, 2)) for _ in range(3)]
    for t in range(count):
        channels = [np.sin(a * x + p + t) + np.cos(b * y + q - t) for (a, b), (p, q) in waves]
        noise = rng.integers(-20, 21, (height, width, 3))
        yield np.clip(np.stack(channels, 2) * 64 + 128 + noise, 0, 255).astype(np.uint8)
