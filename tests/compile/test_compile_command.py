"""`tsm-edge compile` as a user meets it: the summary, the progress, the exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tsm_edge import bundle, target
from tsm_edge.cli import cli
from tsm_edge.compile import pipeline
from tsm_edge.compile.link import toolchain
from tsm_edge.errors import UsageError

SMALL = ["--width", "0.5", "--size", "64", "--classes", "5"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["compile", *map(str, arguments)])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """One small bundle and what was printed."""
    folder = tmp_path_factory.mktemp("built") / "small"
    dump = folder.with_name("dump")
    return folder, run("tsm-mobilenetv2", *SMALL, "--target", "local", "--output", folder, "--dump", dump)


def test_summary_progress_and_dump(built: tuple[Path, Result]) -> None:
    folder, result = built
    assert result.exit_code == 0, result.output
    for word in ("weights: untrained", "arena", "pointwise_cpu", "depthwise_cpu", "libtsm.so", "glibc"):
        assert word in " ".join(result.stdout.split()), word
    taken = " ".join(result.stdout.split())
    assert "conv_cpu: features.0.0" in taken or "features.0.0…" in taken
    assert "classifier" in taken
    assert result.stdout.splitlines()[-1] == f"next: tsm-edge verify {folder}"
    phases = [line.split()[0] for line in result.stderr.splitlines() if line.endswith(" s")]
    assert phases == ["import", "passes", "schedule", "plan", "kernels", "link", "bundle"]
    dumped = sorted(path.name.split("-", 1)[1] for path in folder.with_name("dump").iterdir())
    assert dumped == ["claims.txt", "fused.txt", "imported.txt", "kernels.py", "plan.c", "plan.txt", "scheduled.txt"]


def test_the_same_inputs_give_the_same_bytes(built: tuple[Path, Result], tmp_path: Path) -> None:
    result = run("tsm-mobilenetv2", *SMALL, "--target", "local", "--output", tmp_path / "again", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["schema"] == 1
    assert document["generic"] == []
    first, second = built[0], tmp_path / "again"
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name


def test_manifest_says_what_the_weights_are(built: tuple[Path, Result]) -> None:
    manifest = bundle.verify(built[0])
    assert manifest.model.weights.source == "seeded"
    assert "mean nothing" in manifest.model.weights.note
    assert manifest.model.parameters == {"classes": 5, "size": 64, "width": 0.5}
    assert len(manifest.labels) == 5


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["tsm-mobilenetv2", "--target", "raspberry-pi-44"], 2, ["raspberry-pi-4"]),
        (["tsm-mobilenet", "--target", "local"], 2, ["Did you mean 'tsm-mobilenetv2'"]),
        (["tsm-mobilenetv2", "--target", "android-mali"], 5, ["NDK", "no --cc", "aarch64-linux-android24"]),
        (["tsm-mobilenetv2", "--target", "android-mali", "--cc", "no-such-cc"], 5, ["no-such-cc", "--cc"]),
        (
            ["tsm-mobilenetv2", "--target", "android-mali", "--cc", "cc '-O2"],
            2,
            ["--cc", "cc '-O2", "quotes"],
        ),
        (["tsm-mobilenetv2", "--target", "local", "--precision", "fp16"], 2, ["fp16", "allowed: fp32"]),
        (["tsm-mobilenetv2", "--target", "opencl", "--precision", "int8"], 2, ["int8", "fp16", "fp32"]),
        (
            ["tsm-mobilenetv2", "--target", "raspberry-pi-4", "--precision", "int8"],
            2,
            ["needs the ranges", "--calibrate DATA or --ranges FILE"],
        ),
        (
            ["tsm-mobilenetv2", "--target", "raspberry-pi-3-32bit", "--precision", "int8", "--ranges", "r.json"],
            2,
            ["int8, which takes a 64-bit processor", "allowed: fp32"],
        ),
        (
            ["tsm-mobilenetv2", "--target", "raspberry-pi-4", "--ranges", "r.json"],
            2,
            ["--ranges is for --precision int8"],
        ),
        (
            [
                *("tsm-mobilenetv2", "--target", "raspberry-pi-4", "--precision", "int8"),
                *("--calibrate", ".", "--ranges", "r"),
            ],
            2,
            ["one of both"],
        ),
        (["tsm-mobilenetv2", "--target", "local", "--backend", "gpu"], 2, ["gpu", "cpu"]),
        (
            ["tsm-mobilenetv2", "--target", "jetson-nano", "--autotune", "x.json"],
            5,
            ["measures on this machine"],
        ),
        (["tsm-mobilenetv2"], 2, ["--target"]),
        (["tsm-mobilenetv2", "--target", "local", "--weights", "none.pth"], 1, ["none.pth"]),
        (["tsm-resnet18", "--target", "local", "--width", "0.5"], 2, ["width"]),
        (["tsm-mobilenetv2", "--target", "local", "--size", "100"], 2, ["size", "100"]),
        (["tsm-mobilenetv2", "--target", "local", "--state", "a:b"], 2, ["--state is for ONNX files"]),
        (["none.onnx", "--target", "local", "--width", "0.5"], 2, ["--width is for models of the zoo"]),
        (["tsm-mobilenetv2", "--target", "local", "--state", "a"], 2, ["INPUT:OUTPUT"]),
        (["none.onnx", "--target", "local"], 1, ["does not exist"]),
    ],
)
def test_what_bad_input_is_told(arguments: list[str], code: int, words: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("threads", [0, 65, 2.0])
def test_bad_thread_counts_are_refused_before_any_work(threads: object, tmp_path: Path) -> None:
    """Through Python; the command's option has the same range."""
    with pytest.raises(UsageError, match="number of threads"):
        pipeline.compile(None, target.load("local"), tmp_path / "bundle", threads=threads)  # type: ignore[arg-type]


