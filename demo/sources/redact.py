"""Addresses as they may be shown: without the user, the password and whatever else lets a stranger in."""

from __future__ import annotations

import re

#: names of values that cameras take in the path or the query of their addresses
_KEYS = (
    r"user(?:name|-id|-pw)?|usr|login|loginuse|loginpas|account|pass(?:word|wd)?|pwd|pw|proxy-(?:id|pw)|token|auth|"
    r"api[_-]?key|key|secret|sig(?:nature)?|sid|session"
)
_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:/*)[^/?#\s\"']*@")
_VALUE = re.compile(rf"(?<![A-Za-z0-9])((?:{_KEYS})=)(\"[^\"]*\"|'[^']*'|[^&;#/\s\"']+)", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """Return text in which each address is left without what stands before the @ of its host, and without values
    whose name says that they are secret (``pwd=…``)."""
    return _VALUE.sub(r"\1...", _USERINFO.sub(r"\1...@", text))
