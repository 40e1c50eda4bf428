"""Foreign text in the output of tsm-edge-run: escaped as Python escapes it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from command_lab import refused, run

from tsm_edge.terminal import printable, printable_lines

HERE = Path(__file__).resolve().parent
VECTORS = json.loads((HERE.parent / "vectors" / "printable.json").read_text(encoding="utf-8"))
NASTY = "\x1b]0;owned\x07\x9b2J\u202egpj\n  hint: run it as root"
SHOWN = "\\x1b]0;owned\\x07\\x9b2J\\u202egpj\\n  hint: run it as root"


@pytest.fixture(scope="module")
def print_text(build, runtime):
    flags = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    program = build("print_text", [HERE / "print_text.c", runtime / "command" / "printable.c"], *flags)

    def show(text: str) -> list[str]:
        done = subprocess.run([program, os.fsencode(text)], capture_output=True, check=True)
        return [part.decode() for part in done.stdout.split(b"\0")[:-1]]

    return show


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["case"])
def test_the_vectors(print_text, vector):
    on_one_line, lines, document, *_ = print_text(vector["text"])
    assert on_one_line == vector["shown"]
    assert lines == printable_lines(vector["text"])
    assert json.loads(document) == vector["text"]
    assert printable(document) == document


def test_bytes_that_are_no_utf8(print_text):
    text = b"a\xff\x9b\xc3\xe2\x82".decode("utf-8", "surrogateescape")
    on_one_line, _, document, *_ = print_text(text)
    assert on_one_line == printable(text) == "a\\xff\\x9b\\xc3\\xe2\\x82"
    assert json.loads(document) == "a" + "\ufffd" * 5


@pytest.mark.parametrize("text", ["x" * 30, "é\x1b" * 10, "\x1b" * 10, "👩" * 10, "abc", "\U000e0041"])
def test_cut_text_ends_in_a_whole_character(print_text, text):
    whole, _, _, *cuts = print_text(text)
    for room, cut in enumerate(cuts, 1):
        assert len(cut.encode()) < room
        if cut != whole:
            assert not cut or cut.endswith("...") and whole.startswith(cut[:-3])
            assert room >= 4 or cut == ""


def test_refusals(make, good):
    folder = make()
    assert "'" + SHOWN + "'" in refused(folder, 2, "unknown argument", arguments=(NASTY,))
    assert SHOWN in refused(folder, 2, "--threads", arguments=("--info", "--threads", NASTY))
    for name in (NASTY, os.fsdecode(b"\xff\x9b")):
        (folder / name).touch()
        assert f"'{printable(name)}' does not belong" in refused(folder, 3, "[file-unlisted]")
        (folder / name).unlink()
    states = [{**state, "output_name": NASTY} for state in good["signature"]["states"]]
    for changes in (
        {"compiler": {NASTY: 1}},
        {"signature": {**good["signature"], "states": states}},
    ):
        text = refused(make(**changes), 3, "[manifest-malformed]")
        assert f"'{SHOWN}'" in text and "\n  hint: run it as root" not in text


def test_a_folder_with_such_a_name(program, tmp_path):
    folder = tmp_path / "a\x1b[2J\nb"
    folder.mkdir()
    shutil.copy(program, folder / "tsm-edge-run")
    assert "a\\x1b[2J\\nb' is not a bundle" in refused(folder, 3, "[not-a-bundle]")


def test_info_and_machine_refusals(make, good):
    weights = {**good["model"]["weights"], "source": "file", "note": NASTY}
    done = run(make(backend=NASTY, model={**good["model"], "name": NASTY, "weights": weights}), "--info")
    assert done.returncode == 0, done.stderr
    assert f", {SHOWN})" in done.stdout.decode() and b"\x1b" not in done.stdout
    target = {**good["target"], "name": NASTY, "glibc": "9999.0"}
    assert f"'{SHOWN}'" in refused(make(target=target), 5, "[wrong-libc]")
