"""The documentation is run: every block of README.md and of the pages in RUN, with stand-ins for cameras and boards
only. Every command of the other pages, and every command quoted in a sentence, has the options that it is shown with.

The pages that are not run take hours as written (the recipe of the shipped model, benchmarks); the verbs and programs
in them are run by the other pages, tests/train and tests/bench.
"""

from __future__ import annotations

import http.server
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import click
import mosquitto
import numpy as np
import pytest
from pages import PROGRAMS, Block, blocks, commands, pages, quoted_commands

from tsm_edge import cli

HERE = Path(__file__).resolve().parent
STAND_INS = HERE / "stand_ins"
#: pages whose shell blocks are run, in order, in one folder
RUN = ("README.md", "docs/cameras.md", "docs/demo.md", "docs/service.md", "docs/time.md", "docs/train.md")
LANGUAGES = {"sh", "python", "c", "json", "text", "toml", "cpp", "js", "yaml"}
LONGEST_S = 1800


def by_name(path: Path) -> str:
    return "/".join(path.parts[-2:]) if path.parent.name in ("docs", "benchmarks", "data") else path.name


PAGES = pages(HERE.parent.parent)


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_every_block_says_its_language(page):
    """Blocks of which Sphinx makes something are named {directive}."""
    named = {block.line: block.language for block in blocks(page) if not block.language.startswith("{")}
    assert not [line for line, language in named.items() if language not in LANGUAGES]


# -- Options -------------------------------------------------------------------------------------------------------


def check_tsm_edge(words: list[str]) -> None:
    """The verb exists and takes these options; the values of choices are among them."""
    if words[0].startswith("-"):
        assert words[0] in ("--help", "--version", "--verbose", "-v", "-h"), words
        words = words[1:]
    if not words or not re.fullmatch(r"[a-z-]+", words[0]):
        return
    command = cli.cli.get_command(click.Context(cli.cli), words[0])
    assert command is not None, f"no verb {words[0]}"
    if isinstance(command, click.Group) and len(words) > 1:
        assert words[1] in command.commands, f"no verb {' '.join(words[:2])}"
        command, words = command.commands[words[1]], words[1:]
    context = click.Context(command, info_name=words[0])
    values, _, _ = command.make_parser(context).parse_args(list(words[1:]))
    for parameter in command.params:
        value = values.get(parameter.name)
        if isinstance(parameter.type, click.Choice) and isinstance(value, str) and value.islower():
            parameter.type.convert(value, parameter, context)


def check_python(words: list[str], repository: Path) -> None:
    """The program exists and knows these options."""
    if words[0] in ("-m", "-c"):
        return
    program = repository / words[0]
    assert program.is_file(), words
    source = program.read_text(encoding="utf-8")
    for name in re.findall(r"(?:from|import) (_[a-z]\w*)", source):  # options that several programs share
        shared = [
            path for path in (program.parent, repository / "benchmarks") if (path / f"{name}.py").is_file()
        ]
        source += (shared[0] / f"{name}.py").read_text(encoding="utf-8")
    for word in words[1:]:
        if word.startswith("--"):
            assert f'"{word.partition("=")[0]}"' in source or f"'{word}'" in source, words


def check_make(words: list[str], repository: Path) -> None:
    """The target exists."""
    targets = (repository / "Makefile").read_text(encoding="utf-8")
    for word in words:
        assert "=" in word or re.search(rf"^{re.escape(word)}:", targets, re.MULTILINE), words


def check_native(words: list[str], repository: Path) -> None:
    """The native command's usage names these options."""
    source = (repository / "compile" / "runtime" / "command" / "options.c").read_text(encoding="utf-8")
    for word in words:
        if word.startswith("--"):
            assert f'"{word}"' in source, words


