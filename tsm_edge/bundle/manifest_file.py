"""The file ``manifest.json``: its text, its format number, and rules 2 to 4 of :mod:`tsm_edge.bundle`."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..errors import BundleError
from ..files import strict_json
from .manifest import Manifest, malformed

FORMAT = 3
MAX_BYTES = 1 << 20


def read(path: Path, folder: int | None = None) -> Manifest:
    """Return the manifest in the file at ``path``; of an open ``folder`` (a descriptor), the file of that name in it.

    Raises:
        BundleError: one of rules 2 to 4 is broken; the error has its name.
    """
    try:
        with open(os.open(path if folder is None else path.name, os.O_RDONLY, dir_fd=folder), "rb") as file:
            document = strict_json.loads(file.read(MAX_BYTES + 1), MAX_BYTES)
    except (OSError, ValueError) as error:
        raise BundleError(
            f"'{path}' cannot be read.",
            name="manifest-unreadable",
            found=str(error),
            allowed=f"UTF-8 JSON of at most {MAX_BYTES} bytes",
        ) from None
    return from_document(document)


def from_document(document: object) -> Manifest:
    """Return the manifest in a document that was read as JSON; BundleError when rule 3 or 4 is broken."""
    if not isinstance(document, dict):
        malformed("the document", type(document).__name__, "an object")
    number = document.pop("format", None)
    if isinstance(number, bool) or not isinstance(number, int) or number < FORMAT:
        malformed("format", number, FORMAT)
    if number > FORMAT:
        raise BundleError(
            "This bundle was written by a newer tsm-edge.",
            name="format-newer",
            found=f"format {number}",
            allowed=f"format {FORMAT}",
            hint="install a newer tsm-edge on this machine, or compile the bundle with this version",
        )
    return Manifest.from_json(document)


def text_of(manifest: Manifest) -> str:
    """Return what the manifest's file holds: sorted keys, an indent of 2, a newline at the end."""
    document = {"format": FORMAT, **manifest.to_json()}
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
