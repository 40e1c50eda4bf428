"""``/events`` and ``/metrics`` of the page's server: live, after a break, and for a listener that never reads."""

from __future__ import annotations

import http.client
import json
import socket
import time

import pytest

pytest.importorskip("tornado", reason="the page needs the extra 'serve'")

from prometheus_client.parser import text_string_to_metric_families as families

from tsm_edge.demo.events import Event
from tsm_edge.demo.sinks.metrics import Metrics
from tsm_edge.demo.sinks.outbox import Counts
from tsm_edge.demo.web.ring import KEPT

TOKEN = "a-token_of-letters"


def event(number: int, label: str = "Swiping Left", ended: str = "") -> Event:
    return Event(
        2, label, 0.9, number / 12, number, ended=ended, id=f"run-{number}", at=1e9 + number, source="camera 0"
    )


class Listener:
    """Reads messages as an EventSource does."""

    def __init__(self, server, **headers):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.address.port, timeout=20)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request("GET", "/events", headers={"Host": "localhost", **names})
        self.answer = self.connection.getresponse()

    def message(self):
        """The next message with a name, as (name, data); None at the end of the stream."""
        fields: dict[str, str] = {}
        while line := self.answer.readline():
            text = line.decode().rstrip("\n")
            if text:
                name, _, value = text.partition(": ")
                fields[name] = value
            elif "event" in fields:
                return fields["event"], json.loads(fields["data"])
            else:
                fields = {}
        return None

    def close(self):
        self.answer.close()
        self.connection.close()


def until(condition, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def test_all_who_listen_hear_every_event_as_it_happens(serve):
    server = serve()
    listeners = [Listener(server) for _ in range(3)]
    assert listeners[0].answer.getheader("Content-Type").startswith("text/event-stream")
    sent = [event(1), event(2, "No gesture", "Swiping Left"), event(3, "a\nb\x1b")]
    for one in sent:
        server.tell(one)
    for listener in listeners:
        assert [listener.message() for _ in sent] == [(one.kind, one.record()) for one in sent]
    server.close("max-frames")
    assert listeners[0].message() == ("end", {"ended": "max-frames"})
    assert listeners[0].message() is None


def test_who_comes_back_gets_what_it_missed_and_only_that(serve):
    server = serve()
    for number in range(1, 6):
        server.tell(event(number))
    back = Listener(server, Last_Event_ID="run-3")
    assert [back.message()[1]["frame"] for _ in range(2)] == [4, 5]
    stranger = Listener(server, Last_Event_ID="another-run-3")
    assert [stranger.message()[1]["frame"] for _ in range(5)] == [1, 2, 3, 4, 5]
    new = Listener(server)
    until(lambda: server.viewers == 3)
    server.tell(event(6))
    assert [one.message()[1]["frame"] for one in (back, stranger, new)] == [6, 6, 6]


def test_what_is_not_kept_any_more_is_said_to_be_lost(serve):
    server = serve()
    server.tell(event(0))
    for number in range(1, KEPT + 11):
        server.tell(event(number))
    back = Listener(server, Last_Event_ID="run-0")
    assert back.message() == ("lost", {"lost": 11})
    assert [back.message()[1]["frame"] for _ in range(KEPT)] == list(range(11, KEPT + 11))


def test_a_listener_that_never_reads_is_cut_off_and_holds_up_nobody(serve):
    server = serve(patience_s=0.3)
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.connect(("127.0.0.1", server.address.port))
    stuck.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    until(lambda: server.viewers == 1)
    slowest, told = 0.0, 0
    while server.viewers:
        began = time.perf_counter()
        server.tell(event(told, "x" * 4000))
        slowest = max(slowest, time.perf_counter() - began)
        told += 1
        assert told < 20_000
        time.sleep(0.0005)
    assert slowest < 0.2
    assert len(server._site.ring._kept) <= KEPT
    stuck.close()


def test_a_silent_stream_shows_that_it_lives(serve):
    server = serve(quiet_s=0.05)
    listener = Listener(server)
    assert [listener.answer.readline() for _ in range(4)][2:] == [b": still here\n", b"\n"]
    assert listener.answer.readline() == b": still here\n"


@pytest.mark.parametrize("path", ["/events", "/metrics"])
def test_the_token_is_needed_here_too(serve, path):
    server = serve(token=TOKEN, metrics=Metrics())

    def status(**headers):
        connection = http.client.HTTPConnection("127.0.0.1", server.address.port, timeout=20)
        connection.request("GET", path, headers={"Host": "localhost", **headers})
        found = connection.getresponse().status
        connection.close()
        return found

    assert (status(), status(Authorization="Bearer wrong")) == (403, 403)
    assert status(Authorization=f"Bearer {TOKEN}") == 200
    assert status(Authorization=f"Bearer {TOKEN}", Host="evil.example") == 403


def samples(text):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families(text)
        for sample in family.samples
    }


def test_the_counts_are_those_that_prometheus_reads(serve):
    counts = {"webhook": Counts(told=3, failed=1, dropped=2, waiting=4, reconnects=5)}
    metrics = Metrics(lambda: counts)
    metrics.info(model="gestures", target="local")
    camera, other = metrics.of("camera 0"), metrics.of('a "b"\n')
    for number, ms in enumerate((0.4, 4.0, 40.0)):
        camera.step(ms / 1000, dropped=number)
    camera.gap()
    other.step(0.001, dropped=0)
    metrics.event(event(1))
    metrics.event(event(2, "No gesture", "Swiping Left"))
    server = serve(metrics=metrics)
    connection = http.client.HTTPConnection("127.0.0.1", server.address.port, timeout=20)
    connection.request("GET", "/metrics", headers={"Host": "localhost"})
    answer = connection.getresponse()
    found = samples(answer.read().decode())
    connection.close()
    assert answer.getheader("Content-Type").startswith("text/plain")
    mine, others = ("source", "camera 0"), ("source", 'a "b"\\n')
    assert [found["tsm_edge_frames_total", (one,)] for one in (mine, others)] == [3, 1]
    assert [found["tsm_edge_frames_dropped_total", (one,)] for one in (mine, others)] == [2, 0]
    assert [found["tsm_edge_source_reconnects_total", (one,)] for one in (mine, others)] == [1, 0]
    assert found["tsm_edge_step_seconds_bucket", (("le", "0.005"), mine)] == 2
    assert found["tsm_edge_step_seconds_sum", (mine,)] == pytest.approx(0.0444)
    for kind in ("gesture", "idle"):
        assert found["tsm_edge_events_total", (("kind", kind), ("label", "Swiping Left"), mine)] == 1
    sink = (("sink", "webhook"),)
    names = ("told_total", "failed_total", "dropped_total", "queue", "reconnects_total")
    assert [found[f"tsm_edge_sink_{name}", sink] for name in names] == [3, 1, 2, 4, 5]
    assert time.time() - found["tsm_edge_last_frame_timestamp_seconds", (mine,)] < 60
    (info,) = (dict(labels) for name, labels in found if name == "tsm_edge_info")
    assert (info["model"], info["target"]) == ("gestures", "local")
