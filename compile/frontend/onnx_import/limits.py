"""Size limits of a network's tensors, checked before anything of that size is allocated.

A few hundred bytes of ONNX can require any amount of memory: ConstantOfShape, Expand, Tile, or a Concat of itself
thirty times over. No frame on an edge device needs a value of this size; the weights of a file are bounded by the
file itself and are not counted.
"""

from __future__ import annotations

from math import prod

from tsm_edge.errors import ImportFailed

TENSOR_BYTES = 512 << 20  # of one value that is computed, or folded to a constant
FOLDED_BYTES = 256 << 20  # of all folded constants together, in addition to twice the file's own
NODES = 100_000


def check_tensor(what: str, shape: tuple[int, ...], itemsize: int) -> int:
    """Return the bytes of a tensor; ImportFailed when they exceed TENSOR_BYTES. what: names the value or node."""
    size = prod(shape) * itemsize
    if size > TENSOR_BYTES:
        raise too_large(f"{what} is too large.", size, TENSOR_BYTES, shape)
    return size


def check_folded(total: int, in_file: int) -> None:
    """ImportFailed when the folded constants of a network, whose file holds `in_file` bytes of them, are too large."""
    allowed = FOLDED_BYTES + 2 * in_file  # an exporter may leave each weight to be transposed and reshaped
    if total > allowed:
        raise too_large("The constants that the network computes are too large together.", total, allowed)


def check_nodes(count: int) -> None:
    """ImportFailed when a network has more than NODES nodes."""
    if count > NODES:
        raise ImportFailed(
            "The network has too many nodes.",
            found=f"{count:,}",
            allowed=f"{NODES:,}",
            hint="export one frame without unrolled loops",
        )


def too_large(what: str, found: int, allowed: int, shape: tuple[int, ...] | None = None) -> ImportFailed:
    """The refusal, in MiB."""
    extents = "" if shape is None else f" as {list(shape)}"
    return ImportFailed(
        what,
        found=f"{found / 2**20:,.0f} MiB{extents}",
        allowed=f"{allowed >> 20} MiB",
        hint="look for a ConstantOfShape, Expand, Tile or Resize with a wrong size, or a frame that is too large",
    )
