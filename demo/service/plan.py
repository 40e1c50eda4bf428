"""From the options of a command to a unit: which program is run with which arguments, and what it may open."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import stat
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import click

from tsm_edge import bundle
from tsm_edge.errors import UsageError

from ..command import request_of
from ..on_change import parse
from ..sinks.options import wanted
from ..sources.address import INPUT_PASSWORD
from ..sources.redact import without_secrets
from ..sources.uri import Input
from ..web.address import parse_address
from . import devices
from .unit import MARK, Service, unit

#: options whose file only the manager needs to read, and the name under which it hands the content over
_CREDENTIALS = {
    "token_file": "tsm-edge.token",
    "mqtt_password_file": "tsm-edge.mqtt-password",
    "webhook_secret_file": "tsm-edge.webhook-secret",
}
_WEBHOOK = "tsm-edge.webhook"  # of an address in a file
_PRIVATE = (Path("/tmp"), Path("/var/tmp"))
_SOURCES = ("input", "camera", "video")


#: an option of the demo that was written, and its value
Given = tuple[click.Parameter, object]


@dataclass(frozen=True)
class Settings:
    """What the unit's own options say."""

    name: str
    system: bool
    run_as: str | None
    memory: str
    watchdog_s: int
    writable: tuple[Path, ...]
    input_password_file: Path | None = None


