"""What the loop works with, as far as it needs to know it; `session.py` puts the real ones in."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .events import Event
from .overlay import Status


class Stream(Protocol):
    """One camera's state on an opened bundle (`tsm_edge.runtime.Stream`)."""

    def step(self, frame: np.ndarray, *, format: str = "bgr") -> np.ndarray:
        """Advance by one uint8 (H, W, 3) frame; return float32 [classes] logits."""

    def reset(self) -> None:
        """Forget all frames."""


class Screen(Protocol):
    """A window (`screen.Window`)."""

    def show(self, picture: np.ndarray) -> None:
        """Show a uint8 BGR picture."""

    def poll(self) -> bool:
        """Return False when the user wants to end."""


class Recording(Protocol):
    """A recording (`background.BackgroundRecorder`)."""

    def write(self, picture: np.ndarray, t_s: float) -> None:
        """Add a picture as seen at ``t_s`` seconds."""


class Viewers(Protocol):
    """Whoever looks on from elsewhere (`web.latest.Latest`)."""

    def offer(self, image: np.ndarray, status: Status) -> None:
        """Take the newest uint8 BGR picture, which nobody changes any more, and what to tell; never wait."""


class Listener(Protocol):
    """All who are told of events (`outputs.Outputs`)."""

    def tell(self, event: Event) -> None:
        """Take the event; a live run never waits for it."""


class Counters(Protocol):
    """What counts steps while they are made (`sinks.metrics.Metrics`)."""

    def step(self, seconds: float, dropped: int) -> None:
        """Count a step; ``dropped`` are all frames dropped so far."""

    def gap(self) -> None:
        """Count a source that broke off and came back."""


class Pulse(Protocol):
    """Who is told that the run goes on: people (`report.Progress`) or systemd (`watchdog.Watchdog`)."""

    def tell(self, frames: int, fps: float, ms: float, dropped: int) -> None:
        """Take where the run is after a step."""
