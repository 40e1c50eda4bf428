"""The family: networks that take all frames of a clip at once. One file here without an underscore is one model.

``model = load("i3d-resnet50", classes=5)`` needs no torch; ``net = model.build(seed=0)`` does. Then
``logits = net(clips)`` takes [N, T, 3, H, W].
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence

from ...errors import UnknownName
from . import _records as records
from . import _regions as regions
from ._foreign_keys import our_keys
from ._graph import Builder, Network
from ._model import ClipModel, Published, Recipe, make_clip_model
from ._scores import scoring
from ._tensors import head_of, shapes_of

__all__ = [
    "Builder",
    "ClipModel",
    "Network",
    "Published",
    "Recipe",
    "head_of",
    "load",
    "make_clip_model",
    "names",
    "our_keys",
    "records",
    "regions",
    "scoring",
    "shapes_of",
]


def names() -> list[str]:
    """Return the names of the family's networks, sorted; the file `i3d_x.py` is the model `i3d-x`."""
    files = (info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_"))
    return sorted(file.replace("_", "-") for file in files)


def load(
    name: str,
    *,
    size: int | None = None,
    classes: int | None = None,
    labels: Sequence[str] | None = None,
    frames: int | None = None,
    window_stride: int | None = None,
) -> ClipModel:
    """Return a model with its parameters set; needs no torch.

    size: input height and width in pixels, a multiple of 16 from 32 to 512; 224 when left out. frames: of a clip; the
    paper's number when left out. window_stride: new frames from clip to clip; half a clip when left out. classes,
    labels: as for :func:`tsm_edge.models.load`.

    Raises:
        UnknownName: there is no such model.
        ModelError: a parameter is out of its range, or labels and classes disagree.
    """
    if name not in names():
        raise UnknownName.of("model", name, names())
    recipe = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").MODEL
    asked = {"size": size, "classes": classes, "frames": frames, "window_stride": window_stride}
    return make_clip_model(name, recipe, labels=labels, **asked)
