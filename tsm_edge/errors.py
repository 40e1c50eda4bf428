"""Every error a user can meet, one class per cause and one exit code per class.

They stand together here so that two causes never share a name and a caller can tell them apart. The message of
each has up to four parts: what failed, what was found, what is allowed, what to do about it; before it stands a stable
identifier, by which ``docs/errors.md`` is sorted. As text, an error is
safe to print: what a terminal would obey is escaped (:mod:`tsm_edge.terminal`); the attributes hold what was met. Only
``tsm_edge.cli`` turns an error into printed text and an exit code; everything else raises.

Exit codes: 0 ok, 1 failure, 2 usage, 3 a check failed, 4 device or camera unreachable, 5 unsupported target, host
or missing tool.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

from .terminal import printable, printable_lines


def install_hint(*extras: str) -> str:
    """Return how to install the named extras of this package. It is on no registry: a clone is what pip is given."""
    return f'in a clone of tsm-edge: pip install -c constraints.txt ".[{",".join(extras)}]"'


_LONGEST = 4000  # characters of a part


def suggest(name: str, choices: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the choice nearest to ``name``, or ``""`` when none is near.

    The answer starts with a space, so it can be appended to any sentence.
    """
    by_lower = {choice.lower(): choice for choice in choices}
    lowered = str(name).lower()
    near = difflib.get_close_matches(lowered, by_lower, n=1, cutoff=0.6)
    if not near:  # a short form is far from the full name letter by letter, yet every part of it stands there
        squeezed = lowered.replace("-", "").replace("_", "")
        near = [
            key for key in by_lower if len(squeezed) > 2 and squeezed in key.replace("-", "").replace("_", "")
        ]
    return f" Did you mean '{by_lower[near[0]]}'?" if near else ""


