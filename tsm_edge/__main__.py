"""``python -m tsm_edge`` is the program ``tsm-edge``."""

from __future__ import annotations

from .cli import main

main()