def check_options(words: list[str], repository: Path) -> None:
    program = Path(words[0]).name
    if program == "tsm-edge":
        check_tsm_edge(words[1:])
    elif program == "tsm-edge-run":
        check_native(words[1:], repository)
    elif program == "python":
        check_python(words[1:], repository)
    elif program == "make":
        check_make(words[1:], repository)
    elif program == "torchrun":
        check_options(words[words.index("--no-python") + 1 :], repository)


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_every_command_has_the_options_it_is_shown_with(page, repository):
    shown = [(line, shlex.split(text)) for line, text in quoted_commands(page)]
    for block in blocks(page):
        if block.language == "sh":
            shown += commands(block)
    for line, words in shown:
        try:
            check_options([word for word in words if word not in ("…", "...")], repository)
        except (AssertionError, click.ClickException) as error:
            raise AssertionError(f"{by_name(page)}:{line}: {' '.join(words)}: {error}") from error


def test_a_wrong_option_is_found(repository):
    for text in (
        "tsm-edge compile net.onnx --colour red",
        "tsm-edge compiles net.onnx",
        "tsm-edge service begin",
        "tsm-edge service print --colour red",
        "python benchmarks/table.py --fast",
        "python benchmarks/no_such.py",
        "make everything",
        "x/tsm-edge-run --raw 640x480 --rate 30",
        "torchrun --nproc-per-node 2 --no-python tsm-edge train --data clips --output run",
    ):
        with pytest.raises((AssertionError, click.ClickException)):
            check_options(text.split(), repository)


def test_commands_are_taken_apart():
    text = 'a -x "b c" \\\n    | d --e  # not this\nf & g\n'
    assert list(commands(Block(Path("p"), 7, "sh", text))) == [
        (7, ["a", "-x", "b c"]),
        (7, ["d", "--e"]),
        (9, ["f"]),
        (9, ["g"]),
    ]
    assert "tsm-edge" in PROGRAMS


# -- Running -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def home(tmp_path_factory, repository) -> Path:
    """The programs that stand in."""
    home = tmp_path_factory.mktemp("docs")
    programs = home / "bin"
    programs.mkdir()
    names = re.findall(r'"([\w.-]+)"', (STAND_INS / "programs.py").read_text().partition("RUN = {")[2])

    def script(path: Path, text: str) -> None:
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    python = shlex.quote(sys.executable)
    for name in names:
        script(programs / name, f'exec {python} {shlex.quote(str(STAND_INS / "programs.py"))} {name} "$@"')
    script(programs / "tsm-edge", f'exec {python} {shlex.quote(str(STAND_INS / "tsm-edge.py"))} "$@"')
    # programs of benchmarks/ take hours as they are shown; tests/bench runs them
    script(programs / "python", f'case "$1" in benchmarks/*) ;; *) exec {python} "$@" ;; esac')
    script(programs / "torchrun", f'exec {python} -m torch.distributed.run "$@"')
    if shutil.which("cc") is None:
        script(programs / "cc", f'exec {python} -m ziglang cc "$@"')
    script(programs / "libcamerify", 'exec "$@"')
    return home


@pytest.fixture
def place(tmp_path, home, shipped, cache_home, repository) -> tuple[Path, dict[str, str]]:
    """A folder with what the pages presuppose, and the environment for it."""
    import torch

    from tsm_edge import models

    model = models.load("tsm-mobilenetv2", width=0.35, size=96)
    torch.save(model.build(1).state_dict(), tmp_path / "my.pth")
    (tmp_path / "labels.txt").write_text("".join(f"gesture {i}\n" for i in range(27)))
    foreign_network(tmp_path / "foreign.onnx")
    for label in ("swipe right", "nothing"):
        clips(tmp_path / "clips" / label, 3)
    (tmp_path / "gesture.sh").write_text('#!/bin/sh\necho "$TSM_EDGE_LABEL" >> told.txt\n')
    (tmp_path / "gesture.sh").chmod(0o755)
    shutil.copytree(shipped, tmp_path / "gestures-local")
    (tmp_path / "tsm-edge-run").symlink_to("gestures-local/tsm-edge-run")
    shutil.copy(repository / "demo" / "data" / "gestures.mp4", tmp_path / "clip.mp4")
    (tmp_path / "tests").symlink_to(repository / "tests")
    (tmp_path / "build" / "wheel").mkdir(parents=True)
    (tmp_path / "build" / "wheel" / "tsm_edge-0-py3-none-any.whl").touch()
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(home / "bin")
    environment = {
        **os.environ,
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(cache_home),
        "TSM_EDGE_DOCS_HOME": str(tmp_path),
        "TSM_EDGE_DOCS_BOARD": str(shipped),
        "TSM_EDGE_DOCS_CLIP": str(repository / "demo" / "data" / "gestures.mp4"),
        "TSM_EDGE_DOCS_CLONE": str(repository),
    }
    environment.pop("TSM_EDGE_TOKEN", None)
    return tmp_path, environment


