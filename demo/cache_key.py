"""The key under which the default bundle is cached: a sum over everything it is made from."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import json
from pathlib import Path

import tsm_edge
from tsm_edge import target

_TOOLS = ("apache-tvm", "torch", "ziglang")
_SOURCES = ("tsm_edge", "tsm_edge.compile", "tsm_edge.targets")  # only their files are read


def cache_key(model: str, target_name: str) -> str:
    """Return the sha256, in hex, over the sources, the compiler's versions and the facts of this machine.

    The models' default weights are made by the sources, so the sources' sum stands for them too.
    """
    facts = {
        "version": tsm_edge.__version__,
        "model": model,
        "target": _machine_facts(target_name),
        "tools": {name: _version(name) for name in _TOOLS},
        "sources": _source_hash(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _machine_facts(name: str) -> dict[str, object]:
    """Return what is known of this machine but its clock, of which some tell only the present one."""
    facts = dataclasses.asdict(target.load(name))
    facts["cpu"].pop("clock_ghz")
    return facts


def _source_hash() -> str:
    """Return the sha256 over all files of core, compiler and targets, wherever they are installed."""
    digest = hashlib.sha256()
    for package in _SOURCES:
        spec = importlib.util.find_spec(package)
        for root in sorted(spec.submodule_search_locations or ()) if spec else ():
            for path in sorted(Path(root).rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts and _is_source(Path(root), path):
                    digest.update(f"{package}/{path.relative_to(root)}\0".encode())
                    digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _is_source(root: Path, path: Path) -> bool:
    """In an installed wheel the demo stands below the core, and what it looks like changes no bundle."""
    return path.relative_to(root).parts[0] != "demo"


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
