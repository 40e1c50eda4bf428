"""The models: networks with a per-frame step. One file here without a leading underscore is one model;
:mod:`tsm_edge.models.description` holds the records that describe one.

``model = load("tsm-mobilenetv2", classes=5)`` needs no torch; ``net = model.build(seed=0)`` does. Then
``logits, states = net.step(frame, model.zero_states())`` recognises the first frame of a stream.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError, UnknownName, UsageError
from ..signature import Preprocess, Scalar
from ..weights import shipped as shipped_
from ..weights.meta import WeightsMeta
from ._clip import Window, frame_pool, shift_window
from ._labels import JESTER, JESTER_OFFICIAL, checked_labels, is_label, read_labels
from ._lagged import check_streams, delay, lagged_states
from ._model import Model, Recipe, Width, make_model
from ._net import make_net, run_clip, run_lagged, run_layers, run_windowed, step_module
from ._shift import DIRECTIONS, OFFLINE, ONLINE, PADDINGS, PLACES, TemporalShift, shift_clip, shift_frames

if TYPE_CHECKING:
    from .clips import ClipModel

__all__ = [
    "DIRECTIONS",
    "JESTER",
    "JESTER_OFFICIAL",
    "OFFLINE",
    "ONLINE",
    "PADDINGS",
    "PLACES",
    "Model",
    "Recipe",
    "TemporalShift",
    "Width",
    "Window",
    "check_name",
    "check_streams",
    "checked_labels",
    "delay",
    "frame_pool",
    "is_label",
    "lagged_states",
    "load",
    "load_from",
    "make_net",
    "named",
    "names",
    "read_labels",
    "run_clip",
    "run_lagged",
    "run_layers",
    "run_windowed",
    "shift_clip",
    "shift_frames",
    "shift_window",
    "shipped",
    "shipped_file",
    "shipped_meta",
    "step_module",
]

#: every parameter that a network may have
_PARAMETERS = frozenset(
    {"width", "size", "classes", "direction", "share", "place", "padding"}
    | {"clip_frames", "window_stride", "temporal_pool", "delay_frames"}
)


def names() -> list[str]:
    """Return the names of all networks, sorted; the file `tsm_x.py` is the model `tsm-x`."""
    files = (info.name for info in pkgutil.iter_modules(__path__) if not (info.ispkg or info.name.startswith("_")))
    return sorted(file.replace("_", "-") for file in files)


def shipped() -> list[str]:
    """Return the names of the models that come trained, sorted; each is one of the networks with all its parameters."""
    return shipped_.names()


def shipped_file(name: str) -> Path:
    """Return the file of weights of a model that comes trained."""
    return shipped_.path_of(name)


def shipped_ranges(name: str) -> Path | None:
    """Return the ranges of a trained model's values, which int8 takes without calibration; None where none came."""
    return shipped_.ranges_of(name)


def shipped_meta(name: str) -> WeightsMeta:
    """Return what the weights of a model that comes trained say about themselves."""
    return shipped_.meta_of(name)


def check_name(name: str) -> None:
    """UnknownName for a name that is neither a network here, nor one that comes trained, nor one of the family."""
    from . import clips

    known = [*names(), *shipped(), *clips.names()]
    if name not in known:
        raise UnknownName.of("model", name, known)


def named(name: str, size: int | None = None) -> Model | ClipModel:
    """Return a model by its name, be it of the family or not, with all else left out; UnknownName for any other."""
    from . import clips

    check_name(name)
    return clips.load(name, size=size) if name in clips.names() else load(name, size=size)


