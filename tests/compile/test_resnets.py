"""The ResNets: every layer has a schedule of ours, the shift costs no kernel, and the bundle computes the network."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from tsm_edge import models, target
from tsm_edge.compile import pipeline
from tsm_edge.compile.frontend import networks
from tsm_edge.compile.verification import reference, verify


@pytest.mark.parametrize("name", ["tsm-resnet18", "tsm-resnet50"])
def test_bundle_equals_torch(name: str, tmp_path: Path) -> None:
    model = models.load(name, size=64, classes=5)
    compiled = pipeline.compile(networks.zoo(model), target.load("local"), tmp_path / "bundle")
    assert compiled.generic_layers() == []
    schedules = [op.schedule.partition(":")[0] for op in compiled.planned.plan.ops]
    # which of the 3x3 layers are worth Winograd's algorithm is for the machine's facts to say
    assert set(schedules) - {"winograd_cpu"} == {
        "conv_cpu",
        "pointwise_cpu",
        "max_pool_cpu",
        "global_pool_cpu",
    }
    layers = [layer for layer in model.build().modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    assert len(schedules) == len(layers) + 2  # and two pools: nothing shifts, adds or copies
    manifest = compiled.manifest
    outcome = verify.compare(compiled.folder, manifest, reference.step_of(manifest, None), frames=8)
    # scores of tensors, scores of pictures, and every state
    assert len(outcome.differences) == 2 + len(model.signature.states) > 2
    assert outcome.top1 == 8
    assert all(difference.within(2e-5) for difference in outcome.differences), outcome.differences
