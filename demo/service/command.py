"""``tsm-edge service``: print, install, look at and remove a service of systemd that runs the demo."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Callable
from dataclasses import fields

import click
from click.core import ParameterSource

from tsm_edge.errors import UsageError
from tsm_edge.options import NamedPath
from tsm_edge.records import record_of
from tsm_edge.report import print_facts, print_json, print_next, shell
from tsm_edge.terminal import say, say_lines

from ..command import demo
from . import manager
from .plan import Plan, Settings

#: options of the demo that a service has no use for: it has no stdout, no end, and no secrets in its command
_LEFT_OUT = frozenset({"json", "record", "max_frames", "headless", "token"})
_OWN = tuple(field.name for field in fields(Settings))
_BOTH = tuple(parameter for parameter in demo.params if parameter.name not in _LEFT_OUT)


@click.group(short_help="Run the demo at boot, as a service of systemd.")
def service() -> None:
    """Run the demo at boot as a service of systemd, and start it again when anything stands still.

    It is told that the demo lives only when frames arrive and steps end. docs/service.md has the whole way.
    """


def _where(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which unit is meant."""
    for option in (
        click.option("--name", default="tsm-edge", metavar="NAME", show_default=True, help="Name of the unit."),
        click.option(
            "--system/--user",
            "system",
            default=None,
            help="A unit of the system, or of this user. Default: of the system for root.",
        ),
    ):
        command = option(command)
    return command


def _planned(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a unit; those of the demo come after them."""
    for option in (
        click.option(
            "--writable",
            multiple=True,
            type=NamedPath(),
            metavar="DIR",
            help="Folder that the service may write to, for the program of --on-change.",
        ),
        click.option(
            "--watchdog",
            "watchdog_s",
            type=click.IntRange(5, 3600),
            default=30,
            show_default=True,
            metavar="S",
            help="Seconds without a frame or a step after which it is started again.",
        ),
        click.option(
            "--memory",
            default="512M",
            show_default=True,
            metavar="SIZE",
            help="Memory at which it is ended and started again.",
        ),
        click.option(
            "--input-password-file",
            type=NamedPath(),
            help="The password of the user in the address of --input is in this file.",
        ),
        click.option(
            "--run-as",
            metavar="USER",
            help="Who it runs as. Default: who calls sudo, else a user that exists only while it runs.",
        ),
    ):
        command = option(command)
    return _where(command)


def _with_demo(command: click.Command) -> click.Command:
    """Give a command the options of the demo."""
    command.params += _BOTH
    return command


def _plan(options: dict[str, object]) -> Plan:
    """Take the unit's own options out and leave the demo's, as they were written."""
    own = {name: options.pop(name) for name in _OWN}
    context = click.get_current_context()
    given = [
        (parameter, options[parameter.name])
        for parameter in _BOTH
        if parameter.name is not None
        and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]
    settings = record_of(Settings, {**own, "system": _system(context.params["system"])})
    _check_name(settings.name)
    _check_memory(settings.memory)
    return Plan(settings, given, {**options, "headless": options.get("serve") is None})


@_with_demo
@service.command("print")
@_planned
def print_(**options: object) -> None:
    """Print the unit, and the rule of udev if one is needed. Nothing is written.

    Takes the options of tsm-edge demo, too.
    """
    plan = _plan(options)
    say_lines(plan.unit.rstrip("\n"))
    if plan.rule:
        say()
        say(f"# {manager.rule_path(plan.settings.name)}")
        say_lines(plan.rule.rstrip("\n"))


@_with_demo
@service.command("install")
@click.option("--start/--no-start", default=True, show_default=True, help="Start it now and at every boot.")
@_planned
def install(start: bool, **options: object) -> None:
    """Write the unit and start it, now and at every boot.

    Takes the options of tsm-edge demo, too. An older unit of the same name is replaced if this command wrote it.
    """
    plan = _plan(options)
    plan.check_here()
    written = manager.install(
        plan.settings.name, plan.unit, plan.rule, system=plan.settings.system, start=start
    )
    print_facts({"written": ", ".join(map(str, written)), "started": "yes" if start else "no"})
    flag = _flag(plan.settings.system)
    if not plan.settings.system:
        user = getpass.getuser()
        say(f"note: it ends with your session unless this was done once: sudo loginctl enable-linger {user}")
    print_next(shell("tsm-edge service status {} --name {}", flag, plan.settings.name))


@service.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@_where
@click.pass_context
def status(context: click.Context, name: str, system: bool | None, as_json: bool) -> None:
    """Say whether it runs, since when, how often it was started again, and what it does.

    The exit code is 1 if it does not run.
    """
    _check_name(name)
    system = _system(system)
    found = manager.status(name, system=system)
    if as_json:
        print_json({"service": found})
    else:
        print_facts({key.replace("_", " "): value for key, value in found.items() if value not in (None, "")})
        print_next(shell("journalctl {} --unit {} --lines 50", _flag(system), name))
    if found["state"] != "active":
        context.exit(1)


@service.command("remove")
@_where
def remove(name: str, system: bool | None) -> None:
    """Stop it and take its files away."""
    _check_name(name)
    system = _system(system)
    gone = manager.remove(name, system=system)
    print_facts({"removed": ", ".join(map(str, gone))})


def _system(asked: bool | None) -> bool:
    return os.geteuid() == 0 if asked is None else asked


def _flag(system: bool) -> str:
    return "--system" if system else "--user"


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name) or name.endswith(".service"):
        raise UsageError(
            "--name is no name of a unit.",
            found=repr(name),
            allowed="1 to 64 of A-Z a-z 0-9 _ . -, without .service at its end",
        )


def _check_memory(text: str) -> None:
    match = re.fullmatch(r"([1-9][0-9]{0,8})([KMG])", text)
    bytes_ = int(match[1]) << {"K": 10, "M": 20, "G": 30}[match[2]] if match else 0
    if bytes_ < 128 << 20:
        raise UsageError(
            "--memory is no size that the demo can run in.", found=repr(text), allowed="128M and more, as in 512M or 1G"
        )
