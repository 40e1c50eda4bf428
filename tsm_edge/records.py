"""Records that are built from what a file or a command line says; every record checks its own values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Record = TypeVar("Record")


def record_of(kind: type[Record], values: Mapping[str, object]) -> Record:
    """Return a dataclass from its fields by name, for values whose types ``kind`` or who read them has checked.

    Raises:
        TypeError: a field is missing, or there is no such field.
    """
    return kind(**values)
