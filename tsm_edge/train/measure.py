"""How well clips are recognised: per-frame scores of whole stores, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import frames
from ..models import Model, TemporalShift
from ..runtime import native
from ..signature import Preprocess, Signature
from . import sampling
from .network import Trainable, channels_last, clip_logits
from .store import Store

if TYPE_CHECKING:
    import torch

    from ..runtime import Stream

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
_BATCH = 8  # clips at once
#: called with the number of clips that were measured since the last call
Done = Callable[[int], None]


def consensus(count: int) -> Floats:
    """How much each of ``count`` frames counts for the answer about a clip, [count], together 1.

    In proportion to how many frames it has seen: the first knows nothing of any movement.
    """
    seen: Floats = np.arange(1.0, count + 1)
    total: np.float64 = seen.sum()
    return seen / total


@dataclass(frozen=True)
class Measured:
    """Scores of clips against their labels.

    scores: for every clip [T, classes], the logits after each frame. After t frames the answer is their weighted mean,
    each counting as much as the frames that it has seen (:func:`consensus`).
    """

    scores: Sequence[Floats]
    targets: NDArray[np.int64]
    labels: tuple[str, ...]

    def answers(self, share: float = 1.0) -> Floats:
        """Scores [N, classes] after that share of each clip's frames, at least one."""
        seen = [clip[: max(1, math.ceil(share * len(clip) - 1e-9))] for clip in self.scores]
        return np.stack([consensus(len(clip)) @ clip for clip in seen])

    def early(self, share: float) -> float:
        """Top-1 accuracy when only that share of a clip has been seen."""
        return float((self.answers(share).argmax(1) == self.targets).mean())

    @property
    def whole(self) -> bool:
        """Whether every clip has one answer, so that nothing can be said of its parts."""
        return all(len(clip) == 1 for clip in self.scores)

    @property
    def top1(self) -> float:
        """Share of the clips whose best answer is right."""
        return self.early(1.0)

    @property
    def top5(self) -> float:
        """Share of the clips whose five best answers hold the right one."""
        best = np.argsort(-self.answers(), axis=1, kind="stable")[:, :5]
        return float((best == self.targets[:, None]).any(1).mean())

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Counts [true class, answer]."""
        table = np.zeros((len(self.labels),) * 2, np.int64)
        np.add.at(table, (self.targets, self.answers().argmax(1)), 1)
        return table

    @property
    def recalls(self) -> dict[str, float]:
        """For each class that has clips, the share of them that is recognised."""
        return {
            name: float(row[at] / row.sum())
            for at, (name, row) in enumerate(zip(self.labels, self.confusion))
            if row.sum()
        }

    @property
    def curve(self) -> list[tuple[float, float]]:
        """Top-1 accuracy after each tenth of the clips."""
        return [(tenth / 10, self.early(tenth / 10)) for tenth in range(1, 11)]


def normalised(
    clips: Pixels | torch.Tensor, how: Preprocess, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """uint8 [N, T, H, W, 3] RGB -> float32 [N, T, 3, H, W] as the network wants it, on ``device``; channels last in
    memory.
    """
    import torch

    x = torch.as_tensor(clips).to(device).flatten(0, 1).permute(0, 3, 1, 2).float()
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (how.mean, how.std))
    return ((x / how.scale - mean) / std).unflatten(0, clips.shape[:2])


def centred(clip: Pixels, how: Preprocess) -> Pixels:
    """A stored clip as a bundle's step would see its frames: short side resized, centre cut out."""
    side, _ = how.resize  # what is trained takes squares
    if clip.shape[1] != side:
        clip = resized(clip, side)
    return np.stack([frames.centre_crop(frame, how.crop) for frame in clip])


def resized(clip: Pixels, side: int) -> Pixels:
    """Square frames [T, s, s, 3] scaled to ``side``: :func:`tsm_edge.frames.resize` for all of them at once, bit for
    bit.
    """
    matrix = np.zeros((side, clip.shape[1]))
    for row, (start, taps) in zip(matrix, frames.filter_weights(clip.shape[1], side)):
        row[start : start + len(taps)] = taps
    half, unit = 1 << (frames.PRECISION_BITS - 1), 2.0**-frames.PRECISION_BITS
    values = clip.astype(np.float64)  # exact: all sums stay below 2**53, and the unit is a power of two
    for _ in "width", "height":  # in this order, as Pillow does; each turn also swaps the two axes
        values = values.swapaxes(1, 2).reshape(len(clip), clip.shape[1], -1)
        values = matrix @ values
        values += half
        values *= unit
        np.clip(np.floor(values, out=values), 0, 255, out=values)
        values = values.reshape(len(clip), side, -1, 3)
    return values.astype(np.uint8)


