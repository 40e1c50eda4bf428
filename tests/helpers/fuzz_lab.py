"""Building and running the fuzz targets of tests/abuse/fuzz: with libFuzzer where clang is installed, else with gcc.

`python tests/helpers/fuzz_lab.py TARGET RUNS [--seed N] [--corpus FOLDER]` is the long form: it fuzzes one target and
prints executions, seconds and the engine. `make abuse` calls it for each target.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = REPOSITORY / "tests" / "abuse" / "fuzz"
RUNTIME = REPOSITORY / "compile" / "runtime"
TINY_PLAN = REPOSITORY / "tests" / "runtime" / "tiny_plan.c"
#: where the long form leaves inputs that ended a target
FOUND = REPOSITORY / "out" / "fuzz"
CLANG = ("clang-19", "clang-20", "clang-18", "clang")
SANITIZED = ("-g", "-O1", "-std=gnu11", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
LIBRARIES = ("-lm", "-ldl", "-lpthread")
#: longest input of a target in bytes
MAX_BYTES = {
    **{"manifest": 8192, "bundle": 512, "resample": 4096, "image_step": 4096},
    **{"api": 1024, "command": 8192, "jpeg": 4096},
}
TARGETS = tuple(MAX_BYTES)


class Run(NamedTuple):
    """What a run did: ``output`` ends with the reason when ``code`` is not 0."""

    code: int
    executions: int
    seconds: float
    output: str


def sources(target: str) -> list[Path]:
    """The C files that a target is linked with."""
    command, library = RUNTIME / "command", [*sorted(RUNTIME.glob("*.c")), TINY_PLAN]
    rules = ["manifest_*.c", "refusal.c", "json*.c", "printable.c"]
    parts = {
        "manifest": rules,
        "bundle": [*rules, "bundle_check.c", "sha256.c", "../cpu.c"],
        "resample": ["../resample.c"],
        "image_step": [f"../{name}.c" for name in ("image", "pixels", "resample", "message", "threads", "placement")],
        "api": [],
        "command": ["*.c"],
        "jpeg": ["jpeg.c", "mjpeg.c"],
    }[target]
    found = [path for pattern in parts for path in sorted(command.glob(pattern)) if path.name != "main.c"]
    return [HERE / f"{target}.c", *found, *(library if target in ("api", "command") else [])]


def clang() -> str | None:
    """A clang that has libFuzzer, or None."""
    for name in CLANG:
        found = shutil.which(name)
        if found is None:
            continue
        test = [found, "-fsanitize=fuzzer", "-x", "c", "-", "-o", os.devnull]
        code = "#include <stddef.h>\nint LLVMFuzzerTestOneInput(const unsigned char *d, size_t n) { return !d && n; }"
        done = subprocess.run(test, input=code, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return found
    return None


def build(target: str, folder: Path, compiler: str | None) -> Path:
    """Build a target with clang and libFuzzer, or with gcc and driver.c where ``compiler`` is None."""
    includes = [f"-I{path}" for path in (RUNTIME, RUNTIME / "command", HERE)]
    program = folder / target
    common = [*SANITIZED, "-DTSM_STATIC", *includes]
    files = [str(path) for path in sources(target)]
    if compiler is not None:
        arguments = [compiler, *common, "-fsanitize=fuzzer", *files, "-o", str(program), *LIBRARIES]
        subprocess.run(arguments, check=True)
        return program
    driver = folder / f"{target}-driver.o"
    subprocess.run(["gcc", *common, "-c", str(HERE / "driver.c"), "-o", str(driver)], check=True)
    arguments = ["gcc", *common, "-fsanitize-coverage=trace-pc", *files, str(driver), "-o", str(program), *LIBRARIES]
    subprocess.run(arguments, check=True)
    return program


def tiny_manifest() -> dict[str, Any]:
    """A manifest that fits tiny_plan.c and this machine."""
    path = REPOSITORY / "tests" / "vectors" / "bundles" / "ok" / "manifest.json"
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    manifest["labels"] = ["nothing", 'a "wave"\n', "café"]
    manifest["preprocess"].update(resize=[24, 24], crop=[20, 20])
    manifest["signature"]["inputs"][0]["shape"] = [1, 3, 20, 20]
    manifest["signature"]["outputs"][0]["shape"] = [1, 3]
    manifest["threads"] = 1  # a stream that starts no worker is made faster; --threads asks for more
    manifest["target"]["arch"] = {"armv8l": "armv7l"}.get(platform.machine(), platform.machine())
    return manifest


def environment(folder: Path) -> dict[str, str]:
    """What the targets need to know: a bundle to damage, a manifest, a folder that is in memory where there is one."""
    bundle = folder / "bundle"
    folder.mkdir(exist_ok=True)
    shutil.copytree(REPOSITORY / "tests" / "vectors" / "bundles" / "ok", bundle, dirs_exist_ok=True)
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(tiny_manifest()), encoding="utf-8")
    memory = Path("/dev/shm")
    work = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None, prefix="tsm-fuzz-"))
    return {
        **os.environ,
        "TSM_FUZZ_BUNDLE": str(bundle),
        "TSM_FUZZ_MANIFEST": str(manifest),
        "TSM_FUZZ_WORK": str(work),
        "ASAN_OPTIONS": "allocator_may_return_null=1:detect_stack_use_after_return=0:quarantine_size_mb=1:"
        "malloc_context_size=3",
    }


def corpus_of(target: str) -> list[Path]:
    """The inputs that a run starts from: the committed ones, and the vectors for the target that reads manifests."""
    own = sorted(path for path in (HERE / "corpus" / target).glob("*") if path.is_file())
    vectors = sorted((REPOSITORY / "tests" / "vectors" / "bundles").glob("*/manifest.json"))
    return [*own, *(vectors if target == "manifest" else [])]


def _own_peak_mb() -> int:
    """This process's largest memory; libFuzzer reads a peak that Linux hands on to a child over fork and exec."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def run(program: Path, target: str, folder: Path, runs: int, seed: int, compiler: str | None, keep: Path) -> Run:
    """Run a built target; ``keep`` is the folder for new inputs of libFuzzer."""
    seeds = folder / f"{target}-seeds"
    seeds.mkdir(exist_ok=True)
    for path in corpus_of(target):
        name = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        shutil.copy(path, seeds / name)
    known = environment(folder / f"{target}-places")
    if compiler is not None:
        keep.mkdir(parents=True, exist_ok=True)
        flags = [f"-runs={runs}", f"-seed={seed}", f"-max_len={MAX_BYTES[target]}", "-print_final_stats=1"]
        limit = 2048 + _own_peak_mb()
        flags += ["-verbosity=1", "-timeout=25", f"-rss_limit_mb={limit}", f"-artifact_prefix={folder}/"]
        arguments = [str(program), *flags, str(keep), str(seeds)]
    else:
        arguments = [str(program), str(runs), str(seed), str(MAX_BYTES[target]), *map(str, sorted(seeds.iterdir()))]
    start = time.monotonic()
    try:
        done = subprocess.run(
            arguments, cwd=folder, env=known, capture_output=True, encoding="utf-8", errors="replace", check=False
        )
    finally:
        shutil.rmtree(known["TSM_FUZZ_WORK"], ignore_errors=True)
    seconds = time.monotonic() - start
    count = re.search(r"number_of_executed_units: *(\d+)|^(\d+) runs", done.stderr + "\n" + done.stdout, re.MULTILINE)
    executions = int(count[1] or count[2]) if count else 0
    return Run(done.returncode, executions, seconds, _shortened(done.stdout + done.stderr))


