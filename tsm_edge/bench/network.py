"""The network behind a bundle, for the peers: its ONNX file and, for a model of ours, its description and weights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..bundle.manifest import Manifest
from ..errors import UsageError
from ..models import Model
from ..models.clips import ClipModel
from ..onnx.file import onnx_model
from ..onnx.meta import OnnxMeta
from ..signature import Signature
from ..weights import checkpoints, origin
from .forms import Form, eight_bits

#: twice what a bundle itself may be off: two float16 networks that sum in another order are each off by up to 0.01
TOLERANCES = {"float32": 1e-4, "float16": 4e-2, "int8": 0.3}


@dataclass(frozen=True)
class Network:
    """What a peer can run. ``model`` and ``weights`` are None and empty for a foreign ONNX file.

    weights: float32 arrays by state_dict key. device: "cuda" for a bundle that runs on an NVIDIA GPU, else "cpu";
    precision: what peers on a GPU compute with. stored: what the bundle stores numbers in. eight: of a bundle in 8
    bits, the ONNX file by its scales.
    """

    signature: Signature
    onnx: bytes = field(repr=False)
    model: Model | ClipModel | None
    weights: dict[str, np.ndarray] = field(repr=False)
    device: str = "cpu"
    precision: str = "float32"
    stored: str = "float32"
    eight: Form | None = None

    @property
    def form(self) -> Form:
        """What the peers on a processor that read ONNX files open."""
        return self.eight or Form("float32", self.onnx)

    @property
    def tolerance(self) -> float:
        """How far a peer's outputs may be from the bundle's, relative to the largest value."""
        return TOLERANCES[self.stored]

    def own(self, peer: str) -> Model:
        """Return the model; UsageError where there is only an ONNX file, or a network of the family."""
        if isinstance(self.model, ClipModel):
            raise UsageError(
                f"{peer} is compared by networks that run frame by frame.",
                found=self.model.name,
                allowed="--against onnxruntime,openvino",
            )
        if self.model is None:
            raise UsageError(
                f"{peer} takes models of tsm-edge only; this bundle was compiled from an ONNX file.",
                allowed="--against onnxruntime,openvino",
            )
        return self.model


def network_of(manifest: Manifest, weights: Path | None, bundle: Path | None = None) -> Network:
    """Return the network that a bundle was compiled from.

    weights: the checkpoint or ONNX file it was compiled from, where there was one; its sha256 must be the manifest's.
    bundle: its folder, for the scales of one in 8 bits.

    Raises:
        UsageError: the file is missing or another one.
    """
    origin.check_file(manifest, weights, "bench")
    if manifest.model.source == "onnx":
        assert weights is not None
        network = Network(manifest.signature, weights.read_bytes(), None, {})
    else:
        info = manifest.model.weights
        chosen = checkpoints.seed_of(info), checkpoints.averaged_of(info), checkpoints.reordered(info)
        network = own_network(origin.model_of(manifest), weights, *chosen)
    network = replace(network, stored=manifest.precision)
    if manifest.precision == "int8":
        network = replace(network, eight=eight_bits(network.signature, network.onnx, bundle))
    if manifest.target.family != "cuda":
        return network
    return replace(network, device="cuda", precision=manifest.precision)


def own_network(
    model: Model | ClipModel,
    weights: Path | None = None,
    seed: int = 0,
    averaged: bool | None = None,
    reorder: bool = False,
) -> Network:
    """Return a model of ours with the weights of a file, or those it has without one."""
    net, source = checkpoints.prepare(model, weights, seed, averaged, reorder)
    arrays = {key: tensor.numpy() for key, tensor in net.state_dict().items()}
    proto = onnx_model(model, arrays, OnnxMeta.of(model, source))
    return Network(model.signature, proto.SerializeToString(deterministic=True), model, arrays)
