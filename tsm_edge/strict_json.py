"""JSON as the bundle's law wants it read: so that a reader in another language cannot understand it differently."""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 64


def loads(data: bytes) -> Any:
    """Read UTF-8 bytes as JSON (RFC 8259).

    Raises:
        ValueError: not UTF-8, a byte order mark, not JSON, NaN or Infinity, half a surrogate pair, or objects and
            lists nested more than 64 deep.
    """
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
        json.dumps(document, ensure_ascii=False).encode("utf-8")  # fails for half a surrogate pair
        too_deep = _depth(document) > MAX_DEPTH
    except RecursionError:
        too_deep = True
    if too_deep:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    return document


def find_repeated(document: object) -> str:
    """Return a key that occurs twice in one object of what :func:`loads` returned, or ""."""
    if isinstance(document, _Repeated):
        return document.key
    items = (
        document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    )
    return next(filter(None, map(find_repeated, items)), "")


class _Repeated(dict[str, Any]):
    """An object in which a key occurs twice. Readers of different languages would keep different ones."""

    key = ""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) == len(pairs):
        return table
    keys = [key for key, _ in pairs]
    marked = _Repeated(table)
    marked.key = next(key for key in keys if keys.count(key) > 1)
    return marked


def _depth(value: object) -> int:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if items is None else 1 + max(map(_depth, items), default=0)


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")
