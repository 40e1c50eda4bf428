"""``--mqtt``: events for an MQTT broker: each once, in order, also when the broker or the network breaks off.

Topics below the prefix: ``gesture`` has every gesture as it is decided, ``state`` the last event, of either kind, for
whoever comes later (retained), ``availability`` is "online" or, after the end or by the broker's own word, "offline".

A gesture is sent with quality of service 2, one at a time, in a session that outlives a connection, so that a broken
connection neither loses nor doubles it. A broker that has lost its session, as after a crash without persistence, is
sent again whatever it had not confirmed. Only then may an event come twice, if the broker had handed it on in the
moment before; it has the same ``id``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import select
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from paho.mqtt.client import CallbackAPIVersion, Client, ConnectFlags, MQTTErrorCode, MQTTv311, error_string
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ..events import Event
from .discovery import announcement
from .mqtt_address import Broker
from .outbox import ROOM
from .sink import BackOff, Sink, in_words

KEEP_ALIVE_S = 30  # so long after the last word the broker says "offline" for us
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
_CONNECT_S = 10.0
_GOODBYE_S = 1.0


class _Broken(Exception):
    """The connection ended; the words say why."""


class _SessionLost(Exception):
    """The broker remembers nothing of an event that it had not confirmed."""


class Mqtt(Sink):
    """Publishes events on a thread of its own, which is the only one that touches the client.

    Args:
        broker: where and how.
        model, gestures: what Home Assistant is told: the network, and the labels that are no idle ones.
        room, clock: as of the queue.
    """

    def __init__(
        self,
        broker: Broker,
        model: str,
        gestures: Sequence[str],
        *,
        room: int = ROOM,
        clock: Callable[[], float] = time.monotonic,
        first_pause_s: float = FIRST_PAUSE_S,
        parting_s: float | None = None,
        keep_alive_s: int = KEEP_ALIVE_S,
    ) -> None:
        super().__init__("mqtt", f"the MQTT broker at {broker.place}", room=room, clock=clock, parting_s=parting_s)
        self.node = node_name(broker.prefix)
        self._broker = broker
        self._announcement = announcement(broker, self.node, model, gestures) if broker.discovery else None
        self._keep_alive_s = keep_alive_s
        self._back_off = BackOff(first_pause_s, LONGEST_PAUSE_S, random.random)
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._client: Client | None = None
        self._up = False  # the broker has let us in
        self._ever_up = False
        self._pending: set[int] = set()  # numbers of messages of the event under way that are not confirmed
        self._gesture = 0  # that of its message to `gesture`, which alone must not come twice; 0: it has none
        self._sent: Event | None = None  # the event under way
        self._state = b""  # what `state` holds; nothing of a run before this one
        self.start()

    def wake(self) -> None:
        """Have the thread look for events."""
        with contextlib.suppress(BlockingIOError, OSError):  # full: it will wake anyway; closed: it has ended
            self._waker.send(b"x")

    # -- The thread ---------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self.stopping.is_set():
            try:
                self._connect()
                while not self.stopping.is_set():
                    self._turn(1.0)
                    self._publish_next()
                self._say_goodbye()
            except _SessionLost:
                self._after_lost_session()
                continue  # the broker is there: publish again at once
            except (_Broken, OSError, ValueError) as error:
                self._up = False
                if not self.stopping.is_set():
                    self.complain(in_words(error))
            self.stopping.wait(0.0 if self.stopping.is_set() else self._back_off.pause())
        self._forget_client()
        self._woken.close()
        self._waker.close()

    def _connect(self) -> None:
        """Connect and wait until the broker lets us in; the first time, have it forget what an earlier run left."""
        if not self._ever_up:
            with contextlib.closing(_Closing(self._new_client(clean=True))) as first:
                first.client.connect(self._broker.host, self._broker.port, self._keep_alive_s)
                self._await_up(first.client)
                first.client.disconnect()
            self._up, self._ever_up = False, True
        else:
            self.outbox.reconnects += 1
        if self._client is None:
            self._client = self._new_client(clean=False)
            self._sent, self._pending = None, set()
            self._client.connect(self._broker.host, self._broker.port, self._keep_alive_s)
        else:
            self._client.reconnect()
        self._await_up(self._client)
        self._back_off.reset()
        self.recovered()
        self._publish_standing(self._client)

    def _await_up(self, client: Client) -> None:
        deadline = time.monotonic() + _CONNECT_S
        while not self._up and not self.stopping.is_set():
            self._turn(0.2, client)
            if time.monotonic() > deadline:
                raise _Broken("it accepts connections but does not answer")

    def _turn(self, longest_s: float, client: Client | None = None) -> None:
        """Let the client read and write what there is; wait for that, or to be woken."""
        client = client or self._client
        connection = client.socket() if client is not None else None
        if client is None or connection is None:
            raise _Broken("the connection was lost")
        has_more = bool(getattr(connection, "pending", int)())  # bytes that TLS has read already
        writes = [connection] if client.want_write() else []
        readable, writable, _ = select.select(
            [connection, self._woken], writes, [], 0.0 if has_more else longest_s
        )
        if self._woken in readable:
            with contextlib.suppress(BlockingIOError):
                self._woken.recv(4096)
        if connection in readable or has_more:
            _check(client.loop_read())
        if writable:
            _check(client.loop_write())
        _check(client.loop_misc())

    def _publish_next(self) -> None:
        """Send the next event when the broker has confirmed the last."""
        client = self._client
        assert client is not None
        if self._sent is not None:
            if self._pending:
                return
            self._sent = None
            self.outbox.settle(told=True)
        event = self.outbox.next(0.0)
        if event is None:
            return
        self._sent = event
        self._state = json.dumps(event.record()).encode()
        messages = [client.publish(self._broker.topic("state"), self._state, qos=1, retain=True)]
        if event.kind == "gesture":
            messages.append(client.publish(self._broker.topic("gesture"), self._state, qos=2))
        self._gesture = messages[-1].mid if event.kind == "gesture" else 0
        self._pending = {message.mid for message in messages}

    def _after_lost_session(self) -> None:
        """Begin anew with a client that remembers nothing either, and with the event that was not confirmed."""
        if self._sent is not None and self._gesture not in self._pending:
            self.outbox.settle(told=True)  # only its state is unconfirmed, and that is published with what stands
        self._forget_client()

    def _publish_standing(self, client: Client) -> None:
        """Say what stays true: a broker may have lost what it retained."""
        if self._announcement is not None:
            client.publish(*self._announcement, qos=1, retain=True)
        if self._sent is None:
            client.publish(self._broker.topic("state"), self._state, qos=1, retain=True)
        client.publish(self._broker.topic("availability"), b"online", qos=1, retain=True)

    def _say_goodbye(self) -> None:
        client = self._client
        if client is None or not self._up:
            return
        message = client.publish(self._broker.topic("availability"), b"offline", qos=1, retain=True)
        deadline = time.monotonic() + _GOODBYE_S
        while not message.is_published() and time.monotonic() < deadline:
            self._turn(0.1)
        client.disconnect()

    # -- The client ---------------------------------------------------------------------------------------------------

    def _new_client(self, *, clean: bool) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=self.node, clean_session=clean, protocol=MQTTv311
        )
        client.connect_timeout = _CONNECT_S
        if self._broker.user:
            client.username_pw_set(self._broker.user, self._broker.password)
        if self._broker.tls is not None:
            client.tls_set_context(self._broker.tls)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        if not clean:
            client.will_set(self._broker.topic("availability"), b"offline", qos=1, retain=True)
        return client

    def _forget_client(self) -> None:
        if self._client is not None:
            _Closing(self._client).close()
        self._client, self._up = None, False

    def _on_connect(
        self, client: Client, data: object, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            raise _Broken(f"it does not let us in: {str(reason).lower()}")
        if self._sent is not None and self._pending and not flags.session_present:
            raise _SessionLost  # before the client goes on where no session is
        self._up = True

    def _on_disconnect(self, *_: object) -> None:
        self._up = False

    def _on_publish(
        self, client: Client, data: object, number: int, reason: ReasonCode, properties: Properties
    ) -> None:
        self._pending.discard(number)


class _Closing:
    """Ends a client's connection without a word, as a broken one would."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def close(self) -> None:
        """Close the socket."""
        connection = self.client.socket()
        if connection is not None:
            connection.close()


def node_name(prefix: str) -> str:
    """Return a name that is this board's and this prefix's, and stays: client id and name in Home Assistant."""
    try:
        machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        machine = socket.gethostname()
    return "tsm-edge-" + hashlib.sha256(f"{machine}\n{prefix}".encode()).hexdigest()[:12]


def _check(code: MQTTErrorCode) -> None:
    if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
        raise _Broken(error_string(code).rstrip(".").lower())
