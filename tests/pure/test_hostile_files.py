"""Files that others wrote: JSON that ends a recursion, values of wrong types, and sizes without a limit."""

from __future__ import annotations

import ast
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tsm_edge import files, models, target
from tsm_edge.bundle.manifest import WeightsInfo
from tsm_edge.errors import CheckpointError, DataError, EdgeError, ImportFailed, ModelError, UnsupportedTarget
from tsm_edge.files import strict_json
from tsm_edge.onnx.meta import OnnxMeta
from tsm_edge.train.store import INDEX, open_store
from tsm_edge.weights.meta import KEY, WeightsMeta, read_meta

DEEP = "[" * 100_000 + "]" * 100_000
BAD_JSON = {
    "deep": DEEP,
    "deep, and cut off": "[" * 100_000,
    "deep objects": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "a long number": "1" * 5000,
    "a number beyond every float": "1e999",
    "a key twice": '{"a": 1, "a": 1}',
    "NaN": "NaN",
    "half a surrogate pair": '"\\ud800"',
    "cut off": '{"a": ',
    "empty": "",
}
WRONG_TYPE = {"a list": "[]", "a number": "1", "a text": '"x"', "null": "null", "an object": '{"schema": 1}'}


def test_one_reader_of_json(repository):
    """`autotune.facts_of` makes its own document and reads it back; no file is in it."""
    found = set()
    for root in ("tsm_edge", "compile", "demo"):
        for path in (repository / root).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in ("json.loads", "json.load"):
                    found.add(str(path.relative_to(repository)))
    assert found == {"tsm_edge/files/strict_json.py", "compile/tune/autotune.py"}


@pytest.mark.parametrize("text", BAD_JSON.values(), ids=BAD_JSON)
def test_a_bad_document_is_a_value_error_in_one_line(text):
    with pytest.raises(ValueError) as caught:
        strict_json.loads(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "value"),
    [("[" * 64 + "]" * 64, None), ('{"a": [1, -0, 2.5e1, "\\ud83d\\ude00", null]}', {"a": [1, 0, 25.0, "😀", None]})],
)
def test_a_good_document(text, value):
    assert strict_json.loads(text.encode()) == (value or json.loads(text))


def test_limits_are_the_callers(tmp_path):
    document = json.dumps(list(range(1000)))
    assert len(strict_json.loads(document, max_values=1001)) == 1000
    with pytest.raises(ValueError, match="more than 1000 values"):
        strict_json.loads(document, max_values=1000)
    (tmp_path / "a.json").write_text(document)
    assert strict_json.read(tmp_path / "a.json", len(document)) == strict_json.loads(document)
    with pytest.raises(ValueError, match="larger than"):
        strict_json.read(tmp_path / "a.json", len(document) - 1)


def safetensors(metadata: str) -> bytes:
    header = '{"__metadata__": ' + metadata + "}"
    return struct.pack("<Q", len(header.encode())) + header.encode()


@pytest.mark.parametrize("text", [*BAD_JSON.values(), *WRONG_TYPE.values()], ids=[*BAD_JSON, *WRONG_TYPE])
def test_metadata_of_weights(tmp_path, text):
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors(text))
    assert read_meta(path) is None  # a file of somebody else
    path.write_bytes(safetensors(json.dumps({KEY: text})))
    with pytest.raises(CheckpointError, match="cannot be understood"):
        read_meta(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("labels", [1, 2]), ("labels", None), ("rate_fps", "12"), ("rate_fps", 0), ("rate_fps", True), ("model", 3),
     ("parameters", []), ("note", None), ("schema", 2), ("more", 1)],
)  # fmt: skip
def test_metadata_of_weights_with_a_wrong_value(key, value):
    good = WeightsMeta("tsm-resnet18", {"size": 64}, ("a", "b"), 12.0, "made up").to_text()[KEY]
    assert WeightsMeta.from_text("w", {KEY: good}) is not None
    with pytest.raises(CheckpointError):
        WeightsMeta.from_text("w", {KEY: json.dumps({**json.loads(good), key: value})})


@pytest.mark.parametrize("length", [0, 1, 2**24 + 1, 2**63, 2**64 - 1])
def test_a_header_of_another_length_than_the_file(tmp_path, length):
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b'{"__metadata__": {}}')
    assert read_meta(path) is None


