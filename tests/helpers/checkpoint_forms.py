"""State_dict keys as other projects write them, made from ours: the forms in which users bring checkpoints."""

from __future__ import annotations

import re

MOBILENET, RESNETS = "tsm-mobilenetv2", ("tsm-resnet18", "tsm-resnet50")
SHIFTED = (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)
# mmaction2's stages of MobileNetV2, by the index in `features`
STAGE = {1: "1.0", 2: "2.0", 3: "2.1", 4: "3.0", 5: "3.1", 6: "3.2", 7: "4.0", 8: "4.1", 9: "4.2", 10: "4.3"}
STAGE |= {11: "5.0", 12: "5.1", 13: "5.2", 14: "6.0", 15: "6.1", 16: "6.2", 17: "7.0"}


def mit_shift(key: str) -> str:
    """The key of MIT's offline training: the first convolution of a shifted block is wrapped."""
    key = re.sub(r"^(layer\d\.\d+\.conv1)\.", r"\1.net.", key)
    block = re.match(r"features\.(\d+)\.conv\.0\.", key)
    return key.replace("conv.0.", "conv.0.net.") if block and int(block[1]) in SHIFTED else key


def mit_offline(key: str) -> str:
    head = re.match(r"(classifier|fc)\.(\w+)$", key)
    return f"module.new_fc.{head[2]}" if head else f"module.base_model.{mit_shift(key)}"


def mit_published(key: str) -> str:
    """The published Kinetics MobileNetV2 keeps its head inside base_model."""
    return f"module.base_model.{mit_shift(key)}"


def mit_offline_deep(key: str) -> str:
    """ResNet-101 has its shifts in every second block."""
    found = re.match(r"layer\d\.(\d+)\.conv1\.", key)
    return f"module.base_model.{key}" if found and int(found[1]) % 2 else mit_offline(key)


def mit_pooled(key: str) -> str:
    """The key of MIT's offline training with --temporal_pool, which wraps the second stage."""
    return re.sub(r"\.layer2\.", ".layer2.net.", mit_offline(key))


def mmaction_mobilenet(key: str) -> str:
    if key.startswith("classifier."):
        return f"cls_head.fc_cls.{key.partition('.')[2]}"
    if found := re.match(r"features\.(0|18)\.([01])\.(\w+)", key):
        return f"backbone.conv{1 if found[1] == '0' else 2}.{('conv', 'bn')[int(found[2])]}.{found[3]}"
    block, at, rest = re.match(r"features\.(\d+)\.conv\.(\d+)\.(\w+)", key).groups()
    net = ".net" if int(block) in SHIFTED and int(at) < 3 else ""
    return f"backbone.layer{STAGE[int(block)]}.conv.{int(at) // 3}{net}.{('conv', 'bn')[int(at) % 3]}.{rest}"


def mmaction_resnet(key: str) -> str:
    if key.startswith("fc."):
        return f"cls_head.fc_cls.{key[3:]}"
    key = key.replace("downsample.0", "downsample.conv").replace("downsample.1", "downsample.bn")
    key = re.sub(r"\bconv(\d)\.weight", r"conv\1.conv.weight", key)
    key = re.sub(r"(layer.*conv1\.conv)\.", r"\1.net.", key)
    return "backbone." + re.sub(r"\bbn(\d)\.", r"conv\1.bn.", key)


def torchvision_mobilenet(key: str) -> str:
    if key.startswith("classifier."):
        return key.replace("classifier.", "classifier.1.")
    found = re.match(r"features\.(\d+)\.conv\.(\d+)\.(\w+)", key)
    if not found:
        return key
    conv, part = divmod(int(found[2]), 3)
    last = 1 if found[1] == "1" else 2
    place = f"{last + part}" if conv == last else f"{conv}.{part}"
    return f"features.{found[1]}.conv.{place}.{found[3]}"


def same(key: str) -> str:
    return key


FORMS = [
    (MOBILENET, "ours, and MIT online", same, "uni"),
    (MOBILENET, "MIT offline, trained by a user", mit_offline, None),
    (MOBILENET, "MIT offline, published", mit_published, None),
    (MOBILENET, "mmaction2", mmaction_mobilenet, None),
    (MOBILENET, "torchvision", torchvision_mobilenet, None),
    *((name, "ours, and torchvision", same, None) for name in RESNETS),
    *((name, "MIT offline", mit_offline, None) for name in RESNETS),
    *((name, "mmaction2", mmaction_resnet, None) for name in RESNETS),
    ("tsm-resnet101", "MIT offline", mit_offline_deep, None),
]
