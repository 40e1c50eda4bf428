"""The command line: a group that loads a verb only when it is called.

``VERBS`` and ``PARTS`` are the one seam between the core and the packages above it, and it is made of strings. This
module is also the one place where an ``EdgeError`` becomes a message and an exit code.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Mapping
from typing import IO, NamedTuple, NoReturn

import click

from . import __version__, report
from .errors import EdgeError, ExtraMissing, OutputError, UnknownName, UsageError, install_hint
from .files import limit_pictures
from .processes import interrupts
from .terminal import printable_lines, say, say_lines


class Verb(NamedTuple):
    """Where a command is, and its line in the list of commands."""

    where: str
    summary: str


VERBS = {
    "targets": Verb("tsm_edge.commands.targets:targets", "List the devices that bundles can be built for."),
    "models": Verb("tsm_edge.commands.models:models", "List the networks that come with tsm-edge."),
    "convert": Verb(
        "tsm_edge.commands.convert:convert", "Turn a checkpoint of MIT, mmaction2 or torchvision into weights."
    ),
    "compile": Verb("tsm_edge.compile.command:compile", "Build a bundle from a model for a target."),
    "inspect": Verb("tsm_edge.commands.inspect:inspect", "Check a bundle's files and show what it holds."),
    "verify": Verb(
        "tsm_edge.compile.verification.command:verify", "Compare a bundle with PyTorch, number by number."
    ),
    "bench": Verb("tsm_edge.commands.bench:bench", "Time a bundle, alone or beside other runtimes."),
    "compare": Verb(
        "tsm_edge.compile.comparison.command:compare", "Show what networks cost on a target, side by side."
    ),
    "demo": Verb(
        "tsm_edge.demo.command:demo", "Recognise live from a camera, a stream, a video or a folder of images."
    ),
    "cameras": Verb("tsm_edge.demo.cameras_command:cameras", "List the cameras of this machine."),
    "service": Verb("tsm_edge.demo.service.command:service", "Run the demo at boot, as a service of systemd."),
    "synth": Verb("tsm_edge.synth.command:synth", "Render clips of gestures to train and test on."),
    "record": Verb("tsm_edge.demo.record_command:record", "Record clips of your own gestures with a camera."),
    "train": Verb("tsm_edge.train.command:train", "Train an online network on clips."),
    "eval": Verb(
        "tsm_edge.train.eval_command:evaluate", "Measure how well weights or a bundle recognise clips."
    ),
    "export": Verb("tsm_edge.commands.export:export", "Write a model as ONNX with its states."),
}

#: what a verb of the core runs of the packages above it
PARTS = {"train --quantize": "tsm_edge.compile.training.command:quantised"}

#: the extra that brings a Python package; what is not here comes with tsm-edge itself
EXTRA_OF = {
    **dict.fromkeys(("onnx", "onnxscript", "safetensors", "torch", "tvm", "tvm_ffi", "ziglang"), "compile"),
    **dict.fromkeys(("ncnn", "onnxruntime", "openvino"), "bench"),
    **dict.fromkeys(("prometheus_client", "tornado"), "serve"),
    "paho": "mqtt",
}
_AS_JSON = "tsm_edge.as_json"  # in a context's meta: the verb was given --json
_BROKEN_PIPE = 128 + signal.SIGPIPE  # as a shell counts


class LazyGroup(click.Group):
    """Loads a command by its string in ``VERBS``; the help of the group itself loads none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which they are used."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import and return the command called ``name``."""
        if name not in VERBS:
            return None
        command = loaded(VERBS[name].where)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuse an unknown verb with its nearest neighbour."""
        options = args[: args.index("--")] if "--" in args else args
        ctx.meta[_AS_JSON] = "--json" in options
        if args[0] not in VERBS and not args[0].startswith("-"):
            raise UnknownName.of("command", args[0], VERBS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from ``VERBS``."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options before the verb; what is quoted of a bad one is safe to print."""
        try:
            return super().parse_args(ctx, args)
        except click.ClickException as error:
            raise _escaped(error) from None

    def invoke(self, ctx: click.Context) -> object:
        """Run a verb; turn what goes wrong into a message on stderr and an exit code."""
        try:
            result = super().invoke(ctx)
            _flush_stdout()
            return result
        except EdgeError as error:
            _fail(ctx, error)
        except ImportError as error:
            missing = _extra_missing(error)
            if missing is None:
                _crash(ctx, error)
            else:
                _fail(ctx, missing)
        except (KeyboardInterrupt, click.Abort):
            _end(ctx)
        except BrokenPipeError:  # the reader of our output (head, less) has gone: nobody is left to be told
            _give_up_stdout()
            ctx.exit(_BROKEN_PIPE)
        except OSError as error:
            _fail_or_crash(ctx, error)
        except click.ClickException as error:
            _report_json(
                ctx,
                {
                    "kind": type(error).__name__,
                    "identifier": UsageError.identifier,
                    "what": error.format_message(),
                },
                error.exit_code,
            )
            raise _escaped(error) from None
        except (click.exceptions.Exit, SystemExit):
            raise
        except Exception as error:
            _crash(ctx, error)


