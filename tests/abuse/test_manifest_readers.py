"""The Python reader and the C reader of manifests on mutated documents: the same answer to each, in bounded time.

`TSM_ABUSE_MANIFESTS=200000 pytest tests/abuse/test_manifest_readers.py` reads so many documents in place of the few of
`make test`.
"""

from __future__ import annotations

import copy
import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from manifest_lab import manifests

from tsm_edge.bundle import manifest_file
from tsm_edge.errors import BundleError
from tsm_edge.files import strict_json

HERE = Path(__file__).resolve().parent
SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
COUNT = int(os.environ.get("TSM_ABUSE_MANIFESTS", "3000"))
READER = ("manifest", "refusal", "json", "printable")


@pytest.fixture(scope="module")
def documents(repository) -> list[dict]:
    folder = repository / "tests" / "vectors" / "bundles"
    return [json.loads((folder / name / "manifest.json").read_text("utf-8")) for name in ("ok", "ok-gpu")]


@pytest.fixture(scope="module")
def in_c(build, command):
    """in_c(manifests) -> the rule that each breaks."""
    sources = [source for source in command if source.name.startswith(READER)]
    program = build("read_manifests", [HERE / "read_manifests.c", *sources], *SANITIZED)

    def read(texts: list[bytes]) -> list[str]:
        data = b"".join(struct.pack("<I", len(text)) + text for text in texts)
        done = subprocess.run([program], input=data, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().split("\n")[:-1]

    return read


def in_python(text: bytes) -> str:
    try:
        document = strict_json.loads(text)
    except ValueError:
        return "manifest-unreadable"
    try:
        manifest_file.from_document(document)
    except BundleError as error:
        str(error)
        return error.name
    return "ok"


def test_mutated_manifests(documents, in_c):
    """Files and target alike in both seeds, so that a member of one can stand in the other."""
    seeds = [json.dumps(document, indent=indent) for document in documents for indent in (None, 2)]
    found: dict[str, int] = {}
    for start in range(0, COUNT, 5000):
        texts = list(manifests(seeds, min(5000, COUNT - start), seed=start))
        answers = in_c(texts)
        wrong = [(answer, in_python(text), text) for answer, text in zip(answers, texts, strict=True)]
        wrong = [each for each in wrong if each[0] != each[1]]
        assert not wrong, (len(wrong), wrong[0])
        for answer in answers:
            found[answer] = found.get(answer, 0) + 1
    assert set(found) == {"ok", "manifest-unreadable", "manifest-malformed", "format-newer"}
    assert min(found["ok"], found["manifest-unreadable"], found["manifest-malformed"]) > COUNT // 25, found


def state(index: int) -> dict:
    return {
        "input": {"name": f"s{index}", "shape": [1, 8, 4, 4], "dtype": "float32"},
        "output_name": f"s{index}_out",
    }


def large_manifests(good: dict) -> dict[str, tuple[dict, str]]:
    """Documents just below 1 MiB that made a reader slow or that one reader refused: what, and the right answer."""

    def having(change) -> dict:
        document = copy.deepcopy(good)
        change(document)
        return document

    entry = {"sha256": "0" * 64, "bytes": 0}
    return {
        "300 states": (having(lambda d: d["signature"].update(states=list(map(state, range(300))))), "ok"),
        "9000 states": (having(lambda d: d["signature"].update(states=list(map(state, range(9000))))), "ok"),
        "9000 states, the last name twice": (
            having(lambda d: d["signature"].update(states=list(map(state, [*range(9000), 17])))),
            "manifest-malformed",
        ),
        "40000 keys": (having(lambda d: d["compiler"].update({f"key{n}": "1" for n in range(40000)})), "ok"),
        "40000 unknown keys": (
            having(lambda d: d.update({f"key{n}": 1 for n in range(40000)})),
            "manifest-malformed",
        ),
        "8000 files": (having(lambda d: d["files"].update({f"f{n}": entry for n in range(8000)})), "ok"),
        "100000 labels": (
            having(lambda d: d.update(labels=["a"] * 100000)),
            "manifest-malformed",
        ),
        "140000 labels": (having(lambda d: d.update(labels=["a"] * 140000)), "manifest-unreadable"),
        "a name of 1000000 characters": (having(lambda d: d["model"].update(name="n" * 1000000)), "ok"),
        "keys of 1000 characters": (
            having(lambda d: d["compiler"].update({"k" * 1000 + str(n): "" for n in range(1000)})),
            "ok",
        ),
    }


def test_large_manifests_take_no_long_time(documents, in_c):
    cases = large_manifests(documents[0])
    texts = [json.dumps(document, separators=(",", ":")).encode() for document, _ in cases.values()]
    assert max(map(len, texts)) <= strict_json.MAX_BYTES
    start = time.monotonic()
    answers = in_c(texts)
    in_c_s = time.monotonic() - start
    assert dict(zip(cases, answers, strict=True)) == {name: answer for name, (_, answer) in cases.items()}
    start = time.monotonic()
    assert list(map(in_python, texts)) == answers
    in_python_s = time.monotonic() - start
    # one of these took 3.2 s in C, and one 32 s in Python, when the readers compared every name with every other
    assert in_c_s < 10 and in_python_s < 20, (in_c_s, in_python_s)


@pytest.mark.skipif(sys.platform != "linux", reason="counts calls by sys.setprofile, whose cost differs")
def test_work_grows_as_the_manifest_does(documents):
    """Calls of a Python reader for 500 and for 4000 states: 8 times as many, not 64."""

    def calls(states: int) -> int:
        document = copy.deepcopy(documents[0])
        document["signature"]["states"] = list(map(state, range(states)))
        text, count = json.dumps(document).encode(), 0

        def count_one(frame, event, argument):
            nonlocal count
            count += 1

        sys.setprofile(count_one)
        try:
            assert in_python(text) == "ok"
        finally:
            sys.setprofile(None)
        return count

    assert calls(4000) < 10 * calls(500)
