"""A clip network frame by frame: what a frame decides alone is computed once and kept, the rest reads it of T frames.

The values at the border are the states: of each the newest T - 1 frames, [T - 1, ...], oldest first. A step computes
those of its frame, joins them behind the state's, and gives the newest T - 1 back.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ModelError
from ._graph import Network, Node
from ._records import Add, Concat, Conv, Frames, Linear, Pool, Shape, Shift, SpaceMean

#: share of a clip's multiply-adds that must be of one frame alone; the rest runs on all T frames for every answer
LEAST = 0.25


@dataclass(frozen=True)
class Stream:
    """Where a network is cut.

    alone: numbers of the values that a frame decides alone, the frame's own 0 among them. kept: those of them that
    the rest reads, in order; each is a state.
    """

    alone: frozenset[int]
    kept: tuple[int, ...]


def cut(network: Network) -> Stream:
    """Find the values that a frame decides alone, and those of them that the rest reads."""
    alone = {0}
    for number, node in enumerate(network.nodes, start=1):
        if alone.issuperset(node.inputs) and of_a_frame(node):
            alone.add(number)
    read = {
        value
        for number, node in enumerate(network.nodes, start=1)
        if number not in alone
        for value in node.inputs
    }
    return Stream(frozenset(alone), tuple(sorted(read & alone)))


def of_a_frame(node: Node) -> bool:
    """Whether an operator computes each frame from that frame's inputs alone."""
    op = node.op
    if isinstance(op, Conv):
        return op.window.flat and not op.volume
    if isinstance(op, Pool):
        return op.window.flat
    return isinstance(op, (Add, Concat, Linear)) or (isinstance(op, SpaceMean) and not op.volume)


def macs(network: Network, clip: Shape, stream: Stream) -> tuple[int, int]:
    """Multiply-accumulates of a step: those of one frame alone, and those of the rest over all T frames."""
    shapes = network.shapes(clip)
    frame = rest = 0
    for number, node in enumerate(network.nodes, start=1):
        count = node.op.macs(tuple(shapes[index] for index in node.inputs))
        if number in stream.alone:
            frame += count // clip[0]
        else:
            rest += count
    return frame, rest


def streamed(name: str, network: Network, clip: Shape) -> Stream:
    """The cut of a network that runs as a stream.

    Raises:
        ModelError: it has nothing to keep, or too little of its work is of one frame alone.
    """
    frames = clip[0]
    if frames < 2:
        raise ModelError(f"{name}: a stream keeps frames.", found="a clip of 1 frame", allowed="2 or more")
    stream = cut(network)
    frame, rest = macs(network, clip, stream)
    share = frames * frame / (frames * frame + rest)
    if share < LEAST:
        raise ModelError(
            f"{name} cannot run as a stream: {reason(network)}.",
            found=f"{share:.0%} of its multiply-adds are of one frame alone",
            allowed=f"{LEAST:.0%}, or every answer costs about a whole clip",
            hint="compile it as a clip, which is its default",
        )
    return stream


def reason(network: Network) -> str:
    """Why little can be kept of a network's frames."""
    kinds = {type(node.op) for node in network.nodes}
    if Frames in kinds:
        return "its members read frames of one clip at different paces"
    if Shift in kinds:
        return "its shifts read the frames before and behind each one, from the first layers on"
    return "its convolutions read neighbouring frames from the first layers on"
