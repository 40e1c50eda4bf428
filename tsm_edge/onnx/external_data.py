"""Weights beside an ONNX file: which files hold them, where they may lie, and one hash of all.

ONNX lets a tensor name a file beside the model, a place in it and a length. The hash of a network whose weights lie in
other files covers those files too: the .onnx alone is the same for every training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import ImportFailed
from ..weights.checkpoints import sha256


def digest(path: str | Path) -> str:
    """Return the SHA-256 of an ONNX file and the weights beside it, in hexadecimal.

    Without such weights it is the SHA-256 of the file. With them it is that of a text: the file's hash, then a line
    `name hash` for each of the others, sorted by name.

    Raises:
        ImportFailed: not an ONNX file, a file that is missing, or one outside the folder.
    """
    path = Path(path)
    beside = files(path)
    if not beside:
        return sha256(path)
    text = sha256(path) + "\n" + "".join(f"{name} {sha256(file)}\n" for name, file in beside.items())
    return hashlib.sha256(text.encode()).hexdigest()


def files(path: Path) -> dict[str, Path]:
    """Return the files that hold tensors of an ONNX file, by the name that it gives them, sorted.

    Each must be a regular file in the folder of the ONNX file or below it, after symbolic links; ImportFailed
    otherwise.
    """
    import onnx

    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise ImportFailed(f"'{path}' cannot be read.", found=error.strerror or error) from error
    except Exception as error:  # protobuf's errors have no common base
        raise ImportFailed(
            f"'{path}' is not a valid ONNX file.",
            found=str(error)[:200] or type(error).__name__,
            allowed="a checked ONNX model",
            hint="export the network again",
        ) from error
    ends: dict[str, int] = {}
    for tensor in external(model):
        told = {entry.key: entry.value for entry in tensor.external_data}
        name, end = told.get("location", ""), number(told, "offset") + number(told, "length")
        ends[name] = max(ends.get(name, 0), end)
    return {name: checked(path, name, end) for name, end in sorted(ends.items())}


def number(told: dict[str, str], key: str) -> int:
    """A number of a tensor's location; 0 where it is left out or is none."""
    text = told.get(key, "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def external(model: Any) -> Iterator[Any]:
    """Every tensor that lies in another file, those of branches, attributes and functions included."""
    from onnx import TensorProto

    nodes = [node for function in model.functions for node in function.node]
    for tensor in (*of_graph(model.graph), *(tensor for node in nodes for tensor in of_node(node))):
        if tensor.data_location == TensorProto.EXTERNAL:
            yield tensor


def of_graph(graph: Any) -> Iterator[Any]:
    """All tensors of a graph."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from of_node(node)


def of_node(node: Any) -> Iterator[Any]:
    """All tensors in the attributes of a node."""
    for attribute in node.attribute:
        yield from (attribute.t, *attribute.tensors)
        for graph in (attribute.g, *attribute.graphs):
            yield from of_graph(graph)


def checked(path: Path, name: str, end: int) -> Path:
    """The file behind a location of the ONNX file at `path`, of which `end` bytes are needed."""
    folder = path.parent.resolve()
    inside = bool(name) and "\0" not in name and not Path(name).is_absolute()
    place = (folder / name).resolve() if inside else folder
    if not inside or not place.is_relative_to(folder):
        raise ImportFailed(
            f"'{path}' has weights outside its folder.",
            found=name or "no location",
            allowed=f"files in {folder}",
            hint="keep the weights in the folder of the .onnx file, under the name that it was exported with",
        )
    if not place.is_file():
        raise ImportFailed(
            f"'{path}' has its weights in another file, which is not there.",
            found=f"no file '{folder / name}'",
            hint=f"copy '{name}' beside it as well; the two belong together",
        )
    if place.stat().st_size < end:
        raise ImportFailed(
            f"'{folder / name}', which holds weights of '{path}', is too short.",
            found=f"{place.stat().st_size} bytes",
            allowed=f"{end} bytes and more",
            hint="copy it again, or export the network again",
        )
    return place
