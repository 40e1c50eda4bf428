"""Graph passes, one per file, each a function `run(graph)` that rewrites in place. `ORDER` is the compiler's order.

`storage`, `pitch`, `fuse_block` and `block_channels` depend on the target; `lowering.lower.prepare` calls them.
"""

from __future__ import annotations

from ..ir.graph import Graph
from . import (
    fold_batchnorm,
    fuse_epilogue,
    fuse_frames,
    fuse_lagged,
    fuse_norm,
    fuse_shift,
    gather_frames,
    join_channels,
    join_frames,
    layout,
    own_results,
)

#: epilogues twice: a bias must be in its convolution before the batch norm, a clamp comes after it
ORDER = (
    fuse_epilogue,
    fold_batchnorm,
    fuse_epilogue,
    fuse_norm,
    fuse_frames,
    join_frames,
    gather_frames,
    join_channels,
    fuse_lagged,
    fuse_shift,
    layout,
    own_results,
)


def run(graph: Graph) -> None:
    """Apply every pass."""
    graph.drop_dead()
    for one in ORDER:
        one.run(graph)
