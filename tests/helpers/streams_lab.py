"""Sources of streams as a user opens them, and the words in which they fail."""

from __future__ import annotations

from typing import Any

import pytest

from tsm_edge.demo.sources import Source
from tsm_edge.demo.sources.opening import check_input, open_input
from tsm_edge.demo.sources.uri import parse_input
from tsm_edge.demo.sources.wanted import Wanted
from tsm_edge.errors import StreamError


def opened(url: str, **options: Any) -> Source:
    """Return the source of an address."""
    return open_input(parse_input(url), Wanted(), rate=12.0, **options)


def checked(text: str, wanted: Wanted | None = None, **options: Any) -> Source:
    """Return the source that ``--input`` names, after what is checked before the model is opened."""
    wanted = wanted or Wanted()
    check_input(parse_input(text), wanted)
    return open_input(parse_input(text), wanted, rate=12.0, **options)


def refusal(url: str, **options: Any) -> str:
    """Return the error with which a source cannot be opened or read, as a user reads it."""
    with pytest.raises(StreamError) as caught:
        source = opened(url, **options)
        try:
            source.read()
        finally:
            source.close()
    assert caught.value.exit_code == 4 and caught.value.identifier == "stream"
    assert caught.value.hint
    return str(caught.value)