class Plan:
    """A service that can be written down.

    Args:
        settings: of the unit.
        given: the demo's options that were written, with their values.
        options: all of the demo's options, for the checks that the demo makes itself.

    Raises:
        UsageError: options that the demo would refuse, or that a service cannot have.
    """

    def __init__(
        self, settings: Settings, given: list[Given], options: dict[str, object]
    ) -> None:
        self.settings = settings
        self._options = options
        self._check()
        self._credentials: list[tuple[str, Path]] = []
        if settings.input_password_file is not None:
            self._credentials.append((INPUT_PASSWORD, settings.input_password_file.resolve()))
        self._command = (sys.executable, "-m", "tsm_edge", "demo", *self._arguments(given))
        if options["headless"]:
            self._command += ("--headless",)
        self.unit = unit(self._service())
        closed = [name for source in self._request.sources for name in devices.closed(source)]
        self.rule = devices.rule(closed, MARK) if settings.system else ""

    def _check(self) -> None:
        self._request = request = request_of(dict(self._options))
        if request.bundle is None:
            raise UsageError(
                "A service needs a bundle: it compiles nothing.",
                found="no --bundle",
                allowed="--bundle DIR, what tsm-edge compile wrote",
            )
        self._bundle = request.bundle
        for source in request.sources:
            _check_source(source)
        wanted(request)
        if request.on_change is not None:
            parse(request.on_change)
        address = parse_address(request.serve) if request.serve is not None else None
        if address is not None and not address.loopback and request.token_file is None:
            raise UsageError(
                "A page for the network needs a token that stays the same.",
                found=f"--serve {request.serve} without --token-file",
                allowed=f"--serve {request.serve} --token-file FILE",
                hint="(umask 077; head -c 18 /dev/urandom | base64 | tr +/ -_ > page.token)",
            )
        self._manifest = bundle.read(request.bundle)
        if self.settings.run_as is not None:
            _known(self.settings.run_as)

    def _arguments(self, given: list[Given]) -> list[str]:
        """The options as they were written, with full paths: a service has another folder and another PATH."""
        words: list[str] = []
        for parameter, value in given:
            name = parameter.name or ""
            if name in _CREDENTIALS and self.settings.system:
                self._credentials.append((_CREDENTIALS[name], Path(str(value)).resolve()))
            elif isinstance(parameter, click.Option) and parameter.is_flag:
                words += [parameter.opts[0]] if value else parameter.secondary_opts[:1]
            else:
                for one in value if isinstance(value, tuple) else [value]:
                    words += [parameter.opts[0], self._value(name, one)]
        return words

    def _value(self, name: str, value: object) -> str:
        if isinstance(value, Path):
            return str(value.resolve())
        text = str(value)
        if name == "on_change":
            program, *rest = shlex.split(text)
            return shlex.join([str(Path(shutil.which(program) or program).resolve()), *rest])
        if name == "webhook" and text.startswith("@"):
            if self.settings.system:
                self._credentials.append((_WEBHOOK, Path(text[1:]).resolve()))
                return f"@{_WEBHOOK}"
            return f"@{Path(text[1:]).resolve()}"
        if name in _SOURCES and not text.startswith("/dev/") and Path(text).exists():
            return str(Path(text).resolve())
        return text

    def _service(self) -> Service:
        settings, request = self.settings, self._request
        accelerated = self._manifest.device is not None
        opened = [devices.needed(source) for source in request.sources]
        unknown = accelerated or None in opened
        sends = any(asked is not None for asked in (request.serve, request.webhook, request.mqtt, request.on_change))
        streams = any(source.kind in ("rtsp", "http", "gst") for source in request.sources)
        return Service(
            name=settings.name,
            command=self._command,
            system=settings.system,
            user=self.user,
            memory=settings.memory,
            watchdog_s=settings.watchdog_s,
            credentials=tuple(self._credentials),
            devices=None if unknown else tuple(sorted({name for names in opened for name in names or ()})),
            network=sends or streams,
            writes=tuple(path.resolve() for path in settings.writable),
            compiles=accelerated,
        )

    @property
    def user(self) -> str | None:
        """Who runs a unit of the system; None for a user that exists only while it runs."""
        asked = self.settings.run_as or os.environ.get("SUDO_USER")
        return None if asked == "root" and self.settings.run_as is None else asked

    def check_here(self) -> None:
        """See that the bundle is whole and for this machine, and that whoever runs it can read what it needs.

        Raises:
            BundleError: it is damaged or for another machine.
            UsageError: a file that only others can read, and what to do.
        """
        bundle.check_host(bundle.verify(self._bundle))
        if not self.settings.system:
            return
        for path in self._needed_files:
            if any(path.is_relative_to(place) for place in _PRIVATE):
                raise UsageError(
                    "The service has folders of its own for passing files, and would not see this one.",
                    found=f"'{path}'",
                    allowed="a place that stays, such as /opt",
                )
        for path in self._needed_files if self.user is None else []:
            blocked = next((part for part in [*reversed(path.parents), path] if not _open_to_all(part)), None)
            if blocked is not None:
                raise UsageError(
                    "The service could not read what it needs, because it runs as a user of its own.",
                    found=f"'{path}': only its owner may enter or read '{blocked}'",
                    allowed="--run-as USER, or files in a place that everybody may read, such as /opt",
                )

    @cached_property
    def _needed_files(self) -> list[Path]:
        folder = self._bundle.resolve()
        return [Path(sys.executable).resolve(), Path(__file__).resolve(), *sorted(folder.rglob("*"))]


def _open_to_all(path: Path) -> bool:
    mode = path.stat().st_mode
    return bool(mode & (stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH))


def _check_source(source: Input) -> None:
    if source.kind == "stdin":
        raise UsageError(
            "A service has no standard input.",
            found="--input -",
            allowed="a camera, a stream, a pipeline (gst:...) or a file",
        )
    text = source.address
    if source.kind in ("rtsp", "http"):
        parts = urlsplit(text)
        text = text if parts.password is not None else text.replace(f"{parts.username}@", "", 1)
    if source.kind in ("rtsp", "http", "gst") and without_secrets(text) != text:
        raise UsageError(
            "The address of the source has a password, and everybody on the machine can read a unit.",
            found=source.name,
            allowed="an address with a user and no password",
            hint="write it into a file that only you can read: --input rtsp://USER@CAMERA/... "
            "--input-password-file FILE",
        )


def _known(user: str) -> None:
    try:
        pwd.getpwnam(user)
    except KeyError:
        raise UsageError(
            "--run-as names nobody on this machine.", found=repr(user), allowed="a name of getent passwd"
        ) from None
