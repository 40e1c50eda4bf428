"""A model: a network's description with its parameters, labels, signature and preprocessing; torch only on demand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ModelError
from ..signature import Preprocess, Scalar, Signature, StatePair, TensorSpec
from . import description
from ._clip import Window, pooled
from ._labels import JESTER, checked_labels, default_labels
from ._lagged import check_streams, delay, lagged_states
from ._shift import ONLINE, TemporalShift
from .description import Layer

if TYPE_CHECKING:
    import torch

DEFAULT_SIZE = 224
SIZES = range(32, 513, 16)  # 112 and 176 are in use; the last of the five halvings rounds up
CLASSES = range(2, 10_001)


class Width(NamedTuple):
    """Default and limits of a network's width factor."""

    default: float
    least: float
    most: float


@dataclass(frozen=True)
class Recipe:
    """What a model file provides as ``MODEL``: one line about it, and the function that lists its layers.

    describe: ``describe(classes)`` or, where there is a width, ``describe(classes, width)``.
    our_keys: renames the state_dict keys of other projects, all of a file at once; see :mod:`._foreign_keys`.
    """

    summary: str
    describe: Callable[..., tuple[Layer, ...]]
    our_keys: Callable[[Sequence[str]], list[str]]
    width: Width | None = None


@dataclass(frozen=True)
class Model:
    """One network with all its parameters set.

    parameters: "size" (input height and width, pixels), "classes" and, where the network has one, "width".
    labels: one name for every class. layers: the description that everything else is derived from.
    our_keys: from :class:`Recipe`. pictures: how they are prepared, where it is another way than ImageNet's.
    shift: what its weights were trained with; where that is not the online shift, "direction", "share", "place" and
    "delay_frames" are parameters too. window: of the clip form, whose parameters are also "padding", "clip_frames" and
    "window_stride", and "temporal_pool" where frames are pooled.
    """

    name: str
    summary: str
    parameters: Mapping[str, Scalar]
    labels: tuple[str, ...]
    layers: tuple[Layer, ...]
    our_keys: Callable[[Sequence[str]], list[str]]
    pictures: Preprocess | None = None
    shift: TemporalShift = ONLINE
    window: Window | None = None

    @property
    def size(self) -> int:
        """Height and width of the input in pixels."""
        return int(self.parameters["size"])

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.labels)

    @property
    def parameters_count(self) -> int:
        """Learnt numbers: convolutions, batch norms, head."""
        return description.parameters(self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a step, which is a frame, or a clip: convolutions and head."""
        if self.window is not None:
            return description.clip_macs(self.layers, self.size, self.window.frames)
        return description.macs(self.layers, self.size)

    @property
    def signature(self) -> Signature:
        """Input "frame", output "logits", states "cache0" and on with outputs "cache0_out" and on; all float32.

        The clip form takes all frames of a clip as "frame" and has no states.
        """
        shapes: tuple[tuple[int, ...], ...]
        if self.window is not None:
            shapes = ()
        elif self.shift.online:
            shapes = description.states(self.layers, self.size)
        else:
            shapes = lagged_states(self.layers, self.size, self.shift)
        return Signature(
            inputs=(
                TensorSpec("frame", (self.window.frames if self.window else 1, 3, self.size, self.size)),
            ),
            states=tuple(
                StatePair(TensorSpec(f"cache{index}", shape), f"cache{index}_out")
                for index, shape in enumerate(shapes)
            ),
            outputs=(TensorSpec("logits", (1, self.classes)),),
        )

    @property
    def preprocess(self) -> Preprocess:
        """How a picture becomes "frame"; see :meth:`tsm_edge.signature.Preprocess.imagenet`."""
        return self.pictures or Preprocess.imagenet(self.size)

    def seeing(self, pictures: Preprocess) -> Model:
        """The same model for pictures prepared in a way of its own; ModelError where its input is another."""
        check_pictures(self.name, self.size, pictures)
        return replace(self, pictures=pictures)

    @property
    def delay(self) -> int:
        """Frames by which an answer is behind the newest frame: one for each shift from the future; in the clip form
        those after the first, before which there is no answer.
        """
        if self.window is not None:
            return self.window.frames - 1
        return 0 if self.shift.online else delay(self.layers, self.shift)

    def streaming(self, shift: TemporalShift) -> Model:
        """The same network for weights that were trained with another shift: a stream that lags where it must.

        Raises:
            ModelError: no stream can do that shift.
        """
        if self.pools:
            raise ModelError(
                "A stream has one answer a frame, so it cannot pool frames.",
                found="temporal_pool",
                allowed="a clip",
            )
        check_streams(shift)
        facts: dict[str, Scalar] = {"direction": shift.direction, "share": shift.proportion, "place": shift.place}
        if shift.online:
            return replace(self, shift=shift)
        late = {"delay_frames": delay(self.layers, shift)}
        return replace(self, shift=shift, parameters={**self.parameters, **facts, **late})

    @property
    def pools(self) -> bool:
        """Whether it pools frames, which no stream can do."""
        return "temporal_pool" in self.parameters

    def pooling(self) -> Model:
        """The same network with temporal pooling (:func:`._clip.pooled`); ModelError where it cannot pool."""
        return replace(
            self, layers=pooled(self.layers), parameters={**self.parameters, "temporal_pool": True}
        )

    def clips(self, shift: TemporalShift, window: Window) -> Model:
        """The same network in the clip form, with the shift that its weights were trained with."""
        facts: dict[str, Scalar] = {
            "direction": shift.direction,
            "share": shift.proportion,
            "place": shift.place,
            "padding": shift.padding,
            "clip_frames": window.frames,
            "window_stride": window.stride,
            "delay_frames": window.frames - 1,
        }
        return replace(self, shift=shift, window=window, parameters={**self.parameters, **facts})

    def net(self) -> torch.nn.Module:
        """The torch network in eval mode, with torch's own initial values."""
        from ._net import make_net

        return make_net(self.layers, self.shift, clip=self.window is not None)

    def build(self, seed: int = 0) -> torch.nn.Module:
        """Return the torch network in eval mode with seeded weights; the same seed gives the same bytes.

        ``net(clip [N, T, 3, H, W]) -> [N, T, classes]`` and
        ``net.step(frame [1, 3, H, W], states) -> (logits [1, classes], next states)``.

        Raises:
            UsageError: the seed is no integer of 0..2**32-1.
        """
        from ._seeded import seed_net

        net = self.net()
        seed_net(net, self.layers, self.size, seed)
        return net

    def zero_states(self) -> tuple[torch.Tensor, ...]:
        """Return the states of a stream that has seen nothing: float32 zeros, one tensor a state."""
        import torch

        return tuple(torch.zeros(pair.input.shape) for pair in self.signature.states)


def make_model(
    name: str,
    recipe: Recipe,
    *,
    width: float | None,
    size: int | None,
    classes: int | None,
    labels: Sequence[str] | None,
) -> Model:
    """Check the parameters, fill in the defaults and describe the network; ModelError for a bad parameter."""
    if classes is None:
        classes = len(JESTER) if labels is None else len(labels)
    parameters: dict[str, Scalar] = {
        "size": whole(name, "size", DEFAULT_SIZE if size is None else size, SIZES),
        "classes": whole(name, "classes", classes, CLASSES),
    }
    scale = _width(name, recipe.width, width)
    if scale is not None:
        parameters["width"] = scale
    names = default_labels(classes) if labels is None else checked_labels(labels, classes)
    layers = recipe.describe(classes) if scale is None else recipe.describe(classes, scale)
    return Model(name, recipe.summary, parameters, names, layers, recipe.our_keys)


def check_pictures(name: str, size: int, pictures: Preprocess) -> None:
    """ModelError where a network's input, `size` x `size` in colour, is not what the preprocessing gives."""
    if pictures.crop != (size, size) or pictures.channels != 3:
        raise ModelError(
            f"{name}: the pictures are not its input.",
            found=f"{pictures.crop[0]}x{pictures.crop[1]}, {pictures.color}",
            allowed=f"{size}x{size} in colour",
        )


def whole(name: str, field: str, value: object, allowed: range) -> int:
    """The value, which is an integer of the range; ModelError for any other."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        of = f"a multiple of {allowed.step}" if allowed.step > 1 else "an integer"
        raise ModelError(
            f"{name}: bad {field}.", found=repr(value), allowed=f"{of} of {allowed[0]}..{allowed[-1]}"
        )
    return value


def _width(name: str, limits: Width | None, value: float | None) -> float | None:
    if limits is None:
        if value is not None:
            raise ModelError(f"{name} has no width.", found=value, hint="leave the width out")
        return None
    if value is None:
        return limits.default
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not limits.least <= value <= limits.most:
        raise ModelError(
            f"{name}: bad width.", found=repr(value), allowed=f"a number of {limits.least}..{limits.most}"
        )
    return float(value)