def loaded(where: str) -> object:
    """Import and return what a string of ``VERBS`` or ``PARTS`` names."""
    module, _, attribute = where.partition(":")
    found: object = getattr(importlib.import_module(module), attribute)
    return found


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tsm-edge", message="%(prog)s %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an error.")
def cli(verbose: bool) -> None:
    """Compile an online TSM video network into one small native bundle for an edge device.

    Results go to stdout, progress and errors to stderr. Exit codes: 0 ok, 1 failure, 2 usage, 3 a check failed,
    4 camera or device unreachable, 5 unsupported target or host or a missing tool, 130 ended by Ctrl-C, 143 by
    SIGTERM.
    """


def main() -> None:
    """Entry point of the program ``tsm-edge``."""
    interrupts.listen()
    limit_pictures()
    # OpenCV and its FFmpeg print the same to stderr, above our message and in other words
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    try:
        cli(prog_name="tsm-edge")
    except OSError as error:  # the help, behind which the disk is full
        say_lines(OutputError.of("The output cannot be written.", error).report(), err=True)
        _give_up_stdout()
        sys.exit(OutputError.exit_code)


def _escaped(error: click.ClickException) -> click.ClickException:
    """The same error of click's, safe to print: it quotes the command line."""
    text = printable_lines(error.format_message())
    return _Refused(text, ctx=error.ctx if isinstance(error, click.UsageError) else None)


class _Refused(click.UsageError):
    """An error of click's in the form of our own; before it, how the verb is used."""

    def show(self, file: IO[str] | None = None) -> None:
        if self.ctx is not None:
            say_lines(self.ctx.get_usage(), err=True)
        say_lines(UsageError(self.message, hint=self._where_help_is()).report(), err=True)

    def _where_help_is(self) -> str | None:
        return f"{self.ctx.command_path} --help lists the options" if self.ctx is not None else None


def _extra_missing(error: ImportError) -> ExtraMissing | None:
    package = (error.name or "").partition(".")[0]
    if package not in EXTRA_OF:
        return None
    return ExtraMissing(
        f"This command needs the Python package '{package}'.",
        found=error,
        hint=install_hint(EXTRA_OF[package]),
    )


def _end(ctx: click.Context) -> NoReturn:
    """Ctrl-C or SIGTERM: everything is cleaned up by now."""
    word, code = interrupts.outcome()
    say(word, err=True)
    ctx.exit(code)


def _flush_stdout() -> None:
    """Find a full disk behind stdout here, and not after the exit code is decided."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError.of("The output cannot be written.", error) from error


def _give_up_stdout() -> None:
    """Let what is left of our output go nowhere, so that the interpreter does not complain about it at its end."""
    with contextlib.suppress(OSError, ValueError):  # a closed or a made-up stdout has no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail_or_crash(ctx: click.Context, error: OSError) -> NoReturn:
    """A refusal of the system's that the verb did not foresee: a full disk, no more files."""
    worded = OutputError.of_system(error)
    if worded is None:
        _crash(ctx, error)
    worded.__cause__ = error
    _fail(ctx, worded)


def _show_traceback(ctx: click.Context, error: BaseException) -> None:
    """With ``--verbose``; without it, and for `--help`, the module is not imported."""
    if ctx.params.get("verbose"):
        import traceback

        say_lines("".join(traceback.format_exception(error)).rstrip("\n"), err=True)


def _fail(ctx: click.Context, error: EdgeError) -> NoReturn:
    if interrupts.received():
        _end(ctx)
    _show_traceback(ctx, error)
    say_lines(error.report(), err=True)
    _report_json(ctx, error.to_json(), error.exit_code)
    ctx.exit(error.exit_code)


def _crash(ctx: click.Context, error: BaseException) -> NoReturn:
    """An error that nobody foresaw is a fault of tsm-edge, and says so."""
    if interrupts.received():
        _end(ctx)
    _show_traceback(ctx, error)
    say(f"error[internal]: tsm-edge failed unexpectedly: {type(error).__name__}: {error}", err=True)
    say("  hint: run it again as `tsm-edge --verbose …` and report what it prints", err=True)
    _report_json(ctx, {"kind": type(error).__name__, "identifier": "internal", "what": str(error)}, 1)
    ctx.exit(1)


def _report_json(ctx: click.Context, error: Mapping[str, object], exit_code: int) -> None:
    """With ``--json``, print the error as the document, in one line. A verb that has printed its own keeps to that."""
    if ctx.meta.get(_AS_JSON) and not report.has_printed():
        with contextlib.suppress(OutputError):  # a full disk behind stdout: stderr has the words
            report.print_json_line({"error": {**error, "exit_code": exit_code}})
