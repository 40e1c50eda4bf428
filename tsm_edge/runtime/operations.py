"""The operations of a plan, and how long they took."""

from __future__ import annotations

from typing import NamedTuple


class Operation(NamedTuple):
    """One operation of the plan.

    macs: multiply-accumulates. bytes: what its arguments hold, the least it can move.
    """

    kernel: str
    layer: str
    schedule: str
    macs: int
    bytes: int


class Timing(NamedTuple):
    """Time of one operation of the last profiled step."""

    kernel: str
    layer: str
    schedule: str
    ns: int
