"""Mutations of a bundle's manifest as text: JSON that is wrong in one place or in several, by a fixed seed."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

#: a JSON text as strings, numbers and words, signs, and blanks
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[-+0-9.eE]+|[a-zA-Z]+|[\[\]{}:,]|\s+|.', re.DOTALL)


def _words(text: str) -> list[str]:
    return text.split()


NUMBERS = (
    *_words("0 -0 1 -1 2 3 4 64 65 1.0 2.0 1e0 3E+0 30e-1 0.3e1 0.0 -0.0 1.5 0.5 1e-5 1e-999 1e308 1e309 -1e309"),
    *_words("9007199254740991 9007199254740992 9007199254740993 -9007199254740993 9007199254740991.0"),
    *_words("18446744073709551616 00 01 -01 1. .5 -.5 +1 - 1e 1e+ 0x10 1_000 1,0 ١ NaN Infinity -Infinity nan"),
    "9" * 64, "9" * 65, "0." + "0" * 62, "0." + "0" * 63, "1e" + "0" * 61 + "1", "7" * 5000, "-" + "1" * 63,
)  # fmt: skip
WORDS = ("true", "false", "null", "True", "None", "nul", "{}", "[]", "[[]]", '{"a": 1}', "[1]", '[""]')
STRINGS = (
    *_words('"" "x" " " "cpu" "cuda" "opencl" "x86_64" "aarch64" "armv7l" "linux" "glibc" "musl" "bionic" "static"'),
    *_words('"2.17" "2" "2.17.1" "9999.9999" "10000.1" "rgb" "bgr" "grey" "cover" "stretch" "logits" "float16"'),
    *_words(r'"\u0000" "a\u0000" "\ud800" "\udc00" "\ud83d\ude00" "\ud800\u0041" "\u0061" "\/" "\x41" "\u12" "\n"'),
    '"a b"', '"a\tb"', '"\x7f"', '"\x85"', '"\u2028"', '"\U0001f600"', '"\u202e"', '"', '"a', "'a'", '"\\"',
    f'"{"a" * 64}"', f'"{"0123456789abcdef" * 4}"', f'"{"f" * 63}"', f'"{"F" * 64}"', '"sse4.2"', '"neon"', '"fp16"',
)  # fmt: skip
BYTES = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\0", b"\xef\xbb\xbf", b"\x1b")


def manifests(seeds: list[str], count: int, seed: int) -> Iterator[bytes]:
    """Yield ``count`` documents, each made from one of ``seeds`` by one to four changes."""
    rng = random.Random(seed)
    tokens = [_TOKEN.findall(text) for text in seeds]
    for _ in range(count):
        parts = list(rng.choice(tokens))
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            rng.choice(_CHANGES)(parts, rng)
        data = "".join(parts).encode("utf-8", "surrogatepass")
        if rng.random() < 0.1:
            at = rng.randrange(len(data) + 1)
            data = data[:at] + rng.choice(BYTES) + data[at:]
        yield data[: 1 << 20]  # what is larger is refused before it is read


def _place(parts: list[str], rng: random.Random, wanted: str = "") -> int:
    """A random token, of a kind when ``wanted`` holds the first characters of that kind."""
    places = [i for i, part in enumerate(parts) if not wanted or part[0] in wanted]
    return rng.choice(places) if places else 0


def _replace_value(parts: list[str], rng: random.Random) -> None:
    at = _place(parts, rng, '"-0123456789tfn')
    parts[at] = rng.choice(rng.choice((NUMBERS, WORDS, STRINGS)))


def _replace_alike(parts: list[str], rng: random.Random) -> None:
    """A number by a number, a text by a text: most such documents are whole."""
    numbers = rng.random() < 0.5
    at = _place(parts, rng, "-0123456789" if numbers else '"')
    parts[at] = rng.choice(NUMBERS if numbers else STRINGS)


def _replace_by_another(parts: list[str], rng: random.Random) -> None:
    kind = rng.choice(('"', "-0123456789", "{}[],:"))
    parts[_place(parts, rng, kind)] = parts[_place(parts, rng, kind)]


def _remove(parts: list[str], rng: random.Random) -> None:
    if len(parts) > 1:
        del parts[_place(parts, rng)]


def _swap(parts: list[str], rng: random.Random) -> None:
    a, b = _place(parts, rng), _place(parts, rng)
    parts[a], parts[b] = parts[b], parts[a]


def _cut_off(parts: list[str], rng: random.Random) -> None:
    del parts[max(1, rng.randrange(len(parts))) :]


def _value_at(parts: list[str], at: int) -> int:
    """The end of the value, or of the pair of brackets, that begins at a token."""
    depth = 0
    for end in range(at, len(parts)):
        depth += (parts[end] in "{[") - (parts[end] in "}]")
        if depth <= 0 and not parts[end].isspace():
            return end + 1
    return len(parts)


def _members(parts: list[str]) -> list[tuple[int, int]]:
    """Begin and end of every member of an object: key, colon and value."""
    found = []
    for at, part in enumerate(parts):
        colon = next((i for i in range(at + 1, min(at + 3, len(parts))) if not parts[i].isspace()), at)
        if part.startswith('"') and parts[colon] == ":" and colon + 1 < len(parts):
            begin = colon + 1 + parts[colon + 1].isspace()
            found.append((at, _value_at(parts, min(begin, len(parts) - 1))))
    return found


def _repeat_member(parts: list[str], rng: random.Random) -> None:
    """The same key twice in an object, or a member of one object in another."""
    members = _members(parts)
    if members:
        (begin, end), (place, _) = rng.choice(members), rng.choice(members)
        parts[place:place] = [*parts[begin:end], ","]


def _nest(parts: list[str], rng: random.Random) -> None:
    members = _members(parts)
    if members:
        begin, end = rng.choice(members)
        depth = rng.choice((1, 2, 60, 61, 62, 63, 64, 200))
        parts[end - 1 : end] = ["[" * depth, parts[end - 1], "]" * depth]


def _repeat_value(parts: list[str], rng: random.Random) -> None:
    """A list with one of its members many times."""
    places = [i for i, part in enumerate(parts) if part == "["]
    if places:
        at = rng.choice(places) + 1
        end = _value_at(parts, at)
        if parts[at:end] and parts[at] not in "]}":
            parts[at:at] = [*parts[at:end], ","] * rng.choice((1, 2, 300))


_CHANGES = (
    _replace_value, _replace_value, _replace_alike, _replace_alike, _replace_alike, _replace_by_another, _remove, _swap,
    _cut_off, _repeat_member, _nest, _repeat_value,
)  # fmt: skip
