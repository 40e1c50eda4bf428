"""Events at a real broker: retained, announced to Home Assistant, each once whatever breaks. Needs mosquitto."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import time

import pytest

pytest.importorskip("paho.mqtt.client", reason="the sink needs the extra 'mqtt'")

from mosquitto import PROGRAM, Cutter, Mosquitto, Subscriber, until

from tsm_edge.demo.events import Event
from tsm_edge.demo.sinks.discovery import announcement
from tsm_edge.demo.sinks.mqtt import Mqtt, node_name
from tsm_edge.demo.sinks.mqtt_address import parse_broker
from tsm_edge.errors import UsageError

needs_broker = pytest.mark.skipif(PROGRAM is None, reason="no mosquitto; Debian's package is 'mosquitto'")
GESTURES = ("Swiping Left", "Stop Sign", "\x1b[2J")
PUBLISH, PUBREC, PUBREL, PUBCOMP = 3, 5, 6, 7


def event(number: int, label: str = "Swiping Left", ended: str = "") -> Event:
    return Event(2, label, 0.9, number / 12, number, ended=ended, id=f"run-{number}", at=1e9 + number)


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a broker; all are ended."""
    running = []

    def start(*lines, **options):
        running.append(Mosquitto(tmp_path, *lines, **options).start())
        return running[-1]

    yield start
    for one in running:
        one.kill()


@pytest.fixture
def publish():
    """Return a function that opens the sink; all are ended."""
    running = []

    def publish(port, user="", password=None, ca=None, scheme="mqtt", **options):
        address = f"{scheme}://{user}{'@' if user else ''}localhost:{port}/home/hall"
        options = {"first_pause_s": 0.05, "parting_s": 2.0, **options}
        broker = parse_broker(address, password=password, ca=ca)
        running.append(Mqtt(broker, "gestures", GESTURES, **options))
        return running[-1]

    yield publish
    for one in running:
        one.finish(patient=False)


@pytest.fixture
def hear():
    running = []

    def hear(port, *options, **more):
        running.append(Subscriber(port, *options, **more))
        return running[-1]

    yield hear
    for one in running:
        one.close()


@needs_broker
def test_a_gesture_is_told_once_and_its_end_is_the_state(start, publish, hear):
    port = start().port
    ear = hear(port)
    sink = publish(port)
    sent = [event(1), event(2, "No gesture", "Swiping Left"), event(3, "Stop Sign")]
    for one in sent:
        sink.tell(one)
    sink.finish(patient=False)
    until(lambda: ear.last("home/hall/availability") == b"offline" and 3 in ear.frames("home/hall/gesture"))
    assert [json.loads(body) for name, body, _ in ear.heard if name == "home/hall/gesture"] == [
        sent[0].record(),
        sent[2].record(),
    ]
    states = [body for name, body, _ in ear.heard if name == "home/hall/state"]
    assert states[0] == b"" and [json.loads(body) for body in states[1:]] == [one.record() for one in sent]
    assert (sink.counts.told, sink.counts.untold, sink.counts.reconnects) == (3, 0, 0)
    late = hear(port, "late")
    until(lambda: len(late.heard) >= 3)
    retained = {name.split("/")[-1]: body for name, body, kept in late.heard if kept}
    assert json.loads(retained["state"]) == sent[2].record()
    assert "gesture" not in retained and retained["availability"] == b"offline"


@needs_broker
def test_home_assistant_finds_an_event_entity(start, publish, hear):
    """Its own rule: the template makes JSON of each message, whose event_type is one of event_types."""
    import jinja2.sandbox

    port = start().port
    sink = publish(port)
    for number, label in enumerate(GESTURES):
        sink.tell(event(number, label))
    ear = hear(port)
    until(lambda: len(ear.frames("home/hall/gesture")) + sink.counts.told >= 3)
    topic = f"homeassistant/event/{node_name('home/hall')}/gesture/config"
    until(lambda: ear.last(topic) is not None)
    config = json.loads(ear.last(topic))
    assert config["state_topic"] == "home/hall/gesture" and config["availability_topic"] == "home/hall/availability"
    assert config["event_types"] == ["Swiping Left", "Stop Sign", "\\x1b[2J"]
    assert config["unique_id"] and config["device"]["identifiers"] and config["origin"]["name"]
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment()
    environment.filters["to_json"] = json.dumps
    template = environment.from_string(config["value_template"])
    for number, label in enumerate(GESTURES):
        record = event(number, label).record()
        shown = json.loads(template.render(value_json=record))
        assert shown.pop("event_type") in config["event_types"] and shown == record