def load(
    name: str,
    *,
    width: float | None = None,
    size: int | None = None,
    classes: int | None = None,
    labels: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    direction: str | None = None,
    share: float | None = None,
    place: str | None = None,
    padding: str | None = None,
    clip_frames: int | None = None,
    window_stride: int | None = None,
    temporal_pool: bool = False,
    delay_frames: int | None = None,
) -> Model:
    """Return a model with its parameters set; needs no torch.

    width: factor on the channels, only where the network has one.
    size: input height and width in pixels, a multiple of 16 from 32 to 512; 224 when left out.
    classes: number of classes; when left out, the number of labels, else 27 (Jester).
    labels: one name a class; when left out, the Jester names for 27 classes, else "class 0" and on.
    preprocess: how its pictures are prepared; ImageNet's way when left out.
    direction, share, place, padding: of the shift (:class:`TemporalShift`), where it is not the online one.
    clip_frames, window_stride, temporal_pool: of the clip form (:class:`Window`). delay_frames: what follows from all
    of them, as a manifest has it.

    A model that comes trained (:func:`shipped`) has its own width, size and labels;
    :func:`tsm_edge.weights.checkpoints.prepare` takes its weights as long as none of them is changed.

    Raises:
        UnknownName: there is no such model.
        ModelError: a parameter is out of its range, or labels and classes disagree.
    """
    network = name
    if name in shipped():
        meta = shipped_.meta_of(name)
        network = meta.model
        width = meta.width if width is None else width
        size = meta.size if size is None else size
        if labels is None and classes in (None, len(meta.labels)):
            labels = meta.labels
    if network not in names():
        raise _no_stream(name)
    recipe = importlib.import_module(f"{__name__}.{network.replace('-', '_')}").MODEL
    model = make_model(name, recipe, width=width, size=size, classes=classes, labels=labels)
    model = model.pooling() if temporal_pool else model
    shift = ONLINE
    if direction is not None:
        share = ONLINE.proportion if share is None else share
        shift = TemporalShift(direction, share, place or "residual", padding or "zero")
    if clip_frames is not None:
        model = model.clips(shift, Window.of(clip_frames, window_stride))
    elif direction is not None:
        model = model.streaming(shift)
    if delay_frames not in (None, model.delay):
        raise ModelError(f"{name}: another delay follows from its shift.", found=delay_frames, allowed=model.delay)
    return model if preprocess is None else model.seeing(preprocess)


def load_from(
    name: str,
    parameters: Mapping[str, Scalar],
    labels: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
) -> Model:
    """:func:`load` with the parameters of a :class:`Model`, as a manifest or a training has them.

    Raises:
        UnknownName, ModelError: see :func:`load`; ModelError also for a parameter that no network has.
    """
    unknown = sorted(set(parameters) - _PARAMETERS)
    if unknown:
        raise ModelError(f"{name}: unknown parameter.", found=unknown[0], allowed=", ".join(sorted(_PARAMETERS)))
    width, share = (_number(name, parameters, key) for key in ("width", "share"))
    size, classes, late = (_integer(name, parameters, key) for key in ("size", "classes", "delay_frames"))
    frames, stride = (_integer(name, parameters, key) for key in ("clip_frames", "window_stride"))
    direction, place, padding = (_text(name, parameters, key) for key in ("direction", "place", "padding"))
    return load(
        name, width=width, size=size, classes=classes, labels=labels, preprocess=preprocess,
        direction=direction, share=share, place=place, padding=padding, clip_frames=frames, window_stride=stride,
        temporal_pool=bool(parameters.get("temporal_pool", False)), delay_frames=late,
    )  # fmt: skip


def _no_stream(name: str) -> UsageError:
    """The error for a name of no network that runs frame by frame."""
    from . import clips

    known = [*names(), *shipped()]
    if name in clips.names():
        return UsageError(
            f"'{name}' takes whole clips, and here a network that runs frame by frame is needed.",
            allowed=", ".join(known),
        )
    return UnknownName.of("model", name, known)


def _number(name: str, parameters: Mapping[str, Scalar], key: str) -> float | None:
    value = parameters.get(key)
    if isinstance(value, (str, bool)):
        raise ModelError(f"{name}: bad {key}.", found=repr(value), allowed="a number")
    return value


def _integer(name: str, parameters: Mapping[str, Scalar], key: str) -> int | None:
    value = parameters.get(key)
    if isinstance(value, (str, bool, float)):
        raise ModelError(f"{name}: bad {key}.", found=repr(value), allowed="an integer")
    return value


def _text(name: str, parameters: Mapping[str, Scalar], key: str) -> str | None:
    value = parameters.get(key)
    if value is not None and not isinstance(value, str):
        raise ModelError(f"{name}: bad {key}.", found=repr(value), allowed="a text")
    return value
