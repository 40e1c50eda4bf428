"""Requests to the server of the live page, and what it is offered."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from tsm_edge.demo.history import Span
from tsm_edge.demo.overlay import Score, Status
from tsm_edge.demo.web.server import Server

TOKEN = "a-token_of-letters"


def status(ms: float = 5.0, label: str = "Stop Sign", probability: float | None = 0.9) -> Status:
    """Return what is told beside a picture."""
    spans = (Span(0, "No gesture", 0.0, 27.0), Span(1, label, 27.0, 30.0))
    scores = (Score(1, label, 0.9), Score(0, "No gesture", 0.1))
    return Status(label, probability, ms, 12.0, 3, "a note", scores, spans)


def ask(
    server: Server, path: str, method: str = "GET", host: str | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of one request."""
    port = server.address.port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers={"Host": host or f"127.0.0.1:{port}", **names})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def unpack(body: bytes) -> tuple[Any, np.ndarray]:
    """Return the state and the picture of a packet."""
    (length,) = struct.unpack(">I", body[:4])
    picture = cv2.imdecode(np.frombuffer(body[4 + length :], np.uint8), 1)
    return json.loads(body[4 : 4 + length]), np.asarray(picture)


def request_only(server: Server, path: str, receive_bytes: int = 0) -> socket.socket:
    """Send a request and never read; return the socket."""
    client = socket.socket()
    if receive_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.connect(("127.0.0.1", server.address.port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return client


def wait_for(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Wait until it is true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
