"""The window.

Whether one can be opened is tried in a process of its own, because OpenCV's window library does not raise
when there is no display or a system library is missing: it aborts the process.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np

from tsm_edge.errors import DisplayError

TITLE = "tsm-edge demo"
HEADLESS = "run without a window: tsm-edge demo --headless (add --record OUT.mp4 to see the result later)"
_PROBE = "import cv2; cv2.namedWindow('tsm-edge'); cv2.waitKey(1); cv2.destroyAllWindows()"


def check_display(
    environ: Mapping[str, str] = os.environ,
    probe: Callable[[], str] | None = None,
    *,
    headless: str = HEADLESS,
) -> None:
    """Raise DisplayError when no window can be opened.
    ``probe`` opens one for a moment and returns what went wrong, or "" when it worked; a new process by
    default. ``headless``: how to do without one, for the hint.
    """
    if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        raise DisplayError(
            "There is no display to show a window on.",
            found="neither DISPLAY nor WAYLAND_DISPLAY is set",
            hint=f"{headless}; over ssh, ssh -X shows the window on your side",
        )
    trouble = (probe or _probe)()
    if not trouble:
        return
    if "not implemented" in trouble:
        raise DisplayError(
            "The installed OpenCV has no window functions.",
            found="opencv-python-headless, or an OpenCV built without a GUI",
            hint="pip uninstall opencv-python-headless; pip install --force-reinstall opencv-python; "
            f"or {headless}",
        )
    raise DisplayError(
        "A window cannot be opened on this display.",
        found=trouble,
        hint=f"{headless}; if a system library is named above, install it",
    )


def _probe() -> str:
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE],
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
        )
    except subprocess.TimeoutExpired:
        return "opening a window took longer than 30 s"
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    for line in lines:  # OpenCV's own message stands in the middle of a traceback
        if "not implemented" in line:
            return line
    return lines[0] if lines else f"the window library ended with status {done.returncode}"


class Window:
    """One window: q or Escape or its close button ends, f switches full screen, r calls ``reset``. ``gui`` is cv2."""

    def __init__(self, reset: Callable[[], None] = lambda: None, gui: Any = cv2, title: str = TITLE) -> None:
        self._reset = reset
        self._title = title
        self._gui = gui
        self._shown = False
        self._full = False
        gui.namedWindow(title, gui.WINDOW_NORMAL | gui.WINDOW_KEEPRATIO | gui.WINDOW_GUI_NORMAL)

    def show(self, picture: np.ndarray) -> None:
        """Show ``picture`` (uint8 BGR); the first sets the window's size, at least 640 pixels wide."""
        if not self._shown:
            height, width = picture.shape[:2]
            factor = max(1.0, 640 / width)
            self._gui.resizeWindow(self._title, round(width * factor), round(height * factor))
        self._gui.imshow(self._title, picture)
        self._shown = True

    def poll(self) -> bool:
        """Handle the keys pressed since the last call; return False when the user wants to end."""
        key = self._gui.waitKey(1)
        if key >= 0 and (key & 0xFF) in (ord("q"), ord("Q"), 27):
            return False
        if key >= 0 and (key & 0xFF) in (ord("r"), ord("R")):
            self._reset()
        if key >= 0 and (key & 0xFF) in (ord("f"), ord("F")):
            self._full = not self._full
            mode = self._gui.WINDOW_FULLSCREEN if self._full else self._gui.WINDOW_NORMAL
            self._gui.setWindowProperty(self._title, self._gui.WND_PROP_FULLSCREEN, mode)
        return not self._shown or self._visible()

    def close(self) -> None:
        """Close the window."""
        with contextlib.suppress(self._gui.error):  # there is none any more when its close button was used
            self._gui.destroyAllWindows()

    def _visible(self) -> bool:
        try:
            return bool(self._gui.getWindowProperty(self._title, self._gui.WND_PROP_VISIBLE) >= 1)
        except self._gui.error:  # Qt's answer when its last window was closed
            return False