@needs_broker
def test_a_broker_that_is_killed_and_comes_back_loses_and_doubles_nothing(start, publish, hear, capsys):
    """It keeps nothing on disk, so all that it retained and every session is gone. We reach it through a proxy that
    lets us in only when the one who listens is back: what comes while nobody listens is nobody's."""
    broker = start()
    ear = hear(broker.port)
    cutter = Cutter(broker.port, [])
    sink = publish(cutter.port, parting_s=20.0)
    for number in range(20):
        sink.tell(event(number))
    until(lambda: sink.counts.told == 20 and len(ear.frames("home/hall/gesture")) == 20)
    cutter.target = 1  # nobody
    broker.kill()
    for number in range(20, 40):
        sink.tell(event(number))
    until(lambda: "tries again" in capsys.readouterr().err)
    assert sink.counts.told == 20
    subscribed = ear.subscribed
    broker.start()
    until(lambda: ear.subscribed > subscribed, "the subscriber")
    cutter.target = broker.port
    sink.finish(patient=True)
    until(lambda: 39 in ear.frames("home/hall/gesture"), "the last")
    assert ear.frames("home/hall/gesture") == list(range(40))
    assert sink.counts.told == 40 and sink.counts.untold == sink.counts.failed == 0
    assert sink.counts.reconnects > 0
    late = hear(broker.port, "late", "home/hall/state")
    until(lambda: late.heard)
    assert json.loads(late.last("home/hall/state"))["frame"] == 39
    assert "is reached again" in capsys.readouterr().err
    cutter.close()


@needs_broker
@pytest.mark.parametrize("forgets", [False, True])
@pytest.mark.parametrize(
    ("way", "packet", "passes"),
    [
        ("up", PUBLISH, False),
        ("up", PUBLISH, True),
        ("down", PUBREC, False),
        ("down", PUBREC, True),
        ("up", PUBREL, False),
        ("up", PUBREL, True),
        ("down", PUBCOMP, False),
    ],
)
def test_a_connection_cut_at_each_step_of_the_handshake(start, publish, hear, way, packet, passes, forgets):
    """Whatever was on its way: each gesture once. Only if the broker forgets the session in one moment, when it has
    handed the gesture on and we do not know yet, it may come twice; it has the same id then."""
    broker = start()
    ear = hear(broker.port)
    cutter = Cutter(broker.port, [])
    sink = publish(cutter.port, parting_s=20.0)
    for number in range(3):
        sink.tell(event(number))
    until(lambda: sink.counts.told == 3)
    cutter.cuts = [(way, packet, passes)]
    cutter.skip = int(packet == PUBLISH)  # the state's, which goes before
    if forgets:
        cutter.target = 1  # nobody
    for number in range(3, 6):
        sink.tell(event(number))
    until(lambda: cutter.seen == 1)
    if forgets:
        forget_session(broker.port, sink.node)
        cutter.target = broker.port
    sink.finish(patient=True)
    until(lambda: 5 in ear.frames("home/hall/gesture"))
    found = ear.frames("home/hall/gesture")
    handed_on = (way, packet, passes) in (("down", PUBREC, True), ("up", PUBREL, True), ("down", PUBCOMP, False))
    if forgets and handed_on:
        assert found in ([0, 1, 2, 3, 3, 4, 5], [0, 1, 2, 3, 4, 5])
        records = [body for name, body, _ in ear.heard if name == "home/hall/gesture"]
        assert len({json.loads(body)["id"] for body in records}) == 6
    else:
        assert found == list(range(6))
    cutter.close()


def forget_session(port, name):
    """Have the broker drop a client's session, as one that crashed does."""
    from paho.mqtt.client import CallbackAPIVersion, Client

    client = Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=True)
    client.connect("127.0.0.1", port)
    client.loop_start()
    until(client.is_connected)
    client.disconnect()
    client.loop_stop()


@needs_broker
def test_the_broker_says_offline_when_we_are_gone(start, publish, hear):
    """Killed without a word: the will, by the broker."""
    broker = start()
    cutter = Cutter(broker.port, [])
    ear = hear(broker.port)
    sink = publish(cutter.port)
    until(lambda: ear.last("home/hall/availability") == b"online")
    cutter.cuts = [("up", PUBLISH, False)]
    cutter.target = 1  # and there is no way back
    sink.tell(event(1))
    until(lambda: ear.last("home/hall/availability") == b"offline")
    cutter.target = broker.port
    until(lambda: ear.last("home/hall/availability") == b"online")
    until(lambda: sink.counts.told == 1)
    until(lambda: ear.frames("home/hall/gesture") == [1])
    cutter.close()


