"""The text of a unit of systemd, and of the rule of udev that a camera may need."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tsm_edge.errors import UsageError

MARK = "# Written by tsm-edge service; `tsm-edge service remove` takes it away."
#: exit codes of the demo after which another attempt would end the same way: usage, a damaged bundle, a missing tool
FINAL = (2, 3, 5)
START_S, STOP_S, AGAIN_S = 300, 45, 10


@dataclass(frozen=True)
class Service:
    """What a unit is made of.

    Args:
        name: of the unit, without ``.service``.
        command: the program by its full path, and its arguments.
        system: a unit of the system, not of one user.
        user: whom a unit of the system runs as; None for a user that exists only while it runs.
        memory: `MemoryMax=` of systemd, as in "512M".
        watchdog_s: seconds without a step after which it is started again.
        credentials: files that only the manager reads and hands over, by the name under which the demo looks for them.
        devices: groups and files of `DeviceAllow=`; None for all that the user may open.
        network: whether it talks to anybody.
        writes: folders that it may write to.
        compiles: whether something in it makes code while it runs, as drivers of accelerators do.
    """

    name: str
    command: tuple[str, ...]
    system: bool
    user: str | None
    memory: str
    watchdog_s: int
    credentials: tuple[tuple[str, Path], ...] = ()
    devices: tuple[str, ...] | None = ()
    network: bool = True
    writes: tuple[Path, ...] = ()
    compiles: bool = False


def unit(service: Service) -> str:
    """Return the text of the unit."""
    online = ["Wants=network-online.target", "After=network-online.target"]
    sections = [
        (
            "Unit",
            ["Description=Recognition of gestures (tsm-edge)", "StartLimitIntervalSec=0"]
            + (online if service.system and service.network else []),
        ),
        ("Service", _service(service)),
        ("Install", [f"WantedBy={'multi-user' if service.system else 'default'}.target"]),
    ]
    return "\n".join([MARK, *(line for name, lines in sections for line in ("", f"[{name}]", *lines))]) + "\n"


def _service(service: Service) -> list[str]:
    lines = [
        "Type=notify",
        f"ExecStart={' '.join(quoted(word) for word in service.command)}",
        "WorkingDirectory=/",
        "Environment=PYTHONDONTWRITEBYTECODE=1",
        "",
        "# told only after a frame came and its step ended",
        f"WatchdogSec={service.watchdog_s}",
        f"TimeoutStartSec={START_S}",
        f"TimeoutStopSec={STOP_S}",
        "Restart=always",
        f"RestartSec={AGAIN_S}",
        f"RestartPreventExitStatus={' '.join(map(str, FINAL))}",
        "",
        f"MemoryMax={service.memory}",
        "TasksMax=256",
        "OOMPolicy=stop",
        "",
        "# events go to the sinks; the journal gets what went wrong, and no more of that than this",
        "StandardOutput=null",
        "StandardError=journal",
        "LogRateLimitIntervalSec=1h",
        "LogRateLimitBurst=200",
        "",
    ]
    lines += [f"LoadCredential={name}:{_plain(path)}" for name, path in service.credentials]
    lines += _identity(service) if service.system else []
    return [*lines, *_hardening(service), *(_system_hardening(service) if service.system else [])]


def _identity(service: Service) -> list[str]:
    groups = "SupplementaryGroups=video"
    return [f"User={service.user}", groups] if service.user is not None else ["DynamicUser=yes", groups]


def _hardening(service: Service) -> list[str]:
    """What a manager of one user can do, too."""
    families = "AF_UNIX AF_NETLINK" + (" AF_INET AF_INET6" if service.network else "")
    return [
        "NoNewPrivileges=yes",
        "UMask=0077",
        "LockPersonality=yes",
        *([] if service.compiles else ["MemoryDenyWriteExecute=yes"]),
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        f"RestrictAddressFamilies={families}",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged @resources",
        "SystemCallFilter=sched_setaffinity",
        "SystemCallErrorNumber=EPERM",
    ]


def _system_hardening(service: Service) -> list[str]:
    lines = [
        "ProtectSystem=strict",
        "ProtectHome=read-only",
        *(f"ReadWritePaths={_plain(path)}" for path in service.writes),
        "PrivateTmp=yes",
        "ProtectClock=yes",
        "ProtectControlGroups=yes",
        "ProtectHostname=yes",
        "ProtectKernelLogs=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "ProtectProc=invisible",
        "ProcSubset=all",
        "RemoveIPC=yes",
        "CapabilityBoundingSet=",
        "AmbientCapabilities=",
        *([] if service.network else ["PrivateNetwork=yes"]),
    ]
    if service.devices == ():
        lines.append("PrivateDevices=yes")
    elif service.devices is not None:
        lines += ["DevicePolicy=closed", *(f"DeviceAllow={_plain(device)} rw" for device in service.devices)]
    return lines


def quoted(word: str) -> str:
    """Return a word of a command as systemd reads it back: nothing in it is a variable, a specifier or an end.

    Raises:
        UsageError: control characters, which a unit cannot hold.
    """
    if re.search(r"[\x00-\x1f\x7f]", word):
        raise UsageError("A unit cannot hold control characters.", found=repr(word), allowed="text of one line")
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if re.fullmatch(r"[A-Za-z0-9_./:=@,+%$-]+", escaped) else f'"{escaped}"'


def _plain(path: Path | str) -> str:
    """A path in a setting that is no command: specifiers only; spaces would end it."""
    text = str(path)
    if re.search(r"[\s\x00-\x1f\x7f\"'\\:]", text):
        raise UsageError(
            "A unit cannot name this path.", found=repr(text), allowed="a path without spaces, quotes, \\ and :"
        )
    return text.replace("%", "%%")
