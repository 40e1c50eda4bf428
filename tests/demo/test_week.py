"""A week of gestures by a clock of its own: what the sinks keep does not grow, in memory or on disk."""

from __future__ import annotations

import gc
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("tornado", reason="the page needs the extra 'serve'")

from tsm_edge.demo.events import Events, Shown
from tsm_edge.demo.sinks.metrics import Metrics
from tsm_edge.demo.sinks.mqtt import Mqtt
from tsm_edge.demo.sinks.mqtt_address import parse_broker
from tsm_edge.demo.sinks.webhook import Answer, Webhook, parse_webhook
from tsm_edge.demo.web.ring import KEPT, Ring

DAY_S, EVERY_S = 86_400, 240  # a gesture every four minutes, day and night: 2520 of them, and as many ends
AT_ONCE = 60  # events before we wait for the sink that answers
LABELS = ("No gesture", "Swiping Left", "Stop Sign", "Shaking Hand")


def files(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_week_of_events_leaves_nothing_behind(tmp_path, monkeypatch, capsys):
    """One webhook that always answers and one that never does, a broker that is not there, a page without listeners."""
    monkeypatch.chdir(tmp_path)
    now = [1e9]
    accepted = threading.Semaphore(0)

    def good(address, body, headers):
        accepted.release()
        return Answer(204, "")

    def bad(address, body, headers):
        return Answer(0, "nobody is there")

    sinks = [
        Webhook(parse_webhook("http://127.0.0.1:9/"), send=good, clock=lambda: now[0]),
        Webhook(parse_webhook("http://127.0.0.1:9/"), send=bad, clock=lambda: now[0], parting_s=0.0),
        Mqtt(parse_broker("mqtt://127.0.0.1:1"), "net", LABELS[1:], clock=lambda: now[0], parting_s=0.0),
    ]
    ring, metrics = Ring(), Metrics(lambda: {sink.name: sink.counts for sink in sinks})
    camera = metrics.of("camera 0")
    events = Events(source="camera 0", model="net", clock=lambda: now[0])
    told, held, threads = 0, [], []
    for second in range(0, 7 * DAY_S, EVERY_S):
        if second % DAY_S == 0:
            gc.collect()
            held.append(sys.getallocatedblocks())
            threads.append(threading.active_count())
        for index in (1 + second // EVERY_S % 3, 0):
            now[0] += EVERY_S / 2
            shown = Shown(index, LABELS[index], 0.9, index == 0, True, now[0] - 1e9, 12 * second)
            event = events.take(shown)
            assert event is not None
            for sink in sinks:
                sink.tell(event)
            ring.put(event)
            metrics.event(event)
            camera.step(0.003, 0)
            told += 1
            if told % AT_ONCE == 0:
                assert all(accepted.acquire(timeout=10) for _ in range(AT_ONCE))
    gc.collect()
    held.append(sys.getallocatedblocks())
    size = len(metrics.text())
    for sink in sinks:
        sink.finish(patient=False)
    assert told == 7 * DAY_S // EVERY_S * 2 == sinks[0].counts.told
    assert all(sink.counts.dropped > 4_500 for sink in sinks[1:])
    assert len(ring._kept) == KEPT and size < 10_000
    # the first day fills the queues; a day has 720 events, so one object kept of each would be seen
    assert max(held[2:]) - held[2] < 500, held
    assert len(set(threads)) == 1
    assert files(tmp_path) == 0
    # a sink that is dead for a week is said to be so every ten minutes at most
    assert capsys.readouterr().err.count("\n") < 2 * 7 * 144 + 20