@dataclass(frozen=True)
class Look:
    """Which frames of a clip are looked at: ``frames`` of them, picked as :mod:`.sampling` does, or all when that is
    0.
    """

    frames: int = 0
    way: str = "segments"

    def at(self, clip: Pixels) -> Pixels:
        """The frames of a clip, without chance."""
        return clip[sampling.pick(self.way, len(clip), self.frames)] if self.frames else clip


def prepared(store: Store, how: Preprocess, look: Look) -> list[Pixels]:
    """What a network sees of every clip of a store: uint8 [T, size, size, 3] RGB each."""
    return [centred(look.at(store.clip(index)), how) for index in range(len(store))]


def clip_scores(
    net: torch.nn.Module, model: Trainable, seen: Sequence[Pixels], variant: TemporalShift, done: Done | None = None
) -> list[Floats]:
    """Logits [T, classes] of each prepared clip, in the clip form; [1, classes] of a network with one answer a clip."""
    return _scores(net, model, seen, lambda clips: clip_logits(net, model, clips, variant), done)


def step_scores(net: torch.nn.Module, model: Model, seen: Sequence[Pixels], done: Done | None = None) -> list[Floats]:
    """The same in the online form: frame by frame from zero states, as a bundle runs."""
    import torch

    def steps(clips: torch.Tensor) -> torch.Tensor:
        zeros = (state.to(clips.device) for state in model.zero_states())
        states = tuple(state.expand(len(clips), -1, -1, -1) for state in zeros)
        rows = []
        for frame in clips.unbind(1):
            logits, states = net.step(frame, states)
            rows.append(logits)
        return torch.stack(rows, 1)

    return _scores(net, model, seen, steps, done)


def stream_scores(
    stream: Stream, store: Store, look: Look, done: Done | None = None, late: int = 0, clip: int = 1
) -> list[Floats]:
    """The same on an opened bundle: its stream takes the stored pictures as they are and does its own preprocessing.

    late: frames by which its answers are behind; the last frame of a clip stands for as long, or until there are `clip`
    frames, which the network looks at at once.
    """
    rows = []
    for index in range(len(store)):
        stream.reset()
        frames = standing(look.at(store.clip(index)), late, clip)
        scores = [stream.step(np.ascontiguousarray(frame), format="rgb") for frame in frames]
        rows.append(np.stack(scores[late:]).astype(np.float64))
        if done:
            done(1)
    return rows


def command_scores(
    command: list[str], signature: Signature, store: Store, look: Look, done: Done | None = None, late: int = 0
) -> list[Floats]:
    """The same through a bundle's own command, which may be an emulator's: a process for each clip."""
    classes = signature.outputs[0].size
    floats = classes + sum(pair.input.size for pair in signature.states)
    words = ("--threads", "1", "--raw", f"{store.side}x{store.side}", "--format", "rgb")
    rows = []
    for index in range(len(store)):
        left = native.dump(
            command, words, standing(look.at(store.clip(index)), late, signature.clip_frames), floats
        )
        rows.append(left[late:, :classes].astype(np.float64))
        if done:
            done(1)
    return rows


def standing(clip: Pixels, late: int, frames: int = 1) -> Pixels:
    """A clip whose last frame stands for so many frames more; of a window, until it has as many `frames`."""
    late = max(0, frames - len(clip)) if frames > 1 else late
    return np.concatenate([clip, np.repeat(clip[-1:], late, axis=0)]) if late else clip


def _scores(
    net: torch.nn.Module,
    model: Trainable,
    seen: Sequence[Pixels],
    run: Callable[[torch.Tensor], torch.Tensor],
    done: Done | None,
) -> list[Floats]:
    """Run clips of the same length together, a few at a time, where the network is."""
    import torch

    device = next(net.parameters()).device
    found: dict[int, Floats] = {}
    by_length: dict[int, list[int]] = {}
    for index, clip in enumerate(seen):
        by_length.setdefault(len(clip), []).append(index)
    with torch.inference_mode():
        channels_last(net.eval())
        for members in by_length.values():
            for at in range(0, len(members), _BATCH):
                some = members[at : at + _BATCH]
                pixels = np.stack([seen[index] for index in some])
                logits = run(normalised(pixels, model.preprocess, device))
                found.update(zip(some, logits.double().cpu().numpy()))
                if done:
                    done(len(some))
    return [found[index] for index in range(len(seen))]
