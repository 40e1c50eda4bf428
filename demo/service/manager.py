"""The files of a service and the program ``systemctl``: installed, looked at, removed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tsm_edge.errors import EdgeError, OutputError, ServiceError, ToolMissing, UnknownName
from tsm_edge.files.atomic import write_text

from .unit import MARK

SYSTEM_UNITS = Path("/etc/systemd/system")
RULES = Path("/etc/udev/rules.d")
_LONGEST_S = 90.0  # of one call: a start waits for the first step
_FACTS = {
    "state": "ActiveState",
    "sub_state": "SubState",
    "since": "ActiveEnterTimestamp",
    "does": "StatusText",
    "restarts": "NRestarts",
    "last_end": "Result",
    "memory_bytes": "MemoryCurrent",
    "enabled": "UnitFileState",
}


def unit_path(name: str, *, system: bool) -> Path:
    """Return where the unit is kept."""
    if system:
        return SYSTEM_UNITS / f"{name}.service"
    configuration = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(configuration) / "systemd" / "user" / f"{name}.service"


def rule_path(name: str) -> Path:
    """Return where the rule of udev is kept."""
    return RULES / f"70-{name}.rules"


def install(name: str, unit: str, rule: str, *, system: bool, start: bool) -> list[Path]:
    """Write the files, have systemd read them, and start the service; return the files.

    Raises:
        ServiceError: another program's unit is in the way, or systemd refuses; the files are then as they were.
        OutputError: a file cannot be written.
    """
    _require_systemctl()
    path = unit_path(name, system=system)
    files = {path: unit, **({rule_path(name): rule} if rule else {})}
    for file in files:
        _refuse_foreign(file)
    before = {file: file.read_bytes() if file.is_file() else None for file in files}
    try:
        for file, text in files.items():
            _write(file, text, system=system)
        if rule:
            _udev()
        _systemctl("daemon-reload", system=system)
        if start:
            _systemctl("enable", "--quiet", f"{name}.service", system=system)
            _systemctl("restart", "--no-block", f"{name}.service", system=system)
    except EdgeError:
        with contextlib.suppress(EdgeError):
            if before[path] is None and start:
                _systemctl("disable", "--quiet", f"{name}.service", system=system)
        _restore(before)
        with contextlib.suppress(EdgeError):
            _systemctl("daemon-reload", system=system)
        raise
    return list(files)


def _restore(before: Mapping[Path, bytes | None]) -> None:
    """Leave no half of a service behind."""
    for file, data in before.items():
        with contextlib.suppress(OSError):
            if data is None:
                file.unlink(missing_ok=True)
            else:
                file.write_bytes(data)


def status(name: str, *, system: bool) -> dict[str, object]:
    """Return what systemd knows of the service, by the names of _FACTS.

    Raises:
        UnknownName: there is no such unit.
    """
    _require_systemctl()
    said = _systemctl("show", f"{name}.service", f"--property=LoadState,{','.join(_FACTS.values())}", system=system)
    values = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    if values.get("LoadState") in (None, "not-found"):
        raise UnknownName(
            f"There is no service named '{name}'.", found=name, allowed="a name that tsm-edge service install was given"
        )
    found = {key: values.get(source, "") for key, source in _FACTS.items()}
    numbers = {key: int(found[key]) if found[key].isdigit() else None for key in ("restarts", "memory_bytes")}
    return {"name": name, **found, **numbers}


def remove(name: str, *, system: bool) -> list[Path]:
    """Stop the service, now and for the next boot, and remove its files; return them.

    Raises:
        UnknownName: there is none.
        ServiceError: somebody else wrote it, or systemd refuses.
    """
    path = unit_path(name, system=system)
    if not path.is_file():
        raise UnknownName(
            f"There is no service named '{name}'.",
            found=f"no file '{path}'",
            allowed="a name that tsm-edge service install was given",
        )
    _refuse_foreign(path)
    _require_systemctl()
    _systemctl("disable", "--quiet", "--now", f"{name}.service", system=system)
    gone = [path]
    if system and rule_path(name).is_file():
        _refuse_foreign(rule_path(name))
        gone.append(rule_path(name))
    for file in gone:
        try:
            file.unlink()
        except OSError as error:
            raise OutputError.of(f"'{file}' cannot be removed.", error) from error
    if len(gone) > 1:
        _udev()
    _systemctl("daemon-reload", system=system)
    return gone


def _refuse_foreign(path: Path) -> None:
    """Leave alone what another program or person wrote."""
    if path.is_file() and MARK not in path.read_text(encoding="utf-8", errors="replace").splitlines()[:1]:
        raise ServiceError(
            "A file of that name is there, and tsm-edge did not write it.",
            found=f"'{path}'",
            allowed="another --name, or remove the file yourself",
        )


def _write(path: Path, text: str, *, system: bool) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
        path.chmod(0o644)  # it holds no secrets, and its users may look at it
    except OutputError as error:
        if system:
            error.hint = "run it with sudo, or install it for yourself: --user"
        raise
    except OSError as error:
        hint = "run it with sudo, or install it for yourself: --user" if system else None
        raise OutputError.of(f"'{path}' cannot be written.", error, hint=hint) from error


def _require_systemctl() -> None:
    if shutil.which("systemctl") is None:
        raise ToolMissing(
            "There is no systemd on this machine.",
            found="no program systemctl",
            hint="print the unit for another machine: tsm-edge service print ...",
        )


def _systemctl(*words: str, system: bool) -> str:
    return _run(["systemctl", *([] if system else ["--user"]), *words])


def _udev() -> None:
    """Have udev read its rules and apply them to the devices that are there."""
    if shutil.which("udevadm") is not None:
        _run(["udevadm", "control", "--reload"])
        _run(["udevadm", "trigger"])


def _run(words: list[str]) -> str:
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ServiceError(f"{words[0]} did not end.", found=f"{' '.join(words)}, {_LONGEST_S:.0f} s") from error
    if done.returncode:
        raise ServiceError(
            f"{words[0]} refused.",
            found=f"{' '.join(words)}: {done.stderr.strip() or f'exit {done.returncode}'}",
            hint=_cure(done.stderr, user="--user" in words),
        )
    return done.stdout


def _cure(said: str, *, user: bool) -> str | None:
    """Return what helps against the refusals that are common."""
    if "ccess denied" in said or "authentication" in said:
        return "run it with sudo"
    if "bus" not in said and "booted with systemd" not in said:
        return None
    if user:
        return "log in on the machine itself, or over ssh as this user: the bus of a user comes with a session"
    return "systemd does not run here, as in most containers: print the unit, and install it on the board"