@needs_broker
def test_a_wrong_password_is_said_in_words_and_never_printed(start, publish, hear, tmp_path, capsys):
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", str(tmp_path / "users"), "pi", "right-password"],
        check=True, capture_output=True,
    )  # fmt: skip
    broker = start("allow_anonymous false", f"password_file {tmp_path / 'users'}")
    bad = publish(broker.port, "pi", "wrong-password", parting_s=0.1)
    bad.tell(event(1))
    said = ""

    def complained():
        nonlocal said
        said += capsys.readouterr().err
        return "does not let us in" in said

    until(complained)
    bad.finish(patient=False)
    said += capsys.readouterr().err
    assert "not authorized" in said or "bad user name" in said
    assert "wrong-password" not in said and "was told of Swiping Left" in said
    ear = hear(broker.port, username="pi", password="right-password")
    good = publish(broker.port, "pi", "right-password")
    good.tell(event(2))
    until(lambda: ear.frames("home/hall/gesture") == [2])


@needs_broker
def test_an_encrypted_connection_needs_a_certificate_that_is_trusted(start, publish, tmp_path, capsys):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("no openssl")
    broker = start(f"certfile {certificate}", f"keyfile {key}")
    trusted = publish(broker.port, scheme="mqtts", ca=certificate)
    trusted.tell(event(1))
    until(lambda: trusted.counts.told == 1)
    doubted = publish(broker.port, scheme="mqtts", parting_s=0.1)
    doubted.tell(event(2))
    until(lambda: "certificate verify failed" in capsys.readouterr().err)
    assert doubted.counts.told == 0


def test_a_broker_that_is_not_there_costs_the_teller_nothing(publish, capsys):
    """Nobody listens; somebody listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (1, silent.getsockname()[1]):
            sink = publish(port, room=4, parting_s=0.1)
            began = time.monotonic()
            for number in range(1000):
                sink.tell(event(number))
            assert time.monotonic() - began < 1.0
            sink.finish(patient=False)
            assert time.monotonic() - began < 4.0
            assert sink.counts.told == 0 and sink.counts.dropped + sink.counts.untold == 1000
    assert "refused" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "address of a broker"),
        ("broker", "address of a broker"),
        ("http://broker/x", "address of a broker"),
        ("mqtt:///x", "address of a broker"),
        ("mqtt://broker:port/x", "address of a broker"),
        ("mqtt://broker:70000/x", "address of a broker"),
        ("mqtt://broker/x?y=z", "address of a broker"),
        ("mqtt://pi:hunter2@broker/x", "everybody sees"),
        ("ws://pi:hunter2@broker/x", "everybody sees"),
        ("mqtt://broker/a/%23", "no topic"),
        ("mqtt://broker/a/+/b", "no topic"),
        ("mqtt://broker/$SYS", "no topic"),
        ("mqtt://broker/a//b", "no topic"),
        ("mqtt://broker/%00", "no topic"),
        ("mqtt://broker/" + "x" * 201, "no topic"),
    ],
)
def test_a_bad_address_is_refused_in_words(text, named):
    with pytest.raises(UsageError, match=named) as error:
        parse_broker(text)
    assert "hunter2" not in str(error.value)


def test_addresses_of_all_kinds(tmp_path):
    assert (parse_broker("mqtt://h").port, parse_broker("mqtts://h").port) == (1883, 8883)
    assert parse_broker("mqtt://h").prefix == parse_broker("mqtt://h/").prefix == "tsm-edge"
    broker = parse_broker("mqtt://p%40i@[::1]:1884/K%C3%BCche/Herd/", password="hunter2")
    assert (broker.user, broker.place, broker.prefix) == ("p@i", "[::1]:1884", "Küche/Herd")
    assert "hunter2" not in repr(broker)
    assert isinstance(parse_broker("mqtts://h").tls, ssl.SSLContext)
    with pytest.raises(UsageError, match="needs a user"):
        parse_broker("mqtt://h", password="hunter2")
    with pytest.raises(UsageError, match="encrypted"):
        parse_broker("mqtt://h", ca=tmp_path)
    (tmp_path / "ca").write_text("no certificate")
    for bad in ("ca", "none"):
        with pytest.raises(UsageError, match="cannot be used"):
            parse_broker("mqtts://h", ca=tmp_path / bad)
    with pytest.raises(UsageError, match="no topic"):
        parse_broker("mqtt://h", discovery="a/#")
    assert parse_broker("mqtt://h", discovery="").discovery == ""


def test_nodes_differ_by_their_prefix_and_stay():
    assert node_name("a") == node_name("a") != node_name("b")
    topic, _ = announcement(parse_broker("mqtt://h", discovery="ha"), node_name("a"), "net", GESTURES)
    assert topic == f"ha/event/{node_name('a')}/gesture/config"
    assert len(node_name("a")) <= 23  # the longest name that every broker takes