def _shortened(output: str) -> str:
    """What a run said of its end: from the first report of a fault on."""
    found = re.search(r"^.*(does not hold|ERROR: |runtime error: ).*$", output, re.MULTILINE)
    return output[found.start() :][:4000] if found else output[-2000:]


def main() -> int:
    """The long form."""
    parser = argparse.ArgumentParser(description="Fuzz one target for many executions.")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("runs", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="folder to read inputs from and to keep new ones in")
    parser.add_argument("--gcc", action="store_true", help="use driver.c though clang is installed")
    options = parser.parse_args()
    compiler = None if options.gcc else clang()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = build(options.target, folder, compiler)
        keep = options.corpus or folder / "kept"
        result = run(program, options.target, folder, options.runs, options.seed, compiler, keep.resolve())
        for path in [*folder.glob("crash-*"), *folder.glob("timeout-*"), *folder.glob("leak-*"), *folder.glob("oom-*")]:
            kept = FOUND / f"{options.target}-{path.name}"
            FOUND.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, kept)
            print(f"input: {kept}")
    engine = "gcc and driver.c" if compiler is None else f"{Path(compiler).name} and libFuzzer"
    print(f"{options.target}: {result.executions} executions in {result.seconds:.0f} s, {engine}, exit {result.code}")
    if result.code != 0:
        print(result.output)
    return result.code


if __name__ == "__main__":
    sys.exit(main())
