"""Servers of video for the tests of network sources: Motion JPEG over HTTP, and RTSP by the real GStreamer server.

A picture shows when it was made: its left half is bright by the milliseconds modulo 10 s, in eight bits of blocks.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import ctypes.util
import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np

BITS = 16


def clock_picture(milliseconds: int, width: int = 320, height: int = 240) -> np.ndarray:
    """Return a picture whose 16 columns of blocks are the bits of ``milliseconds`` modulo 65536."""
    bits = [(milliseconds >> bit) & 1 for bit in range(BITS)]
    row = np.repeat(np.array(bits, np.uint8) * 200 + 20, width // BITS)
    return np.repeat(np.tile(row, (height, 1))[:, :, None], 3, axis=2)


def read_clock(picture: np.ndarray) -> int:
    """Return the number that a picture shows."""
    step = picture.shape[1] // BITS
    middle = picture[picture.shape[0] // 2, step // 2 :: step].mean(axis=1)[:BITS]
    return sum(int(level > 120) << bit for bit, level in enumerate(middle))


def jpeg(picture: np.ndarray) -> bytes:
    """Return a picture as JPEG."""
    good, data = cv2.imencode(".jpg", picture)
    assert good
    return data.tobytes()


class HttpCamera:
    """A camera on a port of its own.

    ``behave`` is called with the handler of each request for /video.mjpg, whose head of the answer is not yet sent.
    """

    def __init__(self, behave: Callable[[Any], None], password: str = "", digest: bool = False) -> None:
        self.requests = 0
        self.seen: list[str] = []
        camera = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.requests += 1
                camera.seen.append(self.headers.get("Authorization", ""))
                if password and not camera._knows(self.headers.get("Authorization", ""), password, digest):
                    self.send_response(401)
                    kind = 'Digest realm="cam", nonce="abc", qop="auth"' if digest else 'Basic realm="cam"'
                    self.send_header("WWW-Authenticate", kind)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                with contextlib.suppress(ConnectionError):
                    behave(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/video.mjpg"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @staticmethod
    def _knows(given: str, password: str, digest: bool) -> bool:
        if not digest:
            return given == "Basic " + base64.b64encode(f"me:{password}".encode()).decode()
        part = dict(re.findall(r'(\w+)="?([^",]+)"?', given))
        if not part:
            return False

        def md5(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        first, second = md5(f"me:cam:{password}"), md5(f"GET:{part['uri']}")
        return part["response"] == md5(f"{first}:abc:{part['nc']}:{part['cnonce']}:auth:{second}")

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()


def begin_parts(handler: Any, *, chunked: bool = False) -> None:
    """Send the head of an answer in parts."""
    handler.protocol_version = "HTTP/1.1" if chunked else "HTTP/1.0"
    handler.send_response(200)
    if chunked:
        handler.send_header("Transfer-Encoding", "chunked")
    handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
    handler.end_headers()


def part(handler: Any, data: bytes, *, chunked: bool = False) -> None:
    """Send a picture as a part."""
    whole = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + data + b"\r\n"
    handler.wfile.write(b"%x\r\n%b\r\n" % (len(whole), whole) if chunked else whole)


def clock_stream(fps: float, count: int = 10**9, *, chunked: bool = False) -> Callable[[Any], None]:
    """Return what sends pictures that show when they were made."""

    def behave(handler: Any) -> None:
        begin_parts(handler, chunked=chunked)
        for _ in range(count):
            part(handler, jpeg(clock_picture(int(time.monotonic() * 1000))), chunked=chunked)
            time.sleep(1 / fps)

    return behave


RTSP = "libgstrtspserver-1.0.so.0"


def has_rtsp_server() -> bool:
    """Whether the library of GStreamer's server is installed."""
    with contextlib.suppress(OSError):
        ctypes.CDLL(RTSP)
        return True
    return False


@contextlib.contextmanager
def rtsp_server(pipeline: str, *, password: str = "", port: int = 0) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Serve ``pipeline`` at rtsp://127.0.0.1:PORT/live in a process of its own; give port and process."""
    child = subprocess.Popen(
        [sys.executable, __file__, json.dumps({"pipeline": pipeline, "password": password, "port": port})],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "GST_DEBUG": "0"},
    )  # fmt: skip
    try:
        assert child.stdout is not None
        yield int(child.stdout.readline()), child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def _serve(pipeline: str, password: str, port: int) -> None:
    """Run the server for ever; print its port."""
    server_lib, gst, glib = ctypes.CDLL(RTSP), ctypes.CDLL("libgstreamer-1.0.so.0"), ctypes.CDLL("libglib-2.0.so.0")
    gobject = ctypes.CDLL("libgobject-2.0.so.0")
    for library, names in (
        (server_lib, ("server_new", "media_factory_new", "server_get_mount_points", "auth_new", "token_new_empty",
                      "token_new", "auth_make_basic", "permissions_new")),
    ):  # fmt: skip
        for name in names:
            getattr(library, f"gst_rtsp_{name}").restype = ctypes.c_void_p
    glib.g_main_loop_new.restype = ctypes.c_void_p

    def pointer(value: Any) -> ctypes.c_void_p:
        return ctypes.c_void_p(value)

    gst.gst_init(None, None)
    server, factory = pointer(server_lib.gst_rtsp_server_new()), pointer(server_lib.gst_rtsp_media_factory_new())
    server_lib.gst_rtsp_server_set_address(server, b"127.0.0.1")
    server_lib.gst_rtsp_server_set_service(server, str(port).encode())
    server_lib.gst_rtsp_media_factory_set_launch(factory, pipeline.encode())
    server_lib.gst_rtsp_media_factory_set_shared(factory, 1)
    if password:
        auth = pointer(server_lib.gst_rtsp_auth_new())
        token = pointer(server_lib.gst_rtsp_token_new(
            b"media.factory.role", ctypes.c_size_t(64), b"viewer", None))  # G_TYPE_STRING
        basic = pointer(server_lib.gst_rtsp_auth_make_basic(b"me", password.encode()))
        text = ctypes.cast(basic, ctypes.c_char_p)
        server_lib.gst_rtsp_auth_add_basic(auth, text, token)
        server_lib.gst_rtsp_server_set_auth(server, auth)
        server_lib.gst_rtsp_media_factory_add_role(
            factory, b"viewer", b"media.factory.access", ctypes.c_size_t(20), 1,
            b"media.factory.construct", ctypes.c_size_t(20), 1, None)  # G_TYPE_BOOLEAN
    mounts = pointer(server_lib.gst_rtsp_server_get_mount_points(server))
    server_lib.gst_rtsp_mount_points_add_factory(mounts, b"/live", factory)
    gobject.g_object_unref(mounts)
    server_lib.gst_rtsp_server_attach(server, None)
    print(server_lib.gst_rtsp_server_get_bound_port(server), flush=True)
    glib.g_main_loop_run(pointer(glib.g_main_loop_new(None, 0)))


if __name__ == "__main__":
    _serve(**json.loads(sys.argv[1]))
