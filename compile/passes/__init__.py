"""Graph passes, one per file, each a function `run(graph)` that rewrites in place. `ORDER` is the compiler's order."""

from __future__ import annotations

from tsm_edge.compile.graph import Graph

from . import fold_batchnorm, fuse_epilogue, fuse_shift, layout, own_results

ORDER = (fold_batchnorm, fuse_epilogue, fuse_shift, layout, own_results)


def run(graph: Graph) -> None:
    """Apply every pass."""
    graph.drop_dead()
    for one in ORDER:
        one.run(graph)
