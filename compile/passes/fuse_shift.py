"""Fuse the temporal shift into its neighbours, so that it costs no kernel and no copy.

Reading side: conv(concat(state, x[:, fold:])) becomes a convolution that reads its first `fold` channels from the
state.
Writing side: the value x[:, :fold] that becomes the next state is written by the kernel that produces x.
"""

from __future__ import annotations

from ..ir.graph import Graph, Node

WRITERS = ("conv", "max_pool")  # kinds whose schedules can store the first channels once more


def run(graph: Graph) -> None:
    """Rewrite both sides; what does not match stays as it is and is computed by plain operators."""
    for node in [node for node in graph.nodes if node.kind == "concat"]:
        read_side(graph, node)
    for state, value in list(graph.state_outputs.items()):
        write_side(graph, state, value)
    graph.drop_dead()


def read_side(graph: Graph, concat: Node) -> None:
    """Give every convolution after the concat the state and the unshifted x."""
    if concat.attrs["axis"] != 1 or len(concat.inputs) != 2 or concat.output in graph.results():
        return
    state, rest = concat.inputs
    cut = graph.producer(rest)
    if state not in graph.states or cut is None or cut.kind != "slice":
        return
    source, fold = cut.inputs[0], graph.shape(state)[1]
    tail = (
        cut.attrs["axis"] == 1 and cut.attrs["begin"] == fold and cut.attrs["end"] == graph.shape(source)[1]
    )
    users = graph.users(concat.output)
    if not tail or not all(reads_once(user, concat.output) for user in users):
        return
    for user in users:
        user.inputs[0] = source
        user.inputs.append(state)
        user.attrs.update(state=state, fold_in=fold)
    graph.nodes.remove(concat)


def reads_once(node: Node, value: str) -> bool:
    """A dense convolution of `value` that does not need it whole elsewhere, as its residual."""
    dense = node.kind == "conv" and node.attrs["groups"] == 1 and "state" not in node.attrs
    return dense and node.inputs[0] == value and node.inputs.count(value) == 1


def write_side(graph: Graph, state: str, value: str) -> None:
    """Let the producer of x store the next state; otherwise a copy of the first channels does it."""
    cut = graph.producer(value)
    if cut is None or cut.kind != "slice" or cut.attrs["axis"] != 1 or cut.attrs["begin"] != 0:
        return
    source, fold = cut.inputs[0], cut.attrs["end"]
    writer = graph.producer(source)
    if graph.users(value):
        return
    if writer is not None and writer.kind in WRITERS and "next" not in writer.attrs:
        writer.attrs.update(next=value, fold_out=fold)
        writer.outputs.append(value)
        graph.nodes.remove(cut)
    elif graph.nhwc(source):
        _, channels, height, width = graph.shape(source)
        cut.kind, cut.attrs = "copy", {"pixels": height * width, "channels": channels, "fold": fold}
