"""Which layers of a clip network make its scores."""

from __future__ import annotations

from ._graph import Network
from ._records import Average, Linear, Mean, Total


def scoring(network: Network) -> tuple[str, ...]:
    """The keys of the linear layers whose results are the scores, or whose sum or mean is; each once, in order."""
    behind, found = {len(network.nodes)}, set[str]()
    for number in range(len(network.nodes), 0, -1):
        node = network.nodes[number - 1]
        if number not in behind:
            continue
        if isinstance(node.op, Linear):
            found.add(node.op.key)
        elif isinstance(node.op, (Average, Mean, Total)):
            behind.update(node.inputs)
    return tuple(layer.key for layer in network.layers() if layer.key in found)
