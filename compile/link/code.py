"""The output of a family's code generator, for the linker and for the summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tsm_edge.bundle.manifest import DeviceInfo
from tsm_edge.decision import DecisionRule
from tsm_edge.signature import Preprocess, Signature
from tsm_edge.target import EdgeTarget

from ..ir.plan import Resources


@dataclass(frozen=True)
class Code:
    """Compiled kernels as a bundle contains them.

    objects: file name -> object file to link. blobs: C symbol -> bytes to include. sources: patterns of the runtime's C
    files, below `runtime/`. libraries: what the bundle's library needs besides libc. device: what the bundle requires
    of a device, None for a CPU. resources: per kernel, where an assembler was run. text: source to dump, name and
    content.
    """

    objects: dict[str, bytes]
    blobs: dict[str, bytes]
    sources: tuple[str, ...]
    libraries: tuple[str, ...]
    device: DeviceInfo | None = None
    resources: dict[str, Resources] = field(default_factory=dict)
    text: tuple[str, str] | None = None


@dataclass(frozen=True)
class PlanContext:
    """The metadata of a plan: model, labels, signature, preprocessing, decision, target."""

    model: str
    note: str
    labels: Sequence[str]
    signature: Signature
    preprocess: Preprocess | None
    scores: str
    decision: DecisionRule
    target: EdgeTarget
    window_stride: int = 1  # frames from one run of a network that takes whole clips to the next
