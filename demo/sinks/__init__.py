"""Sinks: where events go while the demo runs, each on a thread of its own, so that none holds up a step."""
