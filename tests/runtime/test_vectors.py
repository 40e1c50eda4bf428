"""The C reader of bundles and the Python reader refuse the same things by the same names."""

from __future__ import annotations

import copy
import json
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tsm_edge import bundle
from tsm_edge.errors import BundleError
from tsm_edge.target import CPU_FEATURES

HERE = Path(__file__).resolve().parent
NAMES = (
    "ok",
    "ok-gpu",
    "not-a-bundle",
    "manifest-unreadable",
    "format-newer",
    "manifest-malformed",
    "file-missing",
    "file-unlisted",
    "file-size",
    "file-hash",
    "wrong-arch",
    "wrong-libc",
    "wrong-cpu",
)
#: what stands in the place of a good value
OTHERS = (None, True, 0, 1, -1, 3, 65, 1.5, 2**53, 10**400, "", "x", "2.17", "a" * 64, [], [1], {}, {"a": 1})
READER = ("bundle", "machine", "manifest", "refusal", "json", "printable", "sha256")
SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture(scope="module")
def vectors(repository) -> Path:
    return repository / "tests" / "vectors" / "bundles"


def reader_of(program: Path) -> Callable[..., list[str]]:
    def read(*folders: Path) -> list[str]:
        done = subprocess.run([program, *folders], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return read


@pytest.fixture(scope="module")
def read(build, command, runtime):
    """read(*folders) -> the rule that each breaks, as the C reader sees it."""
    sources = [source for source in command if source.name.startswith(READER)]
    return reader_of(
        build("check_bundle", [HERE / "check_bundle.c", *sources, runtime / "cpu.c"], *SANITIZED)
    )


@pytest.fixture(scope="module")
def read_on_a_bare_cpu(build, command):
    sources = [source for source in command if source.name.startswith(READER)]
    return reader_of(
        build("check_bundle", [HERE / "check_bundle.c", HERE / "bare_cpu.c", *sources], *SANITIZED)
    )


def in_python(folder: Path) -> str:
    try:
        bundle.verify(folder)
    except BundleError as error:
        return error.name
    return "ok"


def test_every_rule_has_its_bundle(vectors):
    assert sorted(folder.name for folder in vectors.iterdir()) == sorted(NAMES)
    listed = re.findall(r"^\d+\. +``([a-z-]+)``", bundle.__doc__ or "", re.MULTILINE)
    assert sorted(listed) == sorted(set(NAMES) - {"ok", "ok-gpu"})


def test_the_c_reader_names_them(vectors, read_on_a_bare_cpu):
    elsewhere = {"ok": "wrong-arch", "wrong-libc": "wrong-arch", "wrong-cpu": "wrong-arch"}
    rules = ["ok" if name == "ok-gpu" else name for name in NAMES]
    expected = [name if platform.machine() == "x86_64" else elsewhere.get(name, name) for name in rules]
    assert read_on_a_bare_cpu(*(vectors / name for name in NAMES)) == expected


def test_the_python_reader_names_them(vectors):
    for name in NAMES:
        assert in_python(vectors / name) == ("ok" if name.startswith(("wrong-", "ok-")) else name)


def leaves(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The paths of all values in a document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from leaves(item, (*path, key))


def changed(document: Any, path: tuple, change: Callable[[Any, Any], None]) -> Any:
    document = copy.deepcopy(document)
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    change(parent, path[-1])
    return document


def mutations(good: dict) -> Iterator[tuple[str, Any]]:
    """The good manifest with one thing changed: every value replaced by each of OTHERS, removed, or added to."""

    def put(new):
        return lambda parent, key: parent.__setitem__(key, copy.deepcopy(new))

    def remove(parent, key):
        del parent[key]

    for path in list(leaves(good))[1:]:
        yield f"{path} removed", changed(good, path, remove)
        for new in OTHERS:
            yield f"{path} = {str(new)[:20]!r}", changed(good, path, put(new))
    for path in leaves(good):
        target = good
        for key in path:
            target = target[key]
        if isinstance(target, dict):
            yield f"{path} with one more", changed(good, (*path, "more"), put("x"))


def special(good: dict) -> Iterator[tuple[str, bytes]]:
    """Manifests that are no mere change of a value."""
    text = json.dumps(good, indent=2, sort_keys=True)
    yield "a key twice", text.replace('"backend"', '"threads": 2,\n  "backend"', 1).encode()
    yield "a key twice, deep", text.replace('"macs"', '"steps": 3, "macs"', 1).encode()
    yield "byte order mark", b"\xef\xbb\xbf" + text.encode()
    yield "latin-1", text.replace("seed 0", "caf\u00e9").encode("latin-1")
    yield "NaN", text.replace("12.0", "NaN", 1).encode()
    yield "infinite", text.replace("12.0", "1e999", 1).encode()
    yield "float for an integer", text.replace('"threads": 2', '"threads": 2.0', 1).encode()
    yield "trailing comma", text.replace('"threads": 2', '"threads": 2,', 1)[:-1].encode() + b",}"
    yield "two documents", (text + text).encode()
    yield "empty", b""
    yield "an array", b"[]"
    yield "a number", b"1"
    yield "64 deep", b"[" * 64 + b"]" * 64
    yield "65 deep", b"[" * 65 + b"]" * 65
    yield "half a surrogate pair", text.replace("seed 0", "\\ud800", 1).encode()
    yield "a surrogate pair", text.replace("seed 0", "\\ud83d\\ude00", 1).encode()
    yield "a zero byte in a key", text.replace('"threads"', '"threads\\u0000"', 1).encode()
    yield "a zero byte in a word", text.replace('"shared"', '"shared\\u0000"', 1).encode()
    yield "a control character", text.replace("seed 0", "seed\t0", 1).encode()
    yield "only newer", b'{"format": 4}'
    yield "newer and twice", b'{"format": 4, "a": 1, "a": 1}'
    yield "format is true", text.replace('"format": 3', '"format": true', 1).encode()
    yield "too large", text.encode() + b" " * (1 << 20)
    yield "as large as allowed", text.encode().ljust(1 << 20)
    for name in (".hidden", "a/b", "..", "manifest.json", "", "a b", "caf\u00e9", "-dash", "a..b"):
        entry = {"sha256": "0" * 64, "bytes": 0}
        yield f"file {name!r}", json.dumps({**good, "files": {**good["files"], name: entry}}).encode()
    for key, least in (("delay_frames", 0), ("clip_frames", 1), ("window_stride", 1)):
        for value in (least, 10, 1000, 1001, least - 1, 2**53, 1.0, 10.5, True, "10", None):
            model = {**good["model"], "parameters": {**good["model"]["parameters"], key: value}}
            yield f"{key} {value!r}", json.dumps({**good, "model": model}).encode()
    for arch, features in CPU_FEATURES.items():
        for feature in (*features, "no-such-feature", "neon asimd"):
            for of in CPU_FEATURES:
                target = {**good["target"], "arch": of, "requires": [feature]}
                yield f"{feature} of {arch} on {of}", json.dumps({**good, "target": target}).encode()


def test_both_readers_agree_on_every_mutation(vectors, read, tmp_path):
    good = json.loads((vectors / "ok" / "manifest.json").read_text(encoding="utf-8"))
    gpu = json.loads((vectors / "ok-gpu" / "manifest.json").read_text(encoding="utf-8"))
    cases = [(name, json.dumps(value).encode()) for name, value in mutations(good)] + list(special(good))
    cases += [(name, json.dumps(value).encode()) for name, value in mutations(gpu) if "('device'" in name]
    for family in ("cpu", "cuda", "opencl"):  # the relation between the family and the device
        for source in (good, gpu):
            document = {**source, "target": {**source["target"], "family": family}}
            cases.append((f"family {family}", json.dumps(document).encode()))
    assert len(cases) > 1200
    folders = []
    for index, (_, manifest) in enumerate(cases):
        folders.append(tmp_path / str(index))
        shutil.copytree(vectors / "ok", folders[-1])
        (folders[-1] / "manifest.json").write_bytes(manifest)
    found = [name for at in range(0, len(folders), 500) for name in read(*folders[at : at + 500])]
    wrong = []
    for (name, _), folder, in_c in zip(cases, folders, found, strict=True):
        expected = in_python(folder)
        expected = in_c if expected == "ok" and in_c.startswith("wrong-") else expected  # Python: check_host
        if in_c != expected:
            wrong.append((name, in_c, expected))
    assert not wrong
    assert {"ok", "manifest-malformed", "manifest-unreadable", "format-newer", "file-missing"} <= set(found)


def test_files_that_are_none(vectors, read, tmp_path):
    """A folder, a link to nothing and a link to a good copy in the place of a file; a manifest that is a folder."""
    names = ("folder", "nothing", "link", "manifest")
    places = [shutil.copytree(vectors / "ok", tmp_path / name) for name in names]
    for place in places[:3]:
        (place / "plan.txt").unlink()
    (places[0] / "plan.txt").mkdir()
    (places[1] / "plan.txt").symlink_to("nowhere")
    (places[2] / "plan.txt").symlink_to(vectors / "ok" / "plan.txt")
    (places[3] / "manifest.json").unlink()
    (places[3] / "manifest.json").mkdir()
    assert [in_python(place) for place in places] == ["file-missing", "file-missing", "ok", "not-a-bundle"]
    in_c = read(*places)
    assert in_c[:2] == ["file-missing"] * 2 and in_c[3] == "not-a-bundle" and in_c[2] in ("ok", "wrong-arch")


def test_rules_go_before_files_and_files_before_each_other(vectors, read, tmp_path):
    """A bundle that breaks several rules is refused by the first of the list."""
    place = shutil.copytree(vectors / "ok", tmp_path / "b")
    (place / "tsm_edge.h").write_bytes(b"x" * 16)  # file-hash
    found = [(read(place)[0], in_python(place))]
    (place / "plan.txt").write_bytes(b"longer than it was before")  # file-size
    found.append((read(place)[0], in_python(place)))
    (place / "a-note").write_bytes(b"")  # file-unlisted
    found.append((read(place)[0], in_python(place)))
    (place / "libtsm.so").unlink()  # file-missing
    found.append((read(place)[0], in_python(place)))
    assert found == [(name, name) for name in ("file-hash", "file-size", "file-unlisted", "file-missing")]
