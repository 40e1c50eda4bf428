"""The webhook against real receivers: what they get, in which order, how it is signed, and what a bad one costs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import re
import socket
import threading
import time
from pathlib import Path

import pytest

from tsm_edge.demo.events import Event
from tsm_edge.demo.secret import find_secret
from tsm_edge.demo.sinks import sink as sinks
from tsm_edge.demo.sinks.outbox import Outbox
from tsm_edge.demo.sinks.webhook import KEEP_S, Answer, Webhook, parse_key, parse_webhook
from tsm_edge.errors import UsageError


def event(number: int, label: str = "Swiping Left") -> Event:
    return Event(2, label, 0.9, number / 12, number, id=f"run-{number}", at=1e9 + number)


class Receiver(http.server.ThreadingHTTPServer):
    """Answers with the statuses in ``script``, then 204; 0 cuts the connection without an answer."""

    def __init__(self, script=(), headers=None) -> None:
        self.script, self.headers, self.got = list(script), headers or {}, []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, *_: object) -> None:
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.script.pop(0) if self.server.script else 204
        self.server.got.append((status, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver():
    running = []

    def start(*script, **headers):
        running.append(Receiver(script, headers))
        return running[-1]

    yield start
    for one in running:
        one.shutdown()
        one.server_close()


def hook(server, key=None, path="/x?y=1", **options):
    options.setdefault("first_pause_s", 0.01)
    return Webhook(parse_webhook(f"http://127.0.0.1:{server.server_port}{path}"), key, **options)


def numbers(server, status=204):
    return [json.loads(body)["frame"] for answered, _, _, body in server.got if answered == status]


def test_every_event_is_posted_once_and_in_order(receiver):
    server = receiver()
    webhook = hook(server)
    sent = [event(number) for number in range(20)]
    for one in sent:
        webhook.tell(one)
    webhook.finish(patient=True)
    assert [json.loads(body) for _, _, _, body in server.got] == [one.record() for one in sent]
    _, path, headers, _ = server.got[0]
    assert (path, headers["content-type"], headers["webhook-id"]) == ("/x?y=1", "application/json", "run-0")
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    assert "webhook-signature" not in headers
    counts = webhook.counts
    assert (counts.told, counts.failed, counts.dropped, counts.untold, counts.reconnects) == (20, 0, 0, 0, 0)


def test_the_signature_is_that_of_standard_webhooks(receiver, repository):
    """By the rules of its specification, and by the function that the documentation shows."""
    secret = "whsec_" + base64.b64encode(bytes(range(32))).decode()
    server = receiver()
    webhook = hook(server, parse_key(secret))
    webhook.tell(event(1, "Drücken"))
    webhook.finish(patient=True)
    (_, _, headers, body) = server.got[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(bytes(range(32)), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    shown: dict = {}
    page = (repository / "docs" / "events.md").read_text()
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], shown)
    assert shown["genuine"](headers, body, secret)
    assert not shown["genuine"](headers, body + b" ", secret)
    assert not shown["genuine"]({**headers, "webhook-timestamp": "1"}, body, secret)


def test_the_vector_of_the_specification():
    """The example that the libraries of Standard Webhooks are tested with."""
    from tsm_edge.demo.sinks.webhook import signature

    key = parse_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [0, 408, 429, 500, 503])
def test_what_may_pass_is_tried_again_and_nothing_overtakes(receiver, capsys, status):
    server = receiver(status, status)
    webhook = hook(server)
    for number in range(3):
        webhook.tell(event(number))
    webhook.finish(patient=True)
    assert numbers(server) == [0, 1, 2]
    assert numbers(server, status) == [0, 0]
    assert {headers["webhook-id"] for _, _, headers, _ in server.got[:3]} == {"run-0"}
    assert (webhook.counts.told, webhook.counts.failed, webhook.counts.reconnects) == (3, 0, 2)
    said = capsys.readouterr().err
    assert said.count("was not accepted") == 1 and "is reached again" in said
    assert "/x" not in said  # paths of webhooks are often secret


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 410])
def test_a_refusal_is_final_and_a_redirection_is_not_followed(receiver, capsys, status):
    other = receiver()
    server = receiver(status, Location=f"http://127.0.0.1:{other.server_port}/")
    webhook = hook(server)
    webhook.tell(event(0))
    webhook.tell(event(1))
    webhook.finish(patient=True)
    assert numbers(server, status) == [0] and numbers(server) == [1] and other.got == []
    assert (webhook.counts.told, webhook.counts.failed) == (1, 1)
    assert f"refused with status {status}" in capsys.readouterr().err


def waits(script, events=1):
    """Play answers to a webhook by a clock of its own; gives the pauses between posts, and the counts."""
    now, at, script = [0.0], [], list(script)

    def send(address, body, headers):
        at.append(now[0])
        return script.pop(0) if script else Answer(204, "")

    webhook = Webhook.__new__(Webhook)
    sinks.Sink.__init__(webhook, "webhook", "it", clock=lambda: now[0])
    webhook._address, webhook._key, webhook._send = parse_webhook("http://h/"), None, send
    webhook._back_off = sinks.BackOff(1.0, 60.0, lambda: 0.5)
    webhook.stopping.wait = lambda seconds: now.__setitem__(0, now[0] + seconds)
    told = webhook._deliver(event(0))
    return told, [round(b - a, 3) for a, b in zip(at, at[1:])]


def test_pauses_grow_to_a_minute_and_an_event_is_given_up_after_an_hour():
    told, pauses = waits([Answer(0, "refused")] * 6)
    assert told is True and pauses == [1, 2, 4, 8, 16, 32]
    told, pauses = waits([Answer(503, "busy")] * 1000)
    assert told is False
    assert pauses[6:] == [60] * len(pauses[6:]) and KEEP_S <= sum(pauses) < KEEP_S + 61


def test_a_receiver_may_ask_for_more_time_but_not_for_ever():
    assert waits([Answer(429, "", 7.0), Answer(503, "", 9e9)])[1] == [7, 60]


def test_a_dead_receiver_costs_the_teller_nothing(capsys):
    """Nobody there, one that never answers, no such name: telling returns at once, and so does the end."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        port = silent.getsockname()[1]
        for address in (f"http://127.0.0.1:{port}/", "http://127.0.0.1:9/", "http://no-such-host.invalid/"):
            webhook = Webhook(parse_webhook(address), room=4, parting_s=0.1)
            time.sleep(0.05)
            began = time.monotonic()
            for number in range(1000):
                webhook.tell(event(number))
            assert time.monotonic() - began < 1.0
            webhook.finish(patient=False)
            assert time.monotonic() - began < 4.0
            counts = webhook.counts
            assert counts.told == 0 and counts.failed == 0
            assert counts.dropped + counts.untold == 1000 and counts.untold <= 5
    said = capsys.readouterr().err
    assert said.count("so many events wait") == 3
    assert "was told of" in said and "and" in said


