"""The models: networks with a per-frame step. One file here without a leading underscore is one model.

``model = load("tsm-mobilenetv2", classes=5)`` needs no torch; ``net = model.build(seed=0)`` does. Then
``logits, states = net.step(frame, model.zero_states())`` recognises the first frame of a stream.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence

from ..errors import UnknownName
from ._labels import JESTER, read_labels
from ._model import Model, Recipe, Width, make_model
from ._net import step_module

__all__ = ["JESTER", "Model", "Recipe", "Width", "load", "names", "read_labels", "step_module"]


def names() -> list[str]:
    """Return the names of all models, sorted; the file `tsm_x.py` is the model `tsm-x`."""
    files = (info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_"))
    return sorted(file.replace("_", "-") for file in files)


def load(
    name: str,
    *,
    width: float | None = None,
    size: int | None = None,
    classes: int | None = None,
    labels: Sequence[str] | None = None,
) -> Model:
    """Return a model with its parameters set; needs no torch.

    width: factor on the channels, only where the network has one.
    size: input height and width in pixels, a multiple of 16 from 32 to 512; 224 when left out.
    classes: number of classes; when left out, the number of labels, else 27 (Jester).
    labels: one name a class; when left out, the Jester names for 27 classes, else "class 0" and on.

    Raises:
        UnknownName: there is no such model.
        ModelError: a parameter is out of its range, or labels and classes disagree.
    """
    if name not in names():
        raise UnknownName.of("model", name, names())
    recipe = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").MODEL
    return make_model(name, recipe, width=width, size=size, classes=classes, labels=labels)