class EdgeError(Exception):
    """Base of all errors that are reported without a traceback.

    Args:
        what: one sentence that says what failed.
        found: the value that was met, if there is one.
        allowed: the values or the range that would have been accepted.
        hint: what the user can do now.

    Attributes:
        identifier: stable name of the cause; what stands in ``error[identifier]:``.
        cure: what to do about this kind of error, where the message has no hint.
    """

    identifier = "failure"
    cure = "read the message"
    exit_code = 1

    def __init__(
        self, what: str, *, found: object = None, allowed: object = None, hint: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.found = found
        self.allowed = allowed
        self.hint = hint

    def to_json(self) -> dict[str, object]:
        """Return the parts as plain JSON data; ``kind`` is the class, and ``name`` the rule a bundle breaks."""
        parts = {
            "kind": type(self).__name__,
            "identifier": self.identifier,
            "what": self.what,
            "found": self.found,
        }
        known = {**parts, "allowed": self.allowed, "hint": self.hint, "name": getattr(self, "name", None)}
        return {key: _cut(str(value)) for key, value in known.items() if value is not None}

    def report(self) -> str:
        """The text for a terminal: ``error[identifier]: what failed``, and the other parts in lines of their own."""
        return f"error[{self.identifier}]: {self._parts()}"

    def __str__(self) -> str:
        return self._parts()

    def _parts(self) -> str:
        parts = (("found", self.found), ("allowed", self.allowed), ("hint", self.hint))
        shown = [f"  {label}: {_indented(value)}" for label, value in parts if value is not None]
        return "\n".join([printable(_cut(self.what)), *shown])


def _indented(value: object) -> str:
    """Text of a part, cut where it is long; further lines, as of a compiler, stand deeper than any part does."""
    return printable_lines(_cut(str(value))).replace("\n", "\n    ")


def _cut(text: str) -> str:
    """A value from a file may be as long as the file."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


class UsageError(EdgeError):
    """The command line or an argument makes no sense as it stands."""

    identifier = "usage"
    cure = "correct the command: `tsm-edge VERB --help` lists its options"
    exit_code = 2


class UnknownName(UsageError):
    """A target, model or other name that does not exist."""

    identifier = "unknown-name"
    cure = "take one of the names that the message allows; it proposes the nearest"

    @classmethod
    def of(cls, kind: str, name: str, choices: Iterable[str]) -> UnknownName:
        """Build the error for ``name``, which is no known ``kind`` ("target", "model"), with the nearest neighbour."""
        known = list(choices)
        return cls(
            f"There is no {kind} named '{name}'.{suggest(name, known)}",
            found=name,
            allowed=", ".join(known) or f"no {kind} is known",
        )


class CheckpointError(EdgeError):
    """A file of trained weights cannot be read or does not fit the model."""

    identifier = "checkpoint"
    cure = "see docs/checkpoints.md for the files that are read, and name the model they belong to"


class DirectionUnknown(CheckpointError):
    """A checkpoint does not say in which direction its network shifts."""

    identifier = "direction"
    cure = "say it with `--direction`: uni, bi or none; only who trained the network knows"
    exit_code = 2


class DataError(EdgeError):
    """Training clips cannot be found or read, or do not fit what is asked of them."""

    identifier = "data"
    cure = "see docs/train.md for the forms of data that are read"


class AccuracyError(EdgeError):
    """A network recognises less than was demanded."""

    identifier = "accuracy"
    cure = "train longer or on more clips, or lower the bound that was given"
    exit_code = 3


class ProcessLost(EdgeError):
    """Another process of a training in several has ended."""

    identifier = "process-lost"
    cure = "see what torchrun says about the process that failed first"


class ModelError(EdgeError):
    """A model's description contradicts itself."""

    identifier = "model"
    cure = "correct the width, size or number of classes"


class ImportFailed(EdgeError):
    """A foreign network (ONNX, torch.export) holds something that cannot be imported."""

    identifier = "import"
    cure = "see docs/onnx.md for the operators that are imported"


class CompileError(EdgeError):
    """A compiler phase could not do its work."""

    identifier = "compile"
    cure = "compile with `--dump` and report the layer"


class ToolMissing(EdgeError):
    """A program this command needs is not installed."""

    identifier = "tool-missing"
    cure = "install the program with the command in the message"
    exit_code = 5


class ExtraMissing(EdgeError):
    """A Python package of one of the optional extras is not installed."""

    identifier = "extra-missing"
    cure = "install the extra with the command in the message"
    exit_code = 5


class UnsupportedTarget(EdgeError):
    """The target is known, but nothing can be built for it."""

    identifier = "unsupported-target"
    cure = "choose another target: `tsm-edge targets`"
    exit_code = 5


class UnsupportedHost(EdgeError):
    """This machine cannot do what was asked (processor, C library, operating system)."""

    identifier = "unsupported-host"
    cure = "run the command on another machine, or compile for another target"
    exit_code = 5


class BundleError(EdgeError):
    """A bundle breaks a rule of its format; ``name`` is the rule's stable name, the same in Python and in C.

    The exit code is 3, but 5 where the bundle is whole and the machine is the wrong one (the names ``wrong-…``).
    """

    identifier = "bundle"
    cure = "see the refusals below"
    exit_code = 3

    def __init__(
        self,
        what: str,
        *,
        name: str,
        found: object = None,
        allowed: object = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what, found=found, allowed=allowed, hint=hint)
        self.name = self.identifier = name
        if name.startswith("wrong-"):
            self.exit_code = UnsupportedHost.exit_code

    def __str__(self) -> str:
        return f"[{self.name}] {self._parts()}"


#: what to do about each rule that a bundle may break (:mod:`tsm_edge.bundle` has the rules), in the order of the checks
CURES = {
    "not-a-bundle": "name the folder that `tsm-edge compile` wrote",
    "manifest-unreadable": "compile the bundle again, or copy it again",
    "format-newer": "install the tsm-edge that wrote the bundle, or compile it with this one",
    "manifest-malformed": "compile the bundle again with this tsm-edge",
    "file-missing": "copy the whole folder again: `scp -r BUNDLE BOARD:`",
    "file-unlisted": "move what does not belong to the bundle out of its folder",
    "file-size": "copy the folder again: a copy was cut short",
    "file-hash": "copy the folder again: a file was changed or damaged",
    "wrong-arch": "compile for this machine: `tsm-edge targets`",
    "wrong-libc": "compile for a target with this C library, or for a static one: linux-arm64-static",
    "wrong-cpu": "compile for a target that asks for less of the processor",
}


class VerificationError(EdgeError):
    """A numeric comparison with the reference failed."""

    identifier = "verification"
    cure = "do not use the bundle; compile it again, and report it if that does not help"
    exit_code = 3


class FrameError(EdgeError):
    """A frame or tensor given to a step has the wrong type, shape or format."""

    identifier = "frame"
    cure = "give frames of the shape and type that the message allows"
    exit_code = 2


class CameraError(EdgeError):
    """A camera cannot be opened or stopped delivering frames."""

    identifier = "camera"
    cure = "see docs/cameras.md, and `tsm-edge cameras`: which there are, who may open them, and who else holds them"
    exit_code = 4


class StreamError(EdgeError):
    """A network stream, a pipeline or a camera program cannot be opened or broke off."""

    identifier = "stream"
    cure = "see docs/cameras.md: what can be named, and what each answer means"
    exit_code = 4


class VideoError(EdgeError):
    """A video file cannot be read."""

    identifier = "video"
    cure = "convert the file: `ffmpeg -i IN -c:v libx264 OUT.mp4`"


class DisplayError(EdgeError):
    """There is no display to show a window on."""

    identifier = "display"
    cure = "use `--headless`, `--serve` or `--record`"
    exit_code = 5


#: what to do when the operating system refuses to write
_WRITE_HINTS = {
    errno.ENOSPC: "the disk is full: free some space (df -h shows what there is), or choose another place",
    errno.EDQUOT: "your disk quota is used up: remove something, or choose another place",
    errno.EFBIG: "the file would be larger than is allowed here: see ulimit -f, or choose another file system",
    errno.EROFS: "the file system is read-only: choose another place",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EMFILE: "this process may open no more files: raise the limit with ulimit -n",
    errno.ENFILE: "no program of this machine may open more files: end some, or raise fs.file-max",
    errno.EIO: "the disk failed: dmesg may say more; choose another one",
    errno.ENOENT: "make the folder first",
    errno.ENOTDIR: "a part of the path is a file: choose another place",
    errno.EISDIR: "a folder of that name is in the way: choose another name",
    errno.ENAMETOOLONG: "choose a shorter name",
}


class OutputError(EdgeError):
    """A result cannot be written."""

    identifier = "output"
    cure = "free some space or choose another place, as the message says"

    @classmethod
    def of(cls, what: str, error: OSError, *, hint: str | None = None) -> OutputError:
        """Build the error from the operating system's; the hint fits its number, ``hint`` comes after that."""
        hints = [_WRITE_HINTS.get(error.errno or 0), hint]
        return cls(what, found=error.strerror or error, hint="; ".join(filter(None, hints)) or None)

    @classmethod
    def of_system(cls, error: OSError) -> OutputError | None:
        """Build the error for a refusal that nobody foresaw; None where the cause is not the system's."""
        unwritten = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
        unopened = (errno.EMFILE, errno.ENFILE)
        if error.errno not in unwritten + unopened:
            return None
        what = "No more files can be opened." if error.errno in unopened else "The output cannot be written."
        return cls.of(f"'{error.filename}' cannot be used." if error.filename else what, error)


class ServeError(EdgeError):
    """The page of the demo cannot be served at the address that was asked for."""

    identifier = "serve"
    cure = "choose another address or port"


class ServiceError(EdgeError):
    """systemd, or a file of the same name, is in the way of a service."""

    identifier = "service"
    cure = "see docs/service.md, and `systemctl status NAME` and `journalctl --unit NAME` for what systemd says"


class RuntimeFailure(EdgeError):
    """The native library reported a failure while it was opened or stepped."""

    identifier = "runtime"
    cure = "report it with the message"


class DeviceError(RuntimeFailure):
    """No accelerator of this machine can run the bundle, or the accelerator failed."""

    identifier = "device"
    cure = "install the driver of the accelerator, or compile for the processor"
    exit_code = 4