def foreign_network(path: Path) -> None:
    """A network of 27 classes with one state, cache0."""
    from onnx import helper
    from onnx_lab import save

    random = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["frame", "stem"], ["f"], kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Split", ["f", "cut"], ["cache0_out", "rest"], axis=1),
        helper.make_node("Concat", ["cache0", "rest"], ["shifted"], axis=1),
        helper.make_node("Conv", ["shifted", "w"], ["y"], kernel_shape=[3, 3], pads=[1] * 4),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("GlobalAveragePool", ["z"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "head"], ["scores"]),
    ]
    constants = {
        "stem": random.standard_normal((8, 3, 3, 3)).astype(np.float32),
        "w": random.standard_normal((8, 8, 3, 3)).astype(np.float32),
        "head": random.standard_normal((8, 27)).astype(np.float32),
        "cut": np.array([1, 7], np.int64),
    }
    shapes = {"frame": (1, 3, 64, 64), "cache0": (1, 1, 32, 32)}
    save(path, nodes, shapes, {"scores": (1, 27), "cache0_out": (1, 1, 32, 32)}, constants)


def clips(folder: Path, count: int) -> None:
    """Short clips of a moving pattern."""
    import cv2

    folder.mkdir(parents=True)
    for number in range(1, count + 1):
        writer = cv2.VideoWriter(
            str(folder / f"{number:04d}.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 24, (64, 48)
        )
        for step in range(30):
            ramp = np.roll(
                np.arange(64, dtype=np.uint8) * 3, (step + number) * (3 if "right" in folder.name else 0)
            )
            writer.write(np.repeat(np.tile(ramp, (48, 1))[:, :, None], 3, axis=2))
        writer.release()


@pytest.fixture
def receiver():
    """What the webhooks of docs/events.md are told, as (headers, record)."""
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((dict(self.headers), json.loads(body)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 9000), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield got
    server.shutdown()
    server.server_close()


@pytest.fixture
def broker(tmp_path_factory):
    """A broker where docs/events.md has one; gives what it was told."""
    if mosquitto.PROGRAM is None:
        pytest.skip("no mosquitto; Debian's package is 'mosquitto'")
    running = mosquitto.Mosquitto(tmp_path_factory.mktemp("broker"), port=1883).start()
    ear = mosquitto.Subscriber(1883)
    yield ear
    ear.close()
    running.kill()


def test_the_sinks_of_the_documentation_are_told(repository, place, receiver, broker):
    run_page("docs/events.md", repository, place)
    records = [json.loads(body) for topic, body, _ in broker.heard if topic == "home/hall/gesture"]
    gestures = [record["label"] for record in records]
    half = len(gestures) // 2
    assert (
        half and gestures[:half] == gestures[half:] and len({record["id"] for record in records}) == 2 * half
    )
    signed = ["webhook-signature" in headers for headers, _ in receiver]
    half = len(signed) // 2
    assert half and signed == [False] * half + [True] * half
    assert {record["schema"] for _, record in receiver} == {1}


@pytest.mark.parametrize("name", RUN)
def test_every_shell_block_runs(name, repository, place):
    if name == "docs/demo.md" and shutil.which("jq") is None:
        pytest.skip("docs/demo.md uses jq, which is not installed")
    if name == "docs/service.md" and shutil.which("systemd-analyze") is None:
        pytest.skip("docs/service.md uses systemd-analyze, which is not installed")
    run_page(name, repository, place)
    if name == "docs/demo.md":
        told = (place[0] / "told.txt").read_text().splitlines()
        assert told and not {"No gesture", "Doing other things"} & set(told)


def test_the_native_programs_of_the_documentation_run(repository, place):
    """The camera /dev/video0 is the stand-in of tests/runtime, which Ctrl-C ends after two seconds."""
    tools = [name for name in ("gcc", "c++", "cmake", "pkg-config") if shutil.which(name) is None]
    if tools:
        pytest.skip(f"docs/native.md uses {', '.join(tools)}")
    folder, environment = place
    stand_in, frame = folder / "stand_in.so", bytes([90]) * (640 * 480) + bytes([128]) * (640 * 240)
    source = repository / "tests" / "runtime" / "stand_in_v4l2.c"
    subprocess.run(["gcc", "-shared", "-fPIC", source, "-o", stand_in, "-ldl"], check=True)
    (folder / "frames.bin").write_bytes(len(frame).to_bytes(4, "little") + frame)
    frames = shlex.quote(str(folder / "frames.bin"))
    settings = f"V4L2_NODE=/dev/video0 V4L2_FORMATS='NV12 640x480' V4L2_FRAMES={frames}"
    (folder / "tsm-edge-run").unlink()
    (folder / "tsm-edge-run").write_text(
        "#!/bin/sh\n"
        f"real={shlex.quote(str(folder / 'gestures-local' / 'tsm-edge-run'))}\n"
        'case "$*" in *--camera*) ;; *) exec "$real" "$@" ;; esac\n'
        f'{settings} timeout -s INT 2 env LD_PRELOAD={shlex.quote(str(stand_in))} "$real" "$@"\n'
        "[ $? = 124 ]\n"
    )
    (folder / "tsm-edge-run").chmod(0o755)
    run_page("docs/native.md", repository, (folder, environment))
    assert not (folder / "gestures.sock").exists()


def run_page(name: str, repository: Path, place: tuple[Path, dict[str, str]]) -> None:
    """One shell runs a page from its top; the first command that fails names the line of its block."""
    folder, environment = place
    page = repository / name
    script = ["set -eo pipefail", "shopt -s expand_aliases"]
    for block in blocks(page):
        if block.language == "sh":
            text = re.sub(r"(\S+-raspberry-pi-\S+/tsm-edge-run)", r"on-board \1", block.text)
            text = re.sub(r"^ssh (\S+) on-board ", r"ssh \1 ", text, flags=re.MULTILINE)
            script += [f"echo '== {name}:{block.line}' >&2", text]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-1500:]}\n{done.stderr[-3000:]}"


def test_the_python_of_the_readme_runs(repository, place, monkeypatch):
    """In the folder of the page, with the clip as its camera."""
    import cv2

    folder, environment = place
    monkeypatch.chdir(folder)
    real, clip = cv2.VideoCapture, environment["TSM_EDGE_DOCS_CLIP"]
    monkeypatch.setattr(cv2, "VideoCapture", lambda source: real(clip if source == 0 else source))
    found = [block for block in blocks(repository / "README.md") if block.language == "python"]
    assert found
    for block in found:
        exec(compile(block.text, f"README.md:{block.line}", "exec"), {})


def test_the_line_of_json_in_the_documentation_is_json(repository):
    for page in PAGES:
        for block in blocks(page):
            if block.language == "json":
                json.loads(block.text)


def test_generated_tables_are_current(repository):
    done = subprocess.run(
        [sys.executable, repository / "docs" / "tables.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
