"""Recording training clips: a countdown, some seconds of camera, keep or discard."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Protocol

import click
import cv2
import numpy as np

from tsm_edge.errors import OutputError, UsageError
from tsm_edge.models import is_label
from tsm_edge.terminal import say

from .recorder import Recorder
from .screen import Window
from .sources import Frame, Source

FPS = 30.0  # of the files; frames are placed by their time stamps
_KEEP, _DISCARD, _QUIT = (ord("y"), ord("k"), 13, 32), (ord("n"), ord("d")), (ord("q"), 27)


class Ui(Protocol):
    """Where the person looks, and answers."""

    def show(self, picture: np.ndarray, text: str) -> bool:
        """Show a frame (uint8 BGR) and a line of text; return False when the person wants to end."""

    def ask(self, frames: list[Frame]) -> str:
        """Return "keep", "discard" or "quit" for the clip just taken."""

    def close(self) -> None:
        """Close the window."""


class Session:
    """Takes clips of one label from a source that delivers frames with time stamps."""

    def __init__(
        self,
        source: Source,
        ui: Ui,
        out: Path,
        label: str,
        *,
        seconds: float,
        countdown: float,
        mirror: bool = False,
    ) -> None:
        self.folder = out / checked(label)
        self._source, self._ui, self._mirror = source, ui, mirror
        self._seconds, self._countdown = seconds, countdown
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"'{self.folder}' cannot be made.", found=error.strerror or error) from error

    def run(self, clips: int, *, ask: bool = True) -> list[Path]:
        """Record until ``clips`` are kept or the person quits; return the files."""
        kept: list[Path] = []
        while len(kept) < clips:
            frames = self._take(f"{len(kept) + 1} of {clips}")
            if frames is None:
                break
            answer = self._ui.ask(frames) if ask else "keep"
            if answer == "quit":
                break
            if answer == "keep":
                kept.append(self._write(frames))
        return kept

    def _take(self, which: str) -> list[Frame] | None:
        """Count down, then collect frames; None when the person or the source ends it."""
        begin: float | None = None
        frames: list[Frame] = []
        while True:
            frame = self._source.read()
            if frame is None:
                return None
            if self._mirror:
                frame = Frame(np.ascontiguousarray(frame.image[:, ::-1]), frame.t_s)
            if frame.gap_s and begin is not None:
                say(f"note: no frame came for {frame.gap_s:.1f} s; this clip begins anew", err=True)
                begin, frames = None, []
            begin = frame.t_s if begin is None else begin
            waited = frame.t_s - begin
            if waited < self._countdown:
                text = f"{self.folder.name} ({which}) in {math.ceil(self._countdown - waited)}"
            else:
                text = f"{self.folder.name}: now"
                frames.append(frame)
            if not self._ui.show(frame.image, text):
                return None
            if waited >= self._countdown + self._seconds:
                return frames

    def _write(self, frames: list[Frame]) -> Path:
        path = next_path(self.folder)
        recorder = Recorder(path, FPS)
        for frame in frames:
            recorder.write(frame.image, frame.t_s - frames[0].t_s)
        recorder.close()
        return path


def checked(label: str) -> str:
    """Return the label; UsageError when no folder can be called that."""
    if not is_label(label) or label.startswith(".") or re.search(r'[/\\:*?"<>|]', label):
        raise UsageError(
            "A label becomes the name of a folder.",
            found=repr(label),
            allowed='printable text without / \\ : * ? " < > |',
        )
    return label.strip()


def next_path(folder: Path) -> Path:
    """Return the first unused name: 0001.mp4, 0002.mp4 and so on."""
    taken = [int(path.stem) for path in folder.glob("*.mp4") if path.stem.isdigit()]
    return folder / f"{max(taken, default=0) + 1:04d}.mp4"


class WindowUi:
    """A window: the camera with the countdown, then the clip again and again until a key answers."""

    def __init__(self, window: Window | None = None) -> None:
        self._window = window or Window()

    def show(self, picture: np.ndarray, text: str) -> bool:
        """Draw the text over the frame."""
        self._window.show(titled(picture, text))
        return self._window.poll()

    def ask(self, frames: list[Frame]) -> str:
        """Play the clip until y or Enter keeps it, n discards it, or q ends."""
        while True:
            for frame in frames:
                self._window.show(titled(frame.image, "keep? y / n, q ends"))
                key = cv2.waitKey(33) & 0xFF
                for answer, keys in (("keep", _KEEP), ("discard", _DISCARD), ("quit", _QUIT)):
                    if key in keys:
                        return answer

    def close(self) -> None:
        """Close the window."""
        self._window.close()


class Terminal:
    """No window: what to do is printed when it changes, and the answer is typed."""

    def __init__(self) -> None:
        self._said = ""

    def show(self, picture: np.ndarray, text: str) -> bool:
        """Print the text."""
        if text != self._said:
            say(text, err=True)
            self._said = text
        return True

    def ask(self, frames: list[Frame]) -> str:
        """Ask on the terminal."""
        answer = click.prompt("keep? [Y/n/q]", default="y", show_default=False, err=True).strip().lower()[:1]
        return {"n": "discard", "q": "quit"}.get(answer, "keep")

    def close(self) -> None:
        """There is nothing to close."""


def titled(picture: np.ndarray, text: str) -> np.ndarray:
    """Return a copy of the frame with a dark bar and the text, in ASCII, at its top."""
    shown: np.ndarray = picture.copy()
    scale = max(0.4, picture.shape[0] / 480 * 0.8)
    height = round(34 * scale / 0.8)
    shown[:height] = shown[:height] // 3
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(
        shown, plain, (8, height - 8), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA
    )
    return shown
