"""The torch network of a description: one set of weights, two faces.

``net(clip)`` takes [N, T, 3, H, W] and returns the logits of every frame, [N, T, classes]: the form for training and
for reference. ``net.step(frame, states)`` takes one frame and the states it needs: the form that runs on a device.
T steps from zero states equal the clip form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ._clip import frame_pool, run_window
from ._lagged import Delayed
from ._shift import ONLINE, TemporalShift, shift_clip, shift_frames, shift_step
from .description import Block, Conv, FramePool, Head, Layer, Pool, convs, head

if TYPE_CHECKING:
    import torch

#: given a shifted block's raw input and its fold, return what its first convolution reads
Shift = Callable[["torch.Tensor", int], "torch.Tensor"]


def make_net(
    layers: tuple[Layer, ...], kind: TemporalShift = ONLINE, clip: bool = False
) -> torch.nn.Module:
    """Build the network, in eval mode, with torch's own initial values. kind: of the shift in both faces; clip: a step
    takes all frames of a clip, [T, 3, H, W], and has no states.

    Returns a ``torch.nn.Module`` whose state_dict keys are the names in the description. (The class is made here
    so that importing this file does not import torch.)
    """
    import torch

    clip_form = clip

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for conv, _ in convs(layers, 1):
                put(self, conv.weight, _conv2d(conv))
                put(self, conv.norm, torch.nn.BatchNorm2d(conv.outputs, eps=conv.epsilon))
            last = head(layers)
            put(self, last.name, torch.nn.Linear(last.inputs, last.classes))

        def forward(self, clip: torch.Tensor) -> torch.Tensor:
            """[N, T, 3, H, W] -> logits [N, T, classes]; online, frame t sees frames 0..t, never the future."""
            if clip_form or not kind.online:
                return run_clip(self, layers, clip, kind)
            count, frames = clip.shape[:2]
            logits = run_layers(self, layers, clip.flatten(0, 1), lambda x, fold: shift_clip(x, frames, fold))
            return logits.unflatten(0, (count, frames))

        def step(
            self, frame: torch.Tensor, states: tuple[torch.Tensor, ...]
        ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
            """[N, 3, H, W] and the states -> logits [N, classes] and the next states."""
            if clip_form:
                return run_windowed(self, layers, frame, kind), ()
            if not kind.online:
                return run_lagged(self, layers, frame, kind, states)
            waiting, after = list(states), []

            def shift(x: torch.Tensor, fold: int) -> torch.Tensor:
                shifted, state = shift_step(x, waiting.pop(0))
                after.append(state)
                return shifted

            logits = run_layers(self, layers, frame, shift)
            return logits, tuple(after)

    return Net().eval()


def step_module(net: torch.nn.Module) -> torch.nn.Module:
    """Wrap a net for ``torch.export``: forward(frame, *states) -> (logits, *new_states), all flat tensors."""
    import torch

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, frame: torch.Tensor, *states: torch.Tensor) -> tuple[torch.Tensor, ...]:
            logits, after = self.net.step(frame, states)
            return (logits, *after)

    return Step().eval()


def run_layers(net: torch.nn.Module, layers: tuple[Layer, ...], x: torch.Tensor, shift: Shift) -> torch.Tensor:
    import torch

    for layer in layers:
        if isinstance(layer, Conv):
            x = _convolve(net, layer, x)
        elif isinstance(layer, Pool):
            x = torch.nn.functional.max_pool2d(x, 3, 2, 1)
        elif isinstance(layer, Block):
            # the sum reads the raw input, never the shifted one
            x = _block(net, layer, x, shift(x, layer.fold) if layer.shifted else x)
        elif isinstance(layer, Head):
            x = net.get_submodule(layer.name)(x.mean((2, 3)))
    return x


def run_lagged(
    net: torch.nn.Module,
    layers: tuple[Layer, ...],
    frame: torch.Tensor,
    kind: TemporalShift,
    states: tuple[torch.Tensor, ...],
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """One step of the lagged stream: [1, 3, H, W] and the states -> logits of an older frame and the next states."""
    shifts = Delayed(kind, states)
    x = frame
    for layer in layers:
        if isinstance(layer, Block) and layer.shifted:
            x = shifts(layer, x, lambda block, raw, read: _block(net, block, raw, read))
        else:
            x = run_layers(net, (layer,), x, _unshifted)
    return x, tuple(shifts.after)


def run_clip(
    net: torch.nn.Module, layers: tuple[Layer, ...], clip: torch.Tensor, kind: TemporalShift
) -> torch.Tensor:
    """[N, T, 3, H, W] -> logits [N, T, classes] of a network with any kind of shift; of fewer frames where it pools
    them.
    """
    import torch

    count, frames = clip.shape[:2]
    x = clip.flatten(0, 1)
    for layer in layers:
        if isinstance(layer, FramePool):
            x = torch.cat([frame_pool(one) for one in x.unflatten(0, (count, frames))])
            frames = layer.frames(frames)
        elif isinstance(layer, Block) and layer.shifted:
            read = shift_frames(x, frames, kind)
            x = _block(net, layer, read if kind.place == "inplace" else x, read)
        else:
            x = run_layers(net, (layer,), x, _unshifted)
    return x.unflatten(0, (count, frames))


def run_windowed(
    net: torch.nn.Module, layers: tuple[Layer, ...], clip: torch.Tensor, kind: TemporalShift
) -> torch.Tensor:
    """[T, 3, H, W] -> logits [1, classes]: the mean of those of its frames."""
    x = run_window(
        layers,
        clip,
        kind,
        lambda layer, x: run_layers(net, (layer,), x, _unshifted),
        lambda block, raw, read: _block(net, block, raw, read),
    )
    features: torch.Tensor = x.mean((2, 3)).mean(0, keepdim=True)
    logits: torch.Tensor = net.get_submodule(head(layers).name)(features)
    return logits


def _unshifted(x: torch.Tensor, fold: int) -> torch.Tensor:
    return x


def _block(net: torch.nn.Module, block: Block, x: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
    """x: what the sum takes; read: what the first convolution takes, shifted or the same."""
    y = read
    for conv in block.chain:
        y = _convolve(net, conv, y)
    if block.residual:
        y = y + (_convolve(net, block.projection, x) if block.projection else x)
    return _activate(y, block.activation)


def _convolve(net: torch.nn.Module, conv: Conv, x: torch.Tensor) -> torch.Tensor:
    x = net.get_submodule(conv.norm)(net.get_submodule(conv.weight)(x))
    return _activate(x, conv.activation)


def _activate(x: torch.Tensor, activation: str) -> torch.Tensor:
    import torch

    if activation == "relu":
        return torch.nn.functional.relu(x)
    return torch.nn.functional.relu6(x) if activation == "relu6" else x


def _conv2d(conv: Conv) -> torch.nn.Module:
    import torch

    return torch.nn.Conv2d(
        conv.inputs, conv.outputs, conv.kernel, conv.stride, conv.kernel // 2, groups=conv.groups, bias=False
    )


def put(net: torch.nn.Module, name: str, module: torch.nn.Module) -> None:
    """Register ``module`` under a dotted name, with empty modules for the parts before the last dot."""
    import torch

    *parents, last = name.split(".")
    for parent in parents:
        if parent not in dict(net.named_children()):
            net.add_module(parent, torch.nn.Module())
        net = net.get_submodule(parent)
    net.add_module(last, module)