@pytest.mark.parametrize("key", ["parameters", "labels", "preprocess", "states", "weights"])
@pytest.mark.parametrize("text", [*BAD_JSON.values(), '"x"', "null", "1"], ids=[*BAD_JSON, "text", "null", "1"])
def test_metadata_of_onnx(key, text):
    model = models.load("tsm-resnet18", classes=2)
    props = OnnxMeta.of(model, WeightsInfo("seeded", "seed 0", "")).to_props()
    assert OnnxMeta.from_props(props) is not None
    with pytest.raises(ImportFailed, match="is damaged"):
        OnnxMeta.from_props({**props, f"tsm_edge.{key}": text})


@pytest.mark.parametrize("text", [*BAD_JSON.values(), *WRONG_TYPE.values()], ids=[*BAD_JSON, *WRONG_TYPE])
def test_an_index_of_clips(tmp_path, text):
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(DataError, match="is damaged"):
        open_store(tmp_path)


@pytest.mark.parametrize(
    "clip",
    [["a", 0, -1, 2], ["a", 0, 0, -1], ["a", 2, 0, 1], ["a", -1, 0, 1], ["a", 0, 0, True], ["a", 0, 0.0, 1],
     [1, 0, 0, 1], ["a", 0, 0], ["a", 0, 2**60, 2**60], "a", 3, None],
)  # fmt: skip
def test_a_clip_that_cannot_be_in_the_store(tmp_path, clip):
    import numpy as np

    np.save(tmp_path / "frames.npy", np.zeros((4, 8, 8, 3), np.uint8))
    facts = {"schema": 1, "labels": ["a", "b"], "rate_fps": 12.0, "origin": ""}
    (tmp_path / INDEX).write_text(json.dumps({**facts, "clips": [["a", 1, 0, 4]]}))
    assert len(open_store(tmp_path)) == 1
    (tmp_path / INDEX).write_text(json.dumps({**facts, "clips": [clip]}))
    with pytest.raises(DataError, match="is damaged"):
        open_store(tmp_path)


@pytest.mark.parametrize("shape", ["(1000000000000, 224, 224, 3)", "(-1, 8, 8, 3)", "(4, 8, 8)", "[4, 8, 8, 3]"])
def test_frames_that_the_file_does_not_hold(tmp_path, shape):
    facts = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    head = b"\x93NUMPY\x01\x00" + len(facts).to_bytes(2, "little") + facts.encode()
    (tmp_path / "frames.npy").write_bytes(head + bytes(1000))
    index = {"schema": 1, "labels": ["a"], "rate_fps": 12.0, "origin": "", "clips": [["a", 0, 0, 4]]}
    (tmp_path / INDEX).write_text(json.dumps(index))
    with pytest.raises(DataError, match="is damaged"):
        open_store(tmp_path)


@pytest.mark.parametrize(
    "text", ["a = " + DEEP, "a = " + "1" * 5000, "a = 1\na = 2", "a = ", "#" * 70_000, "\x00", "a = nan", ""]
)
def test_a_target_file(text):
    with pytest.raises(UnsupportedTarget):
        target.parse("mine", text)


def test_labels_of_a_file_without_end():
    with pytest.raises(ModelError, match="cannot be read"):
        models.read_labels("/dev/zero")


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes((width * 3 + 1) * min(height, 16)))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_picture_that_declares_more_pixels_than_allowed(tmp_path):
    """In a process of its own: OpenCV reads the limit when it is imported."""
    (tmp_path / "large.png").write_bytes(png(30_000, 30_000))
    (tmp_path / "small.png").write_bytes(png(30, 16))
    code = (
        "import resource, sys; from tsm_edge import files; files.limit_pictures()\n"
        "assert files.read_picture(sys.argv[1]).shape == (16, 30, 3)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert files.read_picture(sys.argv[2]) is None and files.read_picture('/nowhere.png') is None\n"
        "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "OPENCV_IO_MAX_IMAGE_PIXELS"}
    arguments = [sys.executable, "-c", code, str(tmp_path / "small.png"), str(tmp_path / "large.png")]
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert files.MAX_PIXELS < 30_000 * 30_000


def test_the_error_says_it_in_words(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors(json.dumps({KEY: DEEP})))
    with pytest.raises(EdgeError) as caught:
        read_meta(Path(path))
    assert "nested more than 64 deep" in str(caught.value) and caught.value.exit_code == 1
