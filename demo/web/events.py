"""``GET /events``: every event as it happens, as server-sent events (EventSource in a browser, ``curl -N`` anywhere).

The last events are kept in a ring, and a listener holds no more than its place in it. So one that reads slowly costs
nothing; whoever comes back gets what it missed (``Last-Event-ID``), and is told how many events no longer exist.
"""

from __future__ import annotations

import json

from .viewer import Viewer

RETRY_MS = 2000


class Listen(Viewer):
    """The stream of events for one listener, of whom as many are let in as of viewers."""

    async def get(self) -> None:
        """Send events until the listener goes or the demo ends."""
        ring = self.site.ring
        if not self.admit():
            return
        known = self.request.headers.get("Last-Event-ID")
        number = ring.newest if known is None else ring.place(known)
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("X-Accel-Buffering", "no")  # of proxies that would keep events back
        if self.site.token:  # whoever has it may listen from a page of its own; without one any page could
            self.set_header("Access-Control-Allow-Origin", "*")
        self.write(f"retry: {RETRY_MS}\n\n")
        if not await self.deliver(self.flush()):
            return
        while self._counted:
            if lost := ring.lost(number):
                self.write(f"event: lost\ndata: {json.dumps({'lost': lost})}\n\n")
            number, texts = ring.after(number)
            if ring.ended and not texts:
                self.write(f"event: end\ndata: {json.dumps({'ended': self.site.ended})}\n\n")
                await self.deliver(self.flush())
                return
            for text in texts:
                self.write(text)
            if not texts:
                self.write(b": still here\n\n")  # else a connection that was cut is never noticed
            if not await self.deliver(self.flush()):
                return
            if ring.newest == number and not ring.ended:
                await ring.wait(self.site.quiet_s)
