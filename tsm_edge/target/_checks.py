"""Checks of one field of a target file: a wrong value is refused with field, value and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NoReturn

from ..errors import UnsupportedTarget


class Refused(UnsupportedTarget):
    """One field is wrong; `tsm_edge.target.parse` adds the name of the target."""

    def __init__(self, field: str, found: object, allowed: str) -> None:
        super().__init__(f"Bad value of '{field}'.", found=found, allowed=allowed)
        self.args = (field, found, allowed)


def refuse(field: str, found: object, allowed: str) -> NoReturn:
    """Raise :class:`Refused` for what was found in ``field``."""
    raise Refused(field, repr(found), allowed)


def table(prefix: str, data: object, keys: Iterable[str], optional: tuple[str, ...] = ()) -> dict[str, object]:
    """Return a table as a dictionary that holds ``keys``, no other and all but the optional ones."""
    known = list(keys)
    if not isinstance(data, Mapping):
        refuse(prefix.rstrip("."), data, "a table with the keys " + ", ".join(known))
    for key in data:
        if key not in known:
            refuse(prefix + key, data[key], "no such field; known are " + ", ".join(known))
    for key in known:
        if key not in data and key not in optional:
            raise Refused(prefix + key, "missing", "every field is given")
    return dict(data)


def strings(field: str, value: object) -> tuple[str, ...]:
    """Return a list of strings as a tuple."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        refuse(field, value, "a list of strings")
    return tuple(value)


def string(field: str, value: object) -> None:
    """Refuse what is no string; it may be empty."""
    if not isinstance(value, str):
        refuse(field, value, "a string")


def text(field: str, value: object) -> None:
    """Refuse what is no string or says nothing."""
    if not isinstance(value, str) or not value.strip():
        refuse(field, value, "a non-empty string")


def one_of(field: str, value: object, allowed: tuple[object, ...]) -> None:
    """Refuse what is not among the values allowed."""
    if value not in allowed or isinstance(value, bool):
        refuse(field, value, ", ".join(str(item) for item in allowed))


def boolean(field: str, value: object) -> None:
    """Refuse what is neither true nor false."""
    if not isinstance(value, bool):
        refuse(field, value, "true or false")


def integer(field: str, value: object, low: int, high: int) -> None:
    """Refuse what is no integer from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        refuse(field, value, f"an integer from {low} to {high}")


def number(field: str, value: object, low: float, high: float) -> None:
    """Refuse what is no number from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        refuse(field, value, f"a number from {low} to {high}")
