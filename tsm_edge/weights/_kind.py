"""What a file given as a checkpoint is, told from its content: endings say little (``.pth.tar`` is no tar archive).

Files of ``torch.save`` (zip and legacy) and safetensors are read. Everything else that is met under the name of a
checkpoint is refused by its own name with the command that makes a checkpoint of it.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple

from ..errors import CheckpointError

TORCH, LEGACY, SAFETENSORS = "torch", "torch, legacy", "safetensors"
READ = "a file of torch.save or safetensors"
_HEAD = 512  # bytes that are looked at
_SAFETENSORS_HEADER = 100_000_000  # the format's own limit


class Foreign(NamedTuple):
    """A kind of file that is not read: its name, and how to get weights out of it."""

    name: str
    cure: str | None


_WEB_PAGE = Foreign("a web page", "the download failed: get the file again, and look at its size")
_TORCHSCRIPT = Foreign(
    "a TorchScript archive of torch.jit.save",
    "save its weights: torch.save(torch.jit.load(FILE, map_location='cpu').state_dict(), 'weights.pth')",
)
_EXPORTED = Foreign(
    "a program of torch.export.save (.pt2)",
    "save its weights: torch.save(torch.export.load(FILE).state_dict, 'weights.pth')",
)
_NUMPY = Foreign(
    "a NumPy archive (.npz)",
    "save them as tensors: torch.save({k: torch.from_numpy(v) for k, v in numpy.load(FILE).items()}, 'weights.pth')",
)
_ONNX = Foreign("an ONNX file", "compile it by its path, without --weights: tsm-edge compile FILE.onnx --target …")
_PICKLE = Foreign("a pickle that torch.save did not write", "save the tensors with torch.save where they were made")

#: first bytes -> what begins with them
_MAGIC = (
    (b"\x1f\x8b", Foreign("a gzip file", "unpack it: gunzip -k FILE")),
    (b"BZh", Foreign("a bzip2 file", "unpack it: bunzip2 -k FILE")),
    (b"\xfd7zXZ\x00", Foreign("an xz file", "unpack it: xz -dk FILE")),
    (b"\x28\xb5\x2f\xfd", Foreign("a Zstandard file", "unpack it: zstd -dk FILE")),
    (b"7z\xbc\xaf\x27\x1c", Foreign("a 7-Zip archive", "unpack it and give the file inside")),
    (b"Rar!", Foreign("a RAR archive", "unpack it and give the file inside")),
    (b"\x89HDF\r\n\x1a\n", Foreign("an HDF5 file, as Keras writes", "there is no reader for Keras networks here")),
    (b"\x93NUMPY", Foreign("a single NumPy array", "a checkpoint holds every tensor of the network")),
    (b"GGUF", Foreign("a GGUF file of a language model", None)),
    (
        b"version https://git-lfs",
        Foreign("a Git LFS pointer in place of the file", "fetch the file itself: git lfs pull"),
    ),
    (b"\x7fELF", Foreign("a compiled program or library", None)),
)


def kind_of(path: Path) -> str:
    """Return TORCH, LEGACY or SAFETENSORS.

    Raises:
        CheckpointError: the file is of another kind, which is named, or there is no file.
        OSError: it cannot be read.
    """
    if path.is_dir():
        raise _folder(path)
    if not path.is_file():
        raise CheckpointError(f"'{path}' cannot be read.", found="no such file", allowed="a file")
    with path.open("rb") as file:
        start = file.read(_HEAD)
    if start.startswith(b"PK\x03\x04"):
        return _zip_kind(path)
    if _is_safetensors(start, path.stat().st_size):
        return SAFETENSORS
    found = _foreign(start)
    if found is not None:
        raise refusal(path, found)
    return LEGACY


def refusal(path: Path, found: Foreign) -> CheckpointError:
    """The error for a file that is something else."""
    return CheckpointError(f"'{path}' is no checkpoint.", found=found.name, allowed=READ, hint=found.cure)


def _is_safetensors(start: bytes, size: int) -> bool:
    """8 bytes with the length of a JSON object, and the object."""
    length = int.from_bytes(start[:8], "little")
    return start[8:9] == b"{" and 2 <= length <= min(size - 8, _SAFETENSORS_HEADER)


def _foreign(start: bytes) -> Foreign | None:
    for magic, found in _MAGIC:
        if start.startswith(magic):
            return found
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<?xml")):
        return _WEB_PAGE
    if start[257:262] == b"ustar":
        return Foreign("a tar archive", "unpack it and give the file inside: tar -xf FILE")
    if start[4:8] == b"TFL3":
        return Foreign("a TensorFlow Lite model", "there is no reader for TensorFlow networks here")
    # protobuf: ir_version (field 1, a small number), then producer_name, opset_import or graph
    if len(start) > 3 and start[0] == 0x08 and start[1] < 0x20 and start[2] in (0x12, 0x1A, 0x3A, 0x42):
        return _ONNX
    if start[:1] in (b"{", b"[") and text[:1] in (b"{", b"["):
        return Foreign("a JSON text", None)
    # torch's legacy files begin with its own number as a pickled integer
    if start[:1] == b"\x80" and b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19" not in start[:16]:
        return _PICKLE
    return None


def _zip_kind(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return TORCH  # cut off: torch says so
    inner = [name.partition("/")[2] or name for name in names]
    if any(name == "constants.pkl" or name.startswith("code/") for name in inner):
        raise refusal(path, _TORCHSCRIPT)
    if "data.pkl" in inner:
        return TORCH
    if any(name.endswith(("model.json", "exported_program.json")) or name == "archive_format" for name in inner):
        raise refusal(path, _EXPORTED)
    if names and all(name.endswith(".npy") for name in names):
        raise refusal(path, _NUMPY)
    if any(name.endswith(".weights.h5") for name in names):
        raise refusal(path, Foreign("a Keras model", "there is no reader for Keras networks here"))
    shown = ", ".join(names[:4]) + (" …" if len(names) > 4 else "")
    found = Foreign(f"a zip archive that holds {shown or 'nothing'}", "unpack it and give the checkpoint inside")
    raise refusal(path, found)


def _folder(path: Path) -> CheckpointError:
    """A folder in place of a file: the forms that are folders, else the weights that lie in it."""
    if (path / ".metadata").is_file():
        return refusal(
            path,
            Foreign(
                "a folder of torch.distributed.checkpoint",
                "python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER weights.pth",
            ),
        )
    if (path / "zero_to_fp32.py").is_file():
        return refusal(path, Foreign("a folder of DeepSpeed", "python zero_to_fp32.py . weights.pth"))
    endings = (".pth", ".pt", ".ckpt", ".safetensors", ".tar", ".bin")
    inside = sorted(each.name for each in path.iterdir() if each.suffix in endings)
    hint = f"name the file: {path / inside[0]}" if inside else None
    found = f"a folder with {', '.join(inside[:4])}" if inside else "a folder"
    return CheckpointError(f"'{path}' cannot be read.", found=found, allowed="a file", hint=hint)
