"""Names of other projects in ours, key by key, as their files have them."""

from __future__ import annotations

import pytest

from tsm_edge import models

MMACTION_MOBILENET = {
    "conv1.conv.weight": "features.0.0.weight",
    "conv1.bn.running_mean": "features.0.1.running_mean",
    "layer1.0.conv.0.conv.weight": "features.1.conv.0.weight",
    "layer1.0.conv.1.bn.bias": "features.1.conv.4.bias",
    "layer2.0.conv.2.conv.weight": "features.2.conv.6.weight",
    "layer2.1.conv.0.conv.weight": "features.3.conv.0.weight",
    "layer3.2.conv.1.bn.weight": "features.6.conv.4.weight",
    "layer4.3.conv.0.bn.bias": "features.10.conv.1.bias",
    "layer5.0.conv.0.conv.weight": "features.11.conv.0.weight",
    "layer6.2.conv.2.bn.bias": "features.16.conv.7.bias",
    "layer7.0.conv.0.conv.weight": "features.17.conv.0.weight",
    "conv2.conv.weight": "features.18.0.weight",
    "conv2.bn.bias": "features.18.1.bias",
    "layer8.0.conv.0.conv.weight": "layer8.0.conv.0.conv.weight",
    "features.3.conv.0.weight": "features.3.conv.0.weight",
}
TORCHVISION_MOBILENET = {
    "features.0.0.weight": "features.0.0.weight",
    "features.1.conv.0.0.weight": "features.1.conv.0.weight",
    "features.1.conv.0.1.bias": "features.1.conv.1.bias",
    "features.1.conv.1.weight": "features.1.conv.3.weight",
    "features.1.conv.2.running_var": "features.1.conv.4.running_var",
    "features.2.conv.0.0.weight": "features.2.conv.0.weight",
    "features.2.conv.0.1.weight": "features.2.conv.1.weight",
    "features.2.conv.1.0.weight": "features.2.conv.3.weight",
    "features.2.conv.1.1.weight": "features.2.conv.4.weight",
    "features.2.conv.2.weight": "features.2.conv.6.weight",
    "features.2.conv.3.weight": "features.2.conv.7.weight",
    "features.18.1.bias": "features.18.1.bias",
    "classifier.weight": "classifier.weight",
}
MMACTION_RESNET = {
    "conv1.conv.weight": "conv1.weight",
    "conv1.bn.weight": "bn1.weight",
    "layer1.0.conv1.conv.weight": "layer1.0.conv1.weight",
    "layer1.0.conv2.bn.bias": "layer1.0.bn2.bias",
    "layer1.0.conv3.bn.running_var": "layer1.0.bn3.running_var",
    "layer1.0.downsample.conv.weight": "layer1.0.downsample.0.weight",
    "layer1.0.downsample.bn.bias": "layer1.0.downsample.1.bias",
    "layer1.0.downsample.0.weight": "layer1.0.downsample.0.weight",
    "fc.weight": "fc.weight",
}


@pytest.mark.parametrize(
    ("model", "table"),
    [
        ("tsm-mobilenetv2", MMACTION_MOBILENET),
        ("tsm-mobilenetv2", TORCHVISION_MOBILENET),
        ("tsm-resnet18", MMACTION_RESNET),
        ("tsm-resnet50", MMACTION_RESNET),
    ],
)
def test_every_key(model, table):
    assert models.load(model).our_keys(list(table)) == list(table.values())
