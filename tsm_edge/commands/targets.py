"""``tsm-edge targets``: the devices, and the facts of one of them."""

from __future__ import annotations

from dataclasses import asdict

import click

from .. import models
from .. import target as targets_
from ..errors import UnsupportedHost
from ..report import print_facts, print_json, print_next, print_table
from ..terminal import say


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a table.")
def targets(name: str | None, as_json: bool) -> None:
    """List the targets, or show every fact of the target NAME."""
    if name is not None:
        _show(targets_.load(name), as_json)
        return
    known, unsupported = _load_all()
    if as_json:
        print_json({"targets": [asdict(target) for target in known], "unsupported": unsupported})
        return
    rows = [
        (
            t.name,
            t.family,
            t.arch,
            t.cpu.llvm_cpu,
            f"glibc {t.glibc}" if t.glibc else f"{t.libc}, {t.link}",
            t.summary,
        )
        for t in known
    ]
    print_table(("TARGET", "FAMILY", "ARCH", "PROCESSOR", "C LIBRARY", "DEVICE"), rows)
    for broken, reason in unsupported.items():
        say(f"{broken}: {reason}", err=True)
    print_next("tsm-edge models")


def _show(target: targets_.EdgeTarget, as_json: bool) -> None:
    if as_json:
        print_json({"target": asdict(target)})
        return
    facts: dict[str, object] = asdict(target)
    for name, part in (("gpu", target.gpu), ("cpu", target.cpu), ("emulator", target.emulator)):
        del facts[name]
        facts.update({f"{name}.{key}": value for key, value in asdict(part).items()} if part is not None else {})
    print_facts(
        {key: ", ".join(value) or "-" if isinstance(value, tuple) else value for key, value in facts.items()}
    )
    print_next(f"tsm-edge compile {models.shipped()[0]} --target {target.name}")


def _load_all() -> tuple[list[targets_.EdgeTarget], dict[str, str]]:
    """Return all targets, and why one cannot be had: a machine nobody detects must not hide the others."""
    known, unsupported = [], {}
    for name in targets_.names():
        try:
            known.append(targets_.load(name))
        except UnsupportedHost as error:
            unsupported[name] = f"{error.what} Found {error.found}; supported is {error.allowed}."
    return known, unsupported
