"""Running the native command of a bundle as its user does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def run(
    folder: Path, *arguments: str, data: bytes = b"", environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the command. The address sanitizer cannot follow dlclose, so leaks are looked for elsewhere."""
    sanitizer = {"ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0"}
    return subprocess.run(
        [folder / "tsm-edge-run", *arguments],
        input=data,
        capture_output=True,
        env={**os.environ, **sanitizer, **(environment or {})},
        timeout=60,
        check=False,
    )


def refused(
    folder: Path,
    code: int,
    *says: str,
    arguments: tuple[str, ...] = ("--info",),
    data: bytes = b"",
    environment: dict[str, str] | None = None,
) -> str:
    """Run the command and check how it refuses; return what it said."""
    done = run(folder, *arguments, data=data, environment=environment)
    text = done.stderr.decode()
    assert done.returncode == code, text
    for part in says:
        assert part in text
    assert text.startswith("tsm-edge-run: ") and "Sanitizer" not in text
    return text
