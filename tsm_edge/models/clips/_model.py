"""A clip model: a network's description with its parameters, labels, signature and preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from ...errors import ModelError
from ...signature import Preprocess, Scalar, Signature, StatePair, TensorSpec
from .._labels import JESTER, checked_labels, default_labels
from .._model import CLASSES, DEFAULT_SIZE, SIZES, check_pictures, whole
from ._graph import Network
from ._stream import Stream, macs, streamed

if TYPE_CHECKING:
    import torch


class Published(NamedTuple):
    """What a paper's table says of a network: top-1 accuracy in % on Something-Something V1's validation set."""

    accuracy: float
    source: str
    frames: int


@dataclass(frozen=True)
class Recipe:
    """What a model file provides as ``MODEL``.

    describe: ``describe(classes, frames)`` lists the operators. frames: how many a clip has by default, and may have.
    published: accuracies of the paper's table.
    """

    summary: str
    describe: Callable[[int, int], Network]
    frames: int
    allowed: range
    published: tuple[Published, ...] = ()


@dataclass(frozen=True)
class ClipModel:
    """A network that takes all frames of a clip at once, with all its parameters set; some run as streams as well.

    parameters: "size" (height and width, pixels), "classes", "clip_frames", "window_stride" (new frames from clip to
    clip) and "delay_frames" (those before the first answer), as a manifest has them; of a stream, in place of these
    three, "seen_frames": how many frames an answer is computed from. labels: one name for every class.
    published: accuracies of the papers' tables. pictures: how they are prepared, where not in ImageNet's way.
    stream: where the network is cut, for one that runs frame by frame.
    """

    name: str
    summary: str
    parameters: Mapping[str, Scalar]
    labels: tuple[str, ...]
    network: Network
    published: tuple[Published, ...] = ()
    pictures: Preprocess | None = None
    stream: Stream | None = None

    @property
    def size(self) -> int:
        """Height and width of the input in pixels."""
        return int(self.parameters["size"])

    @property
    def frames(self) -> int:
        """Frames of a clip, or that an answer of a stream is computed from."""
        return int(self.parameters["clip_frames" if self.stream is None else "seen_frames"])

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.labels)

    @property
    def clip(self) -> tuple[int, int, int, int]:
        """The shape of a clip: (T, 3, H, W)."""
        return (self.frames, 3, self.size, self.size)

    @property
    def signature(self) -> Signature:
        """Input "frame", which is all frames of a clip, and output "logits"; float32, no states but "boxes".

        A network of regions has boxes as a state that only the caller changes, [frames, boxes, 4]: left, top, right and
        bottom as fractions of the picture; four zeros, with which it starts, stand for the box of a fixed grid.

        A stream takes one frame, and has the states "cache0" and on with outputs "cache0_out" and on, [T - 1, ...].
        """
        scores = (TensorSpec("logits", (1, self.classes)),)
        if self.stream is None:
            boxes = self.network.boxes
            given = () if boxes is None else (StatePair(TensorSpec("boxes", boxes.shape(())), "boxes_out"),)
            return Signature((TensorSpec("frame", self.clip),), given, scores)
        shapes = self.network.shapes(self.clip)
        states = tuple(
            StatePair(TensorSpec(f"cache{index}", (self.frames - 1, *shapes[value][1:])), f"cache{index}_out")
            for index, value in enumerate(self.stream.kept)
        )
        return Signature((TensorSpec("frame", (1, *self.clip[1:])),), states, scores)

    def zero_states(self) -> tuple[torch.Tensor, ...]:
        """The states with which a stream starts; a clip has none but boxes."""
        import torch

        return tuple(torch.zeros(pair.input.shape) for pair in self.signature.states)

    def streaming(self) -> ClipModel:
        """The same network frame by frame, the features of the last frames in states.

        Raises:
            ModelError: too little of its work is of one frame alone.
        """
        kept = {key: self.parameters[key] for key in ("size", "classes")}
        stream = streamed(self.name, self.network, self.clip)
        return replace(self, parameters={**kept, "seen_frames": self.frames}, stream=stream)

    @property
    def parameters_count(self) -> int:
        """Learnt numbers; a layer that is used several times counts once."""
        return self.network.parameters

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a clip, or of a stream's step: convolutions, matrix products, linear layers."""
        return self.network.macs(self.clip) if self.stream is None else sum(macs(self.network, self.clip, self.stream))

    @property
    def preprocess(self) -> Preprocess:
        """How a picture becomes a frame of the clip."""
        return self.pictures or Preprocess.imagenet(self.size)

    def seeing(self, pictures: Preprocess) -> ClipModel:
        """The same model for pictures prepared in a way of its own; ModelError where its input is another."""
        check_pictures(self.name, self.size, pictures)
        return replace(self, pictures=pictures)

    def net(self) -> torch.nn.Module:
        """The torch network in eval mode, with torch's own initial values."""
        from ._torch import make_clip_net

        return make_clip_net(self.network, self.frames, self.stream)

    def build(self, seed: int = 0) -> torch.nn.Module:
        """Return the torch network in eval mode with seeded weights: ``net(clip [N, T, 3, H, W]) -> [N, classes]``.

        Raises:
            UsageError: the seed is no integer of 0..2**32-1.
        """
        from ._seeded import seed_clip_net

        net = self.net()
        seed_clip_net(net, self.network, self.frames, self.size, seed)
        return net


def make_clip_model(
    name: str,
    recipe: Recipe,
    *,
    size: int | None = None,
    classes: int | None = None,
    labels: Sequence[str] | None = None,
    frames: int | None = None,
    window_stride: int | None = None,
) -> ClipModel:
    """Check the parameters, fill in the defaults and describe the network; ModelError for a bad parameter."""
    if classes is None:
        classes = len(JESTER) if labels is None else len(labels)
    parameters = {
        "size": whole(name, "size", DEFAULT_SIZE if size is None else size, SIZES),
        "classes": whole(name, "classes", classes, CLASSES),
    }
    count = whole(name, "frames", recipe.frames if frames is None else frames, recipe.allowed)
    stride = max(1, count // 2) if window_stride is None else window_stride
    parameters |= {
        "clip_frames": count,
        "window_stride": whole(name, "window stride", stride, range(1, count + 1)),
        "delay_frames": count - 1,
    }
    words = default_labels(classes) if labels is None else checked_labels(labels, classes)
    network = recipe.describe(classes, count)
    model = ClipModel(name, recipe.summary, parameters, words, network, recipe.published)
    scores = network.shapes(model.clip)[-1]
    if scores != (classes,):
        raise ModelError(f"{name}: its last value is no list of scores.", found=scores, allowed=(classes,))
    return model
