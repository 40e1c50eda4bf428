"""Passwords and keys: from a file, from systemd or from the environment, never from the command line or into a log."""

from __future__ import annotations

import os
from pathlib import Path

from tsm_edge.errors import UsageError

_LONGEST = 4096


def find_secret(what: str, file: Path | None, credential: str, variable: str) -> str | None:
    """Return the secret that ``what`` names in messages; None if there is none.

    In this order: the ``file`` that was named, the ``credential`` that systemd hands to a service
    ($CREDENTIALS_DIRECTORY, `LoadCredential=` in the unit), the environment's ``variable``.

    Raises:
        UsageError: the file cannot be read, or it holds no secret of one line.
    """
    if file is not None:
        return _read(what, file)
    handed = Path(os.environ.get("CREDENTIALS_DIRECTORY", "")) / credential
    if "CREDENTIALS_DIRECTORY" in os.environ and handed.is_file():
        return _read(what, handed)
    value = os.environ.get(variable)
    return _checked(what, value, f"the variable {variable}") if value else None


def handed_over(file: Path) -> Path:
    """Return the file that systemd hands over under this name, if it does, else the file itself."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    given = Path(folder or "/", file.name)
    return given if folder and file.parent == Path() and given.is_file() else file


def _read(what: str, file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(_LONGEST + 3)
        text = data.decode("utf-8")
    except OSError as error:
        raise UsageError(
            f"The file of {what} cannot be read: '{file}'.",
            found=error.strerror or str(error),
            hint=f"make a file that only you can read: install -m 600 /dev/null {file}, and write it there",
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} in '{file}' is no text.", found="bytes that are no UTF-8") from error
    return _checked(what, text.removesuffix("\n").removesuffix("\r"), f"'{file}'")


def _checked(what: str, text: str, where: str) -> str:
    problem = None
    if not text:
        problem = "nothing"
    elif len(text) > _LONGEST:
        problem = f"more than {_LONGEST} characters"
    elif any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in text):
        problem = "several lines or control characters"
    if problem is not None:
        raise UsageError(f"{what} in {where} cannot be used.", found=problem, allowed="one line of text")
    return text
