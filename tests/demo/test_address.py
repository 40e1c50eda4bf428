"""Where the page is served and for whom, without a server."""

from __future__ import annotations

import hmac
import socket

import pytest

from tsm_edge.demo.web import address
from tsm_edge.demo.web.address import (
    Address,
    choose_token,
    host_fits,
    listen,
    origin_fits,
    own_names,
    page_url,
    parse_address,
    token_fits,
)
from tsm_edge.errors import ServeError, UsageError


@pytest.mark.parametrize(
    ("text", "expected", "loopback"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080), True),
        ("127.9.9.9:1", Address("127.9.9.9", 1), True),
        ("localhost:0", Address("localhost", 0), True),
        ("[::1]:8080", Address("::1", 8080), True),
        ("0.0.0.0:8080", Address("0.0.0.0", 8080), False),
        ("[::]:8080", Address("::", 8080), False),
        ("192.168.1.5:65535", Address("192.168.1.5", 65535), False),
        ("board.local:80", Address("board.local", 80), False),
    ],
)
def test_addresses(text, expected, loopback):
    found = parse_address(text)
    assert (found, found.loopback, str(found)) == (expected, loopback, text)


@pytest.mark.parametrize(
    "text",
    ["", "8080", ":8080", "localhost", "localhost:", "localhost:http", "a b:1", "::1:8080", "[::1]", "[zz]:1",
     "http://localhost:80", "user@host:80", "host:80/path", "[1::2::3]:8"],
)  # fmt: skip
def test_what_is_no_address(text):
    with pytest.raises(UsageError, match="--serve needs an address") as caught:
        parse_address(text)
    assert "127.0.0.1:8080" in str(caught.value)


@pytest.mark.parametrize("port", ["65536", "99999", "4294967376", "1" * 5000])
def test_a_port_out_of_range_is_named_as_that(port):
    with pytest.raises(UsageError, match="port of --serve is out of range") as caught:
        parse_address(f"127.0.0.1:{port}")
    assert caught.value.found == port
    assert "0 to 65535" in caught.value.allowed


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("8080", "127.0.0.1:8080"),
        (":8080", "127.0.0.1:8080"),
        ("0.0.0.0", "0.0.0.0:8080"),
        ("localhost", "localhost:8080"),
        ("::1", "[::1]:8080"),
        ("[::1]", "[::1]:8080"),
        ("fe80::1:9000", "[fe80::1]:9000"),
        ("http://localhost:80/", "localhost:80"),
        ("http://board.local", "board.local:8080"),
    ],
)
def test_a_half_address_is_told_what_was_meant(text, meant):
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert caught.value.hint == f"--serve {meant}"
    parse_address(meant)


def test_a_token_is_made_up_wherever_others_can_connect():
    everywhere, here = Address("0.0.0.0", 1), Address("127.0.0.1", 1)
    made = {choose_token(everywhere, None) for _ in range(20)}
    assert len(made) == 20
    assert all(len(token) >= 20 for token in made)
    assert choose_token(here, None) == ""
    assert choose_token(here, "a-token_of-12") == "a-token_of-12"


@pytest.mark.parametrize(
    "token", ["", "short", "x" * 11, "x" * 129, "twelve letters", "zwölf-Zeichen", "a&b=c?d#e%fg"]
)
def test_bad_tokens_are_refused_and_not_repeated(token):
    with pytest.raises(UsageError, match="no good token") as caught:
        choose_token(Address("127.0.0.1", 1), token)
    assert len(token) < 5 or token not in str(caught.value)


def test_tokens_are_compared_in_constant_time(monkeypatch):
    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr(address.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    assert token_fits("a-token_of-12", "a-token_of-12")
    for wrong in ("", "a-token_of-1", "a-token_of-122", "ü", "\ud800"):
        assert not token_fits(wrong, "a-token_of-12")
    assert len(compared) == 6


@pytest.mark.parametrize(
    ("host", "fits"),
    [
        ("127.0.0.1:8080", True),
        ("10.0.0.7", True),
        ("[::1]:8080", True),
        ("localhost:9000", True),
        ("LOCALHOST", True),
        ("board:8080", True),
        ("board.:8080", True),
        ("evil.example", False),
        ("evil.example:8080", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
        ("a@localhost", False),
        ("evil.example#@localhost", False),
    ],
)
def test_hosts(host, fits):
    assert host_fits(host, ["board"]) is fits


@pytest.mark.parametrize(
    ("origin", "site", "fits"),
    [
        (None, None, True),  # curl
        ("http://localhost:8080", None, True),
        ("http://localhost:8080", "same-origin", True),
        ("https://localhost:8080", "same-origin", True),  # behind a proxy that encrypts
        ("http://localhost:9090", None, False),
        ("http://evil.example", None, False),
        ("http://evil.example", "cross-site", False),
        ("null", None, False),
        ("", None, False),
        (None, "cross-site", False),
        (None, "same-site", False),
        ("http://localhost:8080", "cross-site", False),
    ],
)
def test_origins(origin, site, fits):
    assert origin_fits(origin, site, "localhost:8080") is fits


def test_urls_can_be_opened_from_where_the_page_is_meant_for():
    assert page_url(Address("127.0.0.1", 80), "") == "http://127.0.0.1:80/"
    assert page_url(Address("::1", 80), "tok") == "http://[::1]:80/?token=tok"
    everywhere = page_url(Address("0.0.0.0", 8080), "tok")
    assert everywhere.startswith("http://")
    assert everywhere.endswith(":8080/?token=tok")
    assert "0.0.0.0" not in everywhere


def test_this_machines_names_are_its_own():
    assert host_fits(f"{socket.gethostname()}:8080", own_names(Address("0.0.0.0", 8080)))
    assert host_fits("board.example:8080", own_names(Address("board.example", 8080)))


def test_a_port_in_use_is_said():
    with listen(Address("127.0.0.1", 0)) as taken:
        with pytest.raises(ServeError, match="cannot be served at 127.0.0.1") as caught:
            listen(Address("127.0.0.1", taken.getsockname()[1]))
        assert "in use" in str(caught.value)
        assert "ss -ltnp" in caught.value.hint
        assert caught.value.exit_code == 1


def test_addresses_of_others_are_said():
    with pytest.raises(ServeError) as caught:
        listen(Address("192.0.2.1", 8080))
    assert "ip address" in caught.value.hint
    with pytest.raises(ServeError, match="no address of this machine"):
        listen(Address("no-such-name.invalid", 8080))


def test_a_port_of_root_is_said(monkeypatch):
    def refuse(self, where):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse, raising=False)
    with pytest.raises(ServeError) as caught:
        listen(Address("127.0.0.1", 80))
    assert "8080" in caught.value.hint