def test_a_folder_that_is_no_bundle_is_not_overwritten(tmp_path: Path) -> None:
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter1.txt").write_text("words")
    result = run("tsm-mobilenetv2", *SMALL, "--target", "local", "--output", precious)
    assert result.exit_code == 1
    assert (precious / "chapter1.txt").read_text() == "words"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]


@pytest.mark.parametrize(
    ("environment", "output", "words"),
    [
        ({"TMPDIR": "/proc/none"}, "bundle", ["TMPDIR"]),
        ({}, "file/bundle", ["Not a directory"]),
        ({}, "photos", ["is no bundle", "left alone"]),
        ({}, "/proc/bundle", ["cannot be written"]),
    ],
)
def test_a_bad_place_is_found_before_the_work(tmp_path, environment, output, words) -> None:
    """Before torch and TVM are loaded, too: see what is imported."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_text("x")
    code = (
        "import sys\nfrom tsm_edge import cli\n"
        "try: cli.main()\nexcept SystemExit as end: print('tvm' in sys.modules); raise"
    )
    command = [sys.executable, "-c", code, "compile", "tsm-mobilenetv2", *SMALL, "--target", "local"]
    done = subprocess.run(
        [*command, "--output", str(tmp_path / output)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    for word in words:
        assert word in done.stderr
    assert done.stdout.strip() == "False"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["1.jpg", "file", "photos"]


def test_a_broken_compiler_is_found_before_the_work(tmp_path) -> None:
    fake = tmp_path / "cc"
    fake.write_text("#!/bin/sh\necho no licence >&2\nexit 3\n")
    fake.chmod(0o755)
    result = run("tsm-mobilenetv2", *SMALL, "--target", "local", "--cc", fake, "--output", tmp_path / "b")
    assert result.exit_code == 1 and "no licence" in result.stderr
    assert "import " not in result.stderr, "no phase was begun"


@pytest.mark.parametrize("home", [None, "/proc/nobody"])
def test_the_compiler_works_without_a_home(tmp_path, monkeypatch, home) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "ZIG_GLOBAL_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    toolchain.try_compiler(target.load("x86-64"))
