"""JSON from files, read strictly and within limits. The one reader of JSON that tsm-edge did not write itself.

A bundle's manifest is read by this module and by the C command (compile/runtime/command/json.c). Both refuse the same
documents, so that no reader can understand one differently: what RFC 8259 refuses, NaN and Infinity, bytes that are no
UTF-8, a byte order mark, half a surrogate pair, a key that occurs twice in an object, and what is beyond the limits
below. The limits also bound the memory and time that a hostile file can take.
"""

from __future__ import annotations

import json
import math
import os
from typing import NoReturn

from . import read_bytes

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_VALUES = 1 << 17
#: characters of a number; the longest that a double prints has 24
MAX_NUMBER = 64


def read(
    path: str | os.PathLike[str], max_bytes: int = MAX_BYTES, max_values: int = MAX_VALUES
) -> object:
    """Read a file as :func:`loads` does, and no more than ``max_bytes`` of it.

    Raises:
        OSError: the file cannot be read.
        ValueError: see :func:`loads`.
    """
    return loads(read_bytes(path, max_bytes), max_bytes, max_values)


def loads(data: bytes | str, max_bytes: int = MAX_BYTES, max_values: int = MAX_VALUES) -> object:
    """Return the value of a JSON document (RFC 8259).

    Args:
        data: UTF-8, or text.
        max_bytes: limit on the length of ``data``.
        max_values: limit on the number of objects, lists, texts, numbers and words.

    Raises:
        ValueError: the document breaks a rule of this module; the message says which, in one line.
    """
    if len(data) > max_bytes:
        raise ValueError(f"larger than {max_bytes} bytes")
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        document = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_real,
        )
    except RecursionError:
        raise ValueError(f"nested more than {MAX_DEPTH} deep") from None
    _check_size(document, max_values)
    _check_surrogates(text, document)
    return document


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key '{key:.80}' occurs twice")
            seen.add(key)
    return table


def _integer(text: str) -> int:
    _check_length(text)
    return int(text)


def _real(text: str) -> float:
    _check_length(text)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is beyond every float")
    return value


def _check_length(text: str) -> None:
    if len(text) > MAX_NUMBER:
        raise ValueError(f"a number of {len(text)} characters; at most {MAX_NUMBER} are allowed")


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _check_size(document: object, max_values: int) -> None:
    """Count values and depth, level by level: a recursion would end with a deep document."""
    level, values, depth = [document], 0, 0
    while level:
        values += len(level)
        if values > max_values:
            raise ValueError(f"more than {max_values} values")
        containers = [value for value in level if isinstance(value, (dict, list))]
        depth += bool(containers)
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} deep")
        level = [
            member
            for value in containers
            for member in (value.values() if isinstance(value, dict) else value)
        ]


def _check_surrogates(text: str, document: object) -> None:
    """Only an escape can make half of a pair; UTF-8 that was decoded holds none."""
    try:
        (json.dumps(document, ensure_ascii=False) if "\\u" in text else text).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("half a surrogate pair") from None
