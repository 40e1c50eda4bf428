"""An example of a refusal, to copy: the class to `tsm_edge/errors.py`, the function to where the value is first known.

A cause that has a class there already needs the function alone. `identifier` stands in ``error[...]:`` and never
changes; `cure` is for this kind of error, ``hint`` for this one.
"""

from __future__ import annotations

from tsm_edge.errors import EdgeError

MOST_LAYERS = 1000


class DepthError(EdgeError):
    """A network has more layers than can be planned."""

    identifier = "depth"
    cure = "split the network, or compile one with fewer layers"
    exit_code = 2


def check_depth(name: str, layers: int) -> None:
    """Refuse a network of more than MOST_LAYERS layers with a DepthError."""
    if layers > MOST_LAYERS:
        raise DepthError(
            f"'{name}' has too many layers.",
            found=layers,
            allowed=f"1 to {MOST_LAYERS}",
            hint=f"tsm-edge models lists networks of fewer layers than '{name}'",
        )
