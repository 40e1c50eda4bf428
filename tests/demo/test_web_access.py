"""Who may look at the live page: tokens, host names, other sites, and what strangers send."""

from __future__ import annotations

import http.client
import socket

import pytest

pytest.importorskip("tornado", reason="the page needs the extra 'serve'")

from web_lab import TOKEN, ask, status

from tsm_edge.errors import UsageError


@pytest.mark.parametrize("path", ["/", "/next?after=0", "/stream.mjpg", "/reset", "/nothing"])
def test_everything_needs_the_token(serve, path):
    server = serve(token=TOKEN)
    join = "&" if "?" in path else "?"
    method = "POST" if path == "/reset" else "GET"
    for wrong in (
        path,
        f"{path}{join}token=",
        f"{path}{join}token={TOKEN}x",
        f"{path}{join}token={TOKEN[:-1]}",
    ):
        answered, _, body = ask(server, wrong, method)
        assert (answered, body) == (
            403, b"403: the token is missing or wrong; open the address that tsm-edge demo printed\n"
        )  # fmt: skip
    assert ask(server, path, method, Authorization="Bearer nonsense")[0] == 403
    assert not server.pressed.is_set()


def test_the_token_opens_the_page(serve, make):
    server = serve(token=TOKEN)
    server.offer(make.picture((0, 0, 255)), status())
    assert server.url.endswith(f"/?token={TOKEN}")
    assert ask(server, f"/?token={TOKEN}")[0] == 200
    assert ask(server, f"/next?after=0&token={TOKEN}")[0] == 200
    assert ask(server, "/next?after=0", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert ask(server, "/reset", "POST", Authorization=f"Bearer {TOKEN}")[0] == 204
    assert server.pressed.is_set()


def test_other_machines_need_a_token_without_being_asked(serve):
    server = serve("0.0.0.0")
    token = server.url.partition("?token=")[2]
    assert len(token) >= 20
    assert ask(server, "/")[0] == 403
    assert ask(server, f"/?token={token}")[0] == 200
    with pytest.raises(UsageError, match="no good token"):
        serve("0.0.0.0", token="guess")


def test_ipv6(serve):
    try:
        server = serve("::1")
    except Exception as error:
        pytest.skip(f"no IPv6 on this machine: {error}")
    connection = http.client.HTTPConnection("::1", server.address.port, timeout=20)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    connection.close()


def test_a_foreign_name_is_refused(serve):
    server = serve()
    for name in ("evil.example", "evil.example:8080", f"127.0.0.1.evil.example:{server.address.port}"):
        answered, _, body = ask(server, "/", host=name)
        assert answered == 403 and b"not known by that name" in body
    for name in ("localhost", "localhost:9999", "127.0.0.1", "[::1]:80", socket.gethostname()):
        assert ask(server, "/", host=name)[0] == 200


def test_reset_is_for_our_own_page(serve):
    server = serve()
    own = f"http://127.0.0.1:{server.address.port}"
    refused = [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://localhost:{server.address.port}"},  # another origin, for a browser
        {"Origin": own, "Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ]
    for headers in refused:
        answered, _, body = ask(server, "/reset", "POST", **headers)
        assert (answered, body) == (403, b"403: another site may not press this button\n"), headers
    assert ask(server, "/reset")[0] == 405
    assert not server.pressed.is_set()
    for headers in ({"Origin": own, "Sec_Fetch_Site": "same-origin"}, {}):
        server.pressed.clear()
        assert ask(server, "/reset", "POST", **headers)[0] == 204
        assert server.pressed.is_set()


def test_what_is_not_there_and_what_makes_no_sense(serve):
    server = serve()
    assert ask(server, "/etc/passwd")[2] == b"404: there is nothing here; the page is at /\n"
    assert ask(server, "/../page.html")[0] == 404
    for after in ("-1", "x", "9" * 16, ""):
        assert ask(server, f"/next?after={after}")[0] == 400
    answered, headers, body = ask(server, "/", "DELETE")
    assert (answered, body) == (405, b"405: method not allowed\n")
    assert headers["Content-Type"].startswith("text/plain")


def test_rubbish_from_strangers_is_not_our_users_business(serve, capfd):
    server = serve()
    for rubbish in (
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /" + b"x" * 40_000 + b"\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.address.port), timeout=10) as client:
            client.sendall(rubbish)
            client.shutdown(socket.SHUT_WR)
            while client.recv(1 << 16):
                pass
    assert ask(server, "/")[0] == 200
    assert capfd.readouterr() == ("", "")
