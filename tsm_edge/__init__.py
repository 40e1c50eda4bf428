"""tsm-edge: one small native artefact that recognises actions frame by frame on an edge device.

``tsm_edge.open("bundle-folder")`` returns a model; ``model.stream().step(frame)`` returns the scores of one frame.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

#: the one home of the version; pyproject.toml reads it from here
__version__ = "0.1.0"

if TYPE_CHECKING:
    from .runtime import Model, Stream, open

__all__ = ["Model", "Stream", "__version__", "open"]

# In a checkout compile/, demo/ and targets/ stand beside this package, and Python finds this one first when it is
# started there (`python -m tsm_edge`). Without this line half of an installed wheel would be mixed into it.
_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if os.path.isfile(os.path.join(_root, "compile", "runtime", "tsm_edge.h")):
    __path__.append(_root)


def __getattr__(name: str) -> object:
    # The runtime needs numpy; `tsm-edge --help` imports this package and must stay fast.
    if name in ("Model", "Stream", "open"):
        from . import runtime

        return getattr(runtime, name)
    raise AttributeError(f"module 'tsm_edge' has no attribute {name!r}")
