"""The networks against plain code written from the published definitions, not from our description.

Each function reads tensors by the names that the original projects use, so a wrong key, order, stride or activation
shows here.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional


def norm(w, key, x, eps=1e-5):
    parts = (w[f"{key}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, *parts, eps=eps)


def shifted(x, cache):
    fold = x.shape[1] // 8
    return torch.cat((cache, x[:, fold:]), 1), x[:, :fold]


def mobilenetv2(w, x, caches):
    """MIT's online MobileNetV2: ten blocks by number get the shift."""
    caches, new = list(caches), []

    def conv_norm(conv, bn, x, stride=1, groups=1):
        weight = w[f"{conv}.weight"]
        return norm(w, bn, F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, 1, groups))

    x = F.relu6(conv_norm("features.0.0", "features.0.1", x, 2))
    strides = [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
    for number, stride in enumerate(strides):
        at, y = f"features.{number + 1}.conv", x
        if number in (2, 4, 5, 7, 8, 9, 11, 12, 14, 15):
            y, cache = shifted(x, caches.pop(0))
            new.append(cache)
        if number > 0:
            y = F.relu6(conv_norm(f"{at}.0", f"{at}.1", y))
        dw, pw = (0, 3) if number == 0 else (3, 6)
        y = F.relu6(conv_norm(f"{at}.{dw}", f"{at}.{dw + 1}", y, stride, groups=y.shape[1]))
        y = conv_norm(f"{at}.{pw}", f"{at}.{pw + 1}", y)
        x = x + y if stride == 1 and x.shape == y.shape else y
    x = F.relu6(conv_norm("features.18.0", "features.18.1", x))
    return F.linear(x.mean(3).mean(2), w["classifier.weight"], w["classifier.bias"]), new


def efficientnet_lite0(w, x, caches):
    """TensorFlow's EfficientNet-Lite0 by the names of its PyTorch port: nine blocks by number get the shift."""
    caches, new = list(caches), []

    def conv_norm(at, conv, bn, x, stride=1):
        weight = w[f"{at}{conv}.weight"]
        y = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, 1, x.shape[1] // weight.shape[1])
        return norm(w, f"{at}{bn}", y, eps=1e-3)

    x = F.relu6(conv_norm("", "_conv_stem", "_bn0", x, 2))
    for number, stride in enumerate([1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]):
        at, y = f"_blocks.{number}.", x
        if number in (2, 4, 6, 7, 9, 10, 12, 13, 14):
            y, cache = shifted(x, caches.pop(0))
            new.append(cache)
        if number > 0:
            y = F.relu6(conv_norm(at, "_expand_conv", "_bn0", y))
        y = F.relu6(conv_norm(at, "_depthwise_conv", "_bn1", y, stride))
        y = conv_norm(at, "_project_conv", "_bn2", y)
        x = x + y if stride == 1 and x.shape == y.shape else y
    x = F.relu6(conv_norm("", "_conv_head", "_bn1", x))
    return F.linear(x.mean((2, 3)), w["_fc.weight"], w["_fc.bias"]), new


def resnet(w, x, caches, counts, depth, every=1):
    """torchvision's ResNet with a shift before conv1 of every so many blocks; `depth` convolutions a block."""
    caches, new = list(caches), []
    x = F.relu(norm(w, "bn1", F.conv2d(x, w["conv1.weight"], None, 2, 3)))
    x = F.max_pool2d(x, 3, 2, 1)
    for stage, count in enumerate(counts, 1):
        for index in range(count):
            at, stride = f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1
            y = x
            if index % every == 0:
                y, cache = shifted(x, caches.pop(0))
                new.append(cache)
            for n in range(1, depth + 1):
                weight = w[f"{at}.conv{n}.weight"]
                here = stride if n == (2 if depth == 3 else 1) else 1
                y = norm(w, f"{at}.bn{n}", F.conv2d(y, weight, None, here, weight.shape[-1] // 2))
                y = F.relu(y) if n < depth else y
            if f"{at}.downsample.0.weight" in w:
                x = norm(w, f"{at}.downsample.1", F.conv2d(x, w[f"{at}.downsample.0.weight"], None, stride))
            x = F.relu(x + y)
    return F.linear(x.mean((2, 3)), w["fc.weight"], w["fc.bias"]), new


PLAIN = {
    "tsm-efficientnet-lite0": efficientnet_lite0,
    "tsm-mobilenetv2": mobilenetv2,
    "tsm-resnet18": lambda w, x, caches: resnet(w, x, caches, (2, 2, 2, 2), 2),
    "tsm-resnet50": lambda w, x, caches: resnet(w, x, caches, (3, 4, 6, 3), 3),
    "tsm-resnet101": lambda w, x, caches: resnet(w, x, caches, (3, 4, 23, 3), 3, every=2),
}


@pytest.mark.parametrize("name", PLAIN)
def test_step_equals_plain_code(built, name):
    model, net = built(name)
    weights, frames = (
        net.state_dict(),
        torch.randn(3, 1, 3, 64, 64, generator=torch.Generator().manual_seed(0)),
    )
    ours, plain = model.zero_states(), model.zero_states()
    with torch.no_grad():
        for frame in frames:
            got, ours = net.step(frame, ours)
            wanted, plain = PLAIN[name](weights, frame, plain)
            assert (got - wanted).abs().max() <= 1e-5 * wanted.abs().max()
            assert len(ours) == len(plain)
            for mine, other in zip(ours, plain):
                assert (mine - other).abs().max() <= 1e-5 * other.abs().max()


def test_counts_equal_what_torch_counts(built, name):
    model, net = built(name)
    assert model.parameters_count == sum(tensor.numel() for tensor in net.parameters())
    macs = []

    def count(module, inputs, output):
        if isinstance(module, torch.nn.Conv2d):
            macs.append(output.numel() * module.weight[0].numel())
        elif isinstance(module, torch.nn.Linear):
            macs.append(module.weight.numel())

    hooks = [module.register_forward_hook(count) for module in net.modules()]
    with torch.no_grad():
        net.step(torch.zeros(1, 3, 64, 64), model.zero_states())
    for hook in hooks:
        hook.remove()
    assert model.macs == sum(macs)
