"""A request that waits, for pictures or events: so many are let in at a time."""

from __future__ import annotations

from .base import Handler

MAX_VIEWERS = 128


class Viewer(Handler):
    """A request that waits and counts as a viewer until it is answered."""

    _counted = False

    def admit(self) -> bool:
        """Count this viewer; refuse it if there are too many."""
        if self.site.viewers >= MAX_VIEWERS:
            self.refuse(503, f"{MAX_VIEWERS} viewers are looking on already")
            return False
        self.site.viewers += 1
        self._counted = True
        return True

    def on_finish(self) -> None:
        """Count it no longer."""
        self._leave()

    def on_connection_close(self) -> None:
        """Count it no longer."""
        self._leave()

    def _leave(self) -> None:
        self.site.viewers -= self._counted
        self._counted = False