def test_the_oldest_makes_room_but_not_the_one_under_way():
    outbox = Outbox(room=2)
    assert [outbox.put(event(0)), outbox.next(0).frame] == [False, 0]
    assert [outbox.put(event(number)) for number in (1, 2, 3)] == [False, False, True]
    assert outbox.next(0).frame == 0
    outbox.settle(told=True)
    assert outbox.next(0).frame == 2
    counts = outbox.counts
    assert (counts.told, counts.dropped, counts.waiting) == (1, 1, 2)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "needs an address"),
        ("example.org/hook", "needs an address"),
        ("ftp://example.org/", "needs an address"),
        ("http:///path", "needs an address"),
        ("http://example.org:port/", "needs an address"),
        ("http://example.org:99999/", "needs an address"),
        ("http://example.org/a b", "needs an address"),
        ("http://example.org/\r\nX: y", "needs an address"),
        ("http://[::1/", "needs an address"),
        ("https://me:pass@example.org/", "everybody sees"),
        ("@/no/such/file", "cannot be read"),
    ],
)
def test_a_bad_address_is_refused_in_words(text, named):
    with pytest.raises(UsageError, match=named) as error:
        parse_webhook(text)
    assert "pass" not in str(error.value).replace("password", "")


def test_an_address_in_a_file_may_have_a_password(tmp_path: Path):
    (tmp_path / "a").write_text("https://me:p%40ss@example.org/hook?k=v\n")
    address = parse_webhook(f"@{tmp_path / 'a'}")
    assert (address.place, address.target) == ("https://example.org:443", "/hook?k=v")
    assert base64.b64decode(address.authorization.removeprefix("Basic ")) == b"me:p@ss"
    assert "hook" not in repr(address) and address.authorization not in repr(address)
    (tmp_path / "a").write_text("my own secret")
    with pytest.raises(UsageError) as error:
        parse_webhook(f"@{tmp_path / 'a'}")
    assert "secret" not in str(error.value)


def test_addresses_of_all_kinds():
    assert parse_webhook("http://[::1]:8000").place == "http://[::1]:8000"
    assert parse_webhook("http://bücher.example/").host == "xn--bcher-kva.example"
    assert parse_webhook("https://h").target == "/"


@pytest.mark.parametrize("secret", ["tiny", "whsec_***", "whsec_c2hvcnQ="])
def test_a_weak_secret_is_refused_and_not_printed(secret):
    with pytest.raises(UsageError) as error:
        parse_key(secret)
    assert secret not in str(error.value)


def test_where_secrets_come_from(tmp_path: Path, monkeypatch):
    """The file that was named, else what systemd hands over, else the environment."""
    ask = ("the secret", None, "one", "TSM_EDGE_TEST_SECRET")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert find_secret(*ask) is None
    monkeypatch.setenv("TSM_EDGE_TEST_SECRET", "from the environment")
    assert find_secret(*ask) == "from the environment"
    (tmp_path / "one").write_text("from systemd\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert find_secret(*ask) == "from systemd"
    (tmp_path / "two").write_text("named\r\n")
    assert find_secret("the secret", tmp_path / "two", "one", "X") == "named"
    for content, problem in ((b"", "nothing"), (b"a\nb", "lines"), (b"\xff", "UTF-8"), (b"x" * 9999, "more than")):
        (tmp_path / "two").write_bytes(content)
        with pytest.raises(UsageError, match=problem):
            find_secret("the secret", tmp_path / "two", "one", "X")
