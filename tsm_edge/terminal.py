"""Text on a terminal: what a terminal would obey or hide is shown as an escape instead.

Labels, notes, names of files and keys come from files that somebody else may have written. A control sequence in one
of them could clear the screen, set the window's title or write a line that looks like ours; a bidirectional override
could show another name than the one that is meant. Every line of the verbs is printed by :func:`say` or
:func:`say_lines`, so no caller has to think of it (tests/pure/test_terminal.py refuses other ways to print).

Escaped are control characters (C0, DEL, C1), line and paragraph separators, bidirectional marks, invisible format
characters, and bytes that are no UTF-8, which Python holds as lone surrogates. Joiners (U+200C, U+200D) are part of
ordinary words and stay. The C command escapes the same characters; both pass tests/vectors/printable.json.
"""

from __future__ import annotations

import re

import click

#: without the surrogates: those are no text, so a vector in JSON cannot hold them
_UNSAFE = "\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_HIDDEN = re.compile(f"[{_UNSAFE}\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(value: object) -> str:
    """Return ``str(value)`` on one line: characters that are not shown become escapes such as ``\\x1b``.

    Backslashes stay as they are, so text that was escaped before does not change.
    """
    return _HIDDEN.sub(_escape, str(value))


def printable_lines(value: object) -> str:
    """Like :func:`printable`, but line ends and tabs stay: for the output of a tool, or a message of several lines."""
    lines = str(value).replace("\r\n", "\n").split("\n")
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in lines)


def printable_json(text: str) -> str:
    """Escape inside JSON text what :func:`printable` escapes, by JSON's own escapes; the document stays the same.

    ``text`` is what ``json.dumps`` returned: outside strings, it holds no such character but line ends.
    """
    return _HIDDEN.sub(lambda match: match[0] if match[0] == "\n" else _json_escape(match[0]), text)


def say(text: object = "", *, err: bool = False) -> None:
    """Print one line on stdout, or on stderr."""
    _print(printable(text), err=err)


def say_lines(text: object, *, err: bool = False) -> None:
    """Print text of several lines on stdout, or on stderr."""
    _print(printable_lines(text), err=err)


def say_over(text: object, *, last: bool) -> None:
    """Print a line on stderr over the one before, which is at most 70 columns wide; ``last`` ends it."""
    _print(f"\r{printable(text):70}", err=True, nl=last)


def _print(text: str, *, err: bool, nl: bool = True) -> None:
    """Print, or say why a result cannot be; progress that nobody can read is no reason to end.

    Raises:
        OutputError: the disk behind stdout is full or fails.
        BrokenPipeError: whoever read stdout has gone.
    """
    try:
        click.echo(text, err=err, nl=nl)
    except BrokenPipeError:
        raise
    except OSError as error:
        from .errors import OutputError  # whose messages are escaped by this module

        if not err:
            raise OutputError.of("The output cannot be written.", error) from error


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # a byte that is no UTF-8 (PEP 383)
    short = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return _SHORT.get(character, short)


def _json_escape(character: str) -> str:
    """RFC 8259 knows escapes of 16 bits alone; above them two surrogates stand for a character."""
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\u{0xD800 + (code - 0x10000 >> 10):04x}\\u{0xDC00 + (code - 0x10000 & 0x3FF):04x}"
